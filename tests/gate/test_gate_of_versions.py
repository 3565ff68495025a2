"""A gate of this checkout against itself with other versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdb_bench.errors import UsageError
from asyncdb_bench.extensions.gate.decision import Rules
from asyncdb_bench.extensions.gate.gate import prepare, run_gate_of_versions
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.whole_run import Places
from tests.tiny_index import TinyIndex


def test_base_runs_the_versions_and_head_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = TinyIndex(tmp_path)
    index.add("tiny-one", "1.0")
    for name, value in index.environment.items():
        monkeypatch.setenv(name, value)
    choices = Choices(profile="gate", strategies="native,executor", scenarios="read")
    plan = make_plan(choices, read_profiles())
    prepared, pairs = prepare(plan, choices, "tiny-one==1.0")
    assert [each.head for each in pairs] == ["native", "executor"]
    for each in prepared.variants:
        of_base = "@base" in each.label
        assert (each.elsewhere is not None) == of_base
        if each.elsewhere is not None:
            assert each.elsewhere.differs == {"tiny-one": ("", "1.0")}
    prepared, _ = prepare(plan, choices, "tiny-one==7.0")
    assert [bool(each.not_run) for each in prepared.variants] == [True] * 4 + [False] * 2


@pytest.mark.parametrize("versions", ["../base", "sqlalchemy", "a==1+a==2"])
def test_what_names_no_versions_is_refused(versions: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run_gate_of_versions(
            Choices(profile="gate"), versions, Rules(), Places(tmp_path, tmp_path), print
        )
