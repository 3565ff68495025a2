"""The check of scenarios: the built-in ones pass, a careless one is told what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdb_bench.extensions.check.scenario_check import check_scenario
from asyncdb_bench.plan.registry import is_scenario, names
from asyncdb_bench.plan.request import Spec

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("checks_on_lent_services")]
PLUGINS = Path(__file__).parents[1] / "plugins"
OWN, TYPED, FAULTY, EVERYTHING = (
    PLUGINS / f"{name}.py" for name in ("own", "typed", "faulty", "everything")
)


@pytest.mark.parametrize("name", names("scenarios"))
def test_built_in_scenarios_pass(name: str) -> None:
    assert is_scenario(name)
    knobs = {"sweep": {"ms": "1", "fetch": "10"}}.get(name, {})
    found = list(check_scenario(Spec(name, knobs), ()))
    # whether a machine that is busy with other work can meet an objective is not asked here
    objective = "The objective can be met"
    assert [each for each in found if each.problem and not each.check.startswith(objective)] == []
    assert any(each.check.startswith(objective) for each in found)


def test_every_kind_is_right_under_every_strategy() -> None:
    found = list(check_scenario(Spec(f"{EVERYTHING}:Everything", {})))
    assert [each for each in found if each.problem] == []
    tried = {each.check.partition(":")[0] for each in found} & set(names("strategies"))
    assert tried == set(names("strategies"))


def test_sessions_are_gone_through_under_a_strategy() -> None:
    found = list(check_scenario(Spec(f"{OWN}:Visits", {}), ("native", "processes")))
    assert [each for each in found if each.problem] == []


def test_a_scenario_that_is_wrong_under_a_strategy_alone_is_found() -> None:
    found = {
        each.check: each.problem
        for each in check_scenario(Spec(f"{OWN}:Wrong", {}), ("native", "processes"))
    }
    assert "seeded twice, with different rows" in found["Equal seeds make equal tables"]
    problems = {
        each.check.partition(":")[0]: each.problem
        for each in check_scenario(Spec(f"{OWN}:Breaking", {}), ("native", "blocking"))
        if each.problem
    }
    assert problems["The objective can be met"].startswith("broken takes")
    assert "division or modulo by zero (own.py, line" in problems["native"]


def test_what_fails_in_the_plain_session_is_a_finding() -> None:
    found = check_scenario(Spec(f"{TYPED}:Nowhere", {}), ("native",))
    problems = [each for each in found if each.problem]
    assert [each.check.partition(":")[0] for each in problems] == [
        "nowhere",
        "The objective can be met",
        "A plain session answers all that is asked",
    ]
    assert all("(typed.py, line" in each.problem for each in problems)
    unmade = [each.problem for each in check_scenario(Spec(f"{TYPED}:Unmade", {}), ("native",))]
    assert "ZeroDivisionError" in unmade[0]


def test_a_careless_one_is_told_all_that_is_wrong() -> None:
    name = f"{FAULTY}:Careless"
    assert is_scenario(name)
    found = [each.problem for each in check_scenario(Spec(name, {"rows": "1000"}), ())]
    assert found[0] == "the mix sums to 0.5, not to 1"
    assert "differ though the seed is the same" in found[1]
    assert found[3] == "accepts an answer in which every value is null"
