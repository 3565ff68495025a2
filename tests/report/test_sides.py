"""Comparisons of runs and variants, and what else differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from asyncdb_bench.analysis.comparison import compare_scenarios
from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.records.plan import Objective
from asyncdb_bench.records.step import Step
from asyncdb_bench.report.sides import Compared, Contrast, Side, compare_sides, differences
from asyncdb_bench.report.sides_page import compared_words
from tests.factories import manifest, settings, step
from tests.made_turns import Truth, measured_turns


def side(steps: list[Step], run_id: str = "one", **changes: Any) -> Side:
    made = manifest(tuple(dict.fromkeys(each.variant for each in steps)), run_id=run_id, **changes)
    found = compare_scenarios(made, [], steps)
    return Side(made, {each.scenario: each.findings for each in found})


def turned(truths: Mapping[str, Truth], run_id: str = "one", **changes: Any) -> Side:
    return side(measured_turns(truths, **changes), run_id)


def rows_of(contrast: Contrast) -> dict[str, Compared]:
    (rows,) = contrast.compared.values()
    return {each.answer.metric.name: each for each in rows}


def both_of(run: Side, base: str = "a", head: str = "b") -> dict[str, Compared]:
    contrast = compare_sides(replace(run, variant=base), replace(run, variant=head))
    assert contrast.paired
    assert not contrast.warnings
    return rows_of(contrast)


def test_what_differs_is_told_in_the_figures_own_direction_and_what_does_not_is_the_same() -> None:
    rows = both_of(turned({"a": Truth(), "b": Truth(pace_rps=1250, p50_ms=6)}, rounds=40))
    assert rows["pace_rps"].answer.said is Said.BETTER
    assert rows["p50_ms"].answer.said is Said.WORSE
    assert rows["cpu_ms_per_request"].answer.said is Said.SAME
    pace, p50 = rows["pace_rps"].answer.ratio, rows["p50_ms"].answer.ratio
    assert pace is not None
    assert p50 is not None
    assert pace.ratio == pytest.approx(1.25, abs=0.03)
    assert p50.ratio == pytest.approx(1.2, abs=0.05)
    assert rows["p50_ms"].offered_rps == 100
    assert rows["pace_rps"].offered_rps is None


def test_a_ratio_is_of_rounds_that_both_have_and_does_not_depend_on_the_order() -> None:
    rows = both_of(turned({"a": Truth(), "b": Truth(1250)}))
    back = both_of(turned({"a": Truth(), "b": Truth(1250)}), "b", "a")
    one, other = rows["pace_rps"].answer.ratio, back["pace_rps"].answer.ratio
    assert one is not None
    assert other is not None
    assert one.ratio * other.ratio == pytest.approx(1, rel=1e-9)
    assert one.rounds == 30


def test_one_round_claims_no_interval_and_says_why() -> None:
    rows = both_of(turned({"a": Truth(), "b": Truth(500)}, launches=1, rounds=1))
    assert rows["pace_rps"].answer.said is Said.UNKNOWN
    assert compared_words(rows["pace_rps"]) == "not known: too few rounds for an interval"


def test_noise_is_not_known_and_says_what_could_have_been_seen() -> None:
    rows = both_of(turned({"a": Truth(), "b": Truth(1050)}, spread=0.4))
    assert rows["pace_rps"].answer.said is Said.UNKNOWN
    assert "could have been seen" in compared_words(rows["pace_rps"])


def test_runs_are_compared_variant_by_variant_and_were_not_interleaved() -> None:
    one = turned({"a": Truth(), "only": Truth()})
    other = turned({"a": Truth(500), "new": Truth()}, "two")
    contrast = compare_sides(one, other)
    assert not contrast.paired
    assert {each.answer.one for each in contrast.compared["read"]} == {"a"}
    assert rows_of(contrast)["pace_rps"].answer.said is Said.WORSE
    assert any("not interleaved" in warning for warning in contrast.warnings)


def climbed(top: float, run_id: str = "one") -> Side:
    """Return a run of one variant that holds the objective up to a load."""
    loads = (100.0, 200.0, 400.0, 800.0)
    return side(
        [
            step("a", load, block=launch, p99=30 + launch if load <= top else 900)
            for launch in range(4)
            for load in loads
        ],
        run_id,
    )


def test_capacities_of_ladders_are_compared_and_never_beside_a_pace() -> None:
    contrast = compare_sides(climbed(100), climbed(400, "two"))
    assert rows_of(contrast)["capacity_rps"].answer.said is Said.BETTER
    mixed = compare_sides(climbed(100), turned({"a": Truth()}, "two"))
    assert not mixed.compared
    assert "climbed a ladder, the other took turns" in mixed.left_out[0]


def test_other_machines_budgets_and_knobs_are_told_loudly() -> None:
    base = manifest()
    machine = {**base.machine, "cpu": "another CPU"}
    plan = replace(base.plan, settings=settings(budget=16, turn_s=9.0))
    knobbed = replace(
        plan, variants=tuple(replace(v, knobs={"uvloop": True}) for v in plan.variants)
    )
    other = replace(base, machine=machine, plan=knobbed, seed=99, versions={"python": "3.14"})
    loud, quiet = differences(base, other)
    assert any("DIFFERENT MACHINES: cpu" in line for line in loud)
    assert any("different budgets of database connections: 8 against 16" in line for line in loud)
    assert any("native is not the same in both: uvloop" in line for line in loud)
    assert any("different seeds" in line for line in quiet)
    assert any("python 3.11 against 3.14" in line for line in quiet)
    assert any("turn_s" in line for line in quiet)


def test_scenarios_that_are_not_the_same_work_are_left_out() -> None:
    one, other = turned({"a": Truth()}), turned({"a": Truth()}, "two")
    plan = other.manifest.plan
    harder = tuple(replace(each, objective=Objective(10)) for each in plan.scenarios)
    changed = replace(other, manifest=replace(other.manifest, plan=replace(plan, scenarios=harder)))
    contrast = compare_sides(one, changed)
    assert not contrast.compared
    assert "not the same work: objective" in contrast.left_out[0]
