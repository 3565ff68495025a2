"""Strategies and scenarios are found by name or by file, and refused with what they lack."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdb_bench.errors import PluginError, UnknownNameError
from asyncdb_bench.plan.registry import make_scenario, names, scenario_class, strategy_class

MINE = '''
from asyncdb_bench import Strategy

class Mine(Strategy):
    """One of a user's own."""
    name = "mine"
    summary = "for a test"
    async def run(self, operation, params):
        return {}
    @classmethod
    def budget(cls, knobs):
        return 1

class Lacking(Strategy):
    """Without `run` and without a summary."""
    name = "lacking"

class Other:
    """Not a strategy."""
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_every_built_in_plugin_loads_under_its_own_name() -> None:
    assert {"blocking", "executor", "celery", "celery_aio", "native"} <= set(names("strategies"))
    assert {"read", "write", "slow", "mixed"} <= set(names("scenarios"))
    for name in names("strategies"):
        assert strategy_class(name).name == name
    for name in names("scenarios"):
        assert scenario_class(name).name == name


def test_a_strategy_from_a_file(file: Path) -> None:
    assert strategy_class(f"{file}:Mine").name == "mine"


@pytest.mark.parametrize(
    ("suffix", "says"),
    [
        (":Lacking", "lacks budget, run, summary"),
        (":Other", "is not a Strategy"),
        (":Nobody", "has no class 'Nobody'"),
        ("", "names no class"),
    ],
)
def test_a_file_that_does_not_fit_says_what_it_lacks(file: Path, suffix: str, says: str) -> None:
    with pytest.raises(PluginError, match=says):
        strategy_class(f"{file}{suffix}")


def test_a_file_that_does_not_import_says_why(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import nothing_of_that_name\n")
    with pytest.raises(PluginError, match=r"broken\.py does not import: ModuleNotFoundError"):
        strategy_class(f"{path}:Mine")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="does not exist"):
        strategy_class(f"{tmp_path}/none.py:Mine")


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"known: asyncpg_raw, blocking, celery, .*native"):
        strategy_class("asynchronous")
    with pytest.raises(UnknownNameError, match=r"known: burst, chat, .*slow, sweep"):
        scenario_class("heavy")


def test_a_mix_that_exceeds_the_whole_is_refused() -> None:
    scenario = make_scenario("mixed", {"writes": "90", "slow": "20"})
    with pytest.raises(Exception, match="more than 100 %"):
        scenario.mix()


def test_the_standard_mix() -> None:
    assert make_scenario("mixed", {}).mix() == pytest.approx(
        {"read": 0.8, "write": 0.15, "slow": 0.05}
    )
