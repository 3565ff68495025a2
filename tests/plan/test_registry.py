"""Strategies and scenarios are found by name or by file, and refused with what they lack."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdb_bench import QueueKnobs, QueueStrategy
from asyncdb_bench.errors import KnobError, PluginError, UnknownNameError, UsageError
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.registry import (
    folder,
    groups,
    make_scenario,
    members,
    names,
    scenario_class,
    strategy_class,
)
from asyncdb_bench.plan.request import Choices, parse_specs
from asyncdb_bench.plan.variants import make_variant

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
    with pytest.raises(
        UnknownNameError, match=r"known: arq, asyncpg_raw, blocking, celery, .*native"
    ):
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


def test_a_group_stands_for_its_members_and_is_not_among_all() -> None:
    inside = groups("strategies")["queues"]
    assert {"taskiq", "saq", "arq", "dramatiq", "procrastinate"} == set(inside)
    assert not set(inside) & set(names("strategies"))
    assert members("strategies", "queues") == [*inside, "celery", "executor"]
    for name in inside:
        assert strategy_class(name).name == name
        path = folder("strategies") / "queues" / f"{name}.py"
        assert len(path.read_text().splitlines()) <= 60


def test_a_group_is_planned_as_its_members() -> None:
    plan = make_plan(
        Choices(strategies="queues", scenarios="read", profile="smoke"), read_profiles()
    )
    assert {each.strategy for each in plan.variants} == set(members("strategies", "queues"))
    with pytest.raises(UsageError, match=r"queues:workers=3: queues stands for arq, .*executor"):
        make_plan(Choices(strategies="queues:workers=3", profile="smoke"), read_profiles())


def test_more_worker_processes_than_tasks_are_refused() -> None:
    (spec,) = parse_specs("taskiq:workers=2:worker_processes=3")
    with pytest.raises(KnobError, match="worker_processes=3 are more than workers=2"):
        make_variant(spec, 4)
    (spec,) = parse_specs("taskiq:workers=5:worker_processes=2")
    made = make_variant(spec, 4)
    assert (made.budget, made.parts[0].copies) == (4, 2)


def test_what_is_not_installed_is_said_with_the_command() -> None:
    class Lacking(QueueStrategy[QueueKnobs]):
        packages = ("no-such-distribution[x]",)

    class Apart(Lacking):
        apart = True

    said = "no-such-distribution is not installed: "
    assert Lacking.refusal(QueueKnobs(), ()) == f"{said}pip install 'asyncdb-bench[queues]'"
    assert Apart.refusal(QueueKnobs(), ()) == f"{said}python -m asyncdb_bench.plan.apart"
