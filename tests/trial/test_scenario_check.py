"""The check of scenarios: the built-in ones pass, a careless one is told what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdb_bench.plan.registry import is_scenario, names
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.trial.scenario_check import check_scenario

pytestmark = pytest.mark.services
FAULTY = Path(__file__).parents[1] / "plugins" / "faulty.py"


@pytest.mark.parametrize("name", names("scenarios"))
def test_built_in_scenarios_pass(name: str) -> None:
    assert is_scenario(name)
    knobs = {"sweep": {"ms": "1", "fetch": "10"}}.get(name, {})
    problems = [each for each in check_scenario(Spec(name, knobs)) if each.problem]
    assert problems == []


def test_a_careless_one_is_told_all_that_is_wrong() -> None:
    name = f"{FAULTY}:Careless"
    assert is_scenario(name)
    found = [each.problem for each in check_scenario(Spec(name, {"rows": "1000"}))]
    assert found[0] == "the mix sums to 0.5, not to 1"
    assert "differ though the seed is the same" in found[1]
    assert found[2] == "accepts an answer in which every value is null"
