"""Effects between variants, and comparisons of runs, from tables made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from asyncdb_bench.analysis.capacity import capacities_by_block
from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Objective
from asyncdb_bench.records.step import Percentiles, Step
from asyncdb_bench.regression.effects import (
    CAPACITY,
    COMPARED,
    adjusted,
    at_load,
    compare_variants,
    reference_load,
)
from asyncdb_bench.regression.sides import Side, compare_sides, differences
from asyncdb_bench.regression.wording import effect_words
from tests.factories import manifest, settings, step

LOADS = (100.0, 200.0, 300.0, 400.0, 500.0)


def climbs(
    variant: str, p50: float, blocks: int = 6, top: float = 400, **changes: Any
) -> list[Step]:
    """Return the steps of a variant that carries up to `top` in every block."""
    rng = np.random.default_rng(len(variant) + round(p50 * 7))
    made = []
    for block in range(blocks):
        for load in LOADS:
            value = p50 * math.exp(rng.normal(0, 0.02))
            p99 = 4 * value if load <= top else 900.0
            latency = Percentiles(100, value, value, 2 * value, p99, p99, p99)
            made.append(
                step(
                    variant, load, block=block, p99=p99, latency=latency, service=latency, **changes
                )
            )
    return made


def table(*groups: list[Step]) -> pd.DataFrame:
    return steps_table([each for group in groups for each in group])


def side(steps: list[Step], run_id: str = "one", **changes: Any) -> Side:
    variants = tuple(dict.fromkeys(each.variant for each in steps))
    return Side(manifest(variants, run_id=run_id, **changes), steps_table(steps))


def test_what_differs_is_told_and_what_does_not_is_a_tie() -> None:
    base, head = table(climbs("a", 5)), table(climbs("b", 6))
    cells = {
        c.figure.name: c
        for c in adjusted(compare_variants(base, head, objective_ms=100, paired=True))
    }
    slower = cells["p50_ms"]
    assert slower.offered_rps == 200, "half of the capacity"
    assert slower.effect is not None
    assert slower.effect.ratio == pytest.approx(1.2, rel=0.05)
    assert slower.verdict == "slower"
    assert cells["capacity_rps"].verdict == "tie"
    assert cells["cpu_ms_per_request"].verdict == "tie"


def test_more_capacity_is_better() -> None:
    base, head = table(climbs("a", 5, top=200)), table(climbs("b", 5, top=400))
    (cell,) = adjusted(
        compare_variants(base, head, objective_ms=100, paired=True, figures=[CAPACITY])
    )
    assert cell.effect is not None
    assert cell.effect.ratio == pytest.approx(1.85, abs=0.05)
    assert cell.verdict == "faster"


def test_one_block_claims_no_interval_and_says_why() -> None:
    base, head = table(climbs("a", 5, blocks=1)), table(climbs("b", 9, blocks=1))
    for cell in adjusted(compare_variants(base, head, objective_ms=100, paired=True)):
        assert cell.verdict == "inconclusive"
        assert cell.effect is not None
        assert cell.effect.low is None


def test_where_no_step_is_sound_nothing_is_said() -> None:
    base = table(climbs("a", 5))
    head = table(climbs("b", 5, valid=False, reasons=(Doubt(DoubtKind.SEND_LAG, 9, 2),)))
    for cell in adjusted(compare_variants(base, head, objective_ms=100, paired=True)):
        assert cell.verdict == "invalid"
        assert cell.doubt


def test_noise_is_inconclusive_and_says_what_could_have_been_seen() -> None:
    rng = np.random.default_rng(8)

    def noisy(name: str) -> list[Step]:
        steps = climbs(name, 5)
        return [
            replace(s, latency=replace(s.latency, p50_ms=5 * math.exp(rng.normal(0, 0.5))))
            for s in steps
        ]

    cells = adjusted(
        compare_variants(table(noisy("a")), table(noisy("b")), objective_ms=100, paired=True)
    )
    (found,) = [cell for cell in cells if cell.figure.name == "p50_ms"]
    assert found.verdict == "inconclusive"
    assert found.effect is not None
    assert found.effect.mde is not None
    assert "could have been seen" in effect_words(found)


def test_a_block_counts_by_the_median_of_its_steps() -> None:
    steps = [step("a", 100, p99=value) for value in (10, 12, 500)]
    assert at_load(steps_table(steps), 100, "p99_ms") == {0: 12}


def test_values_that_are_not_numbers_are_left_out() -> None:
    steps = [
        step("a", 100, block=0),
        replace(step("a", 100, block=1), latency=Percentiles(0)),
        replace(step("a", 100, block=2), latency=Percentiles(9, math.nan, math.nan)),
    ]
    assert set(at_load(steps_table(steps), 100, "p50_ms")) == {0}


def test_a_ladder_that_ended_first_has_no_capacity_to_compare() -> None:
    assert capacities_by_block(table(climbs("a", 5, top=500)), 100) == {}
    found = capacities_by_block(table(climbs("a", 5)), 100)
    assert len(found) == 6
    assert all(400 < value < 500 for value in found.values())


def test_a_capacity_lies_where_the_p99_crosses_the_objective() -> None:
    steps = [step("a", 100, p99=25), step("a", 200, p99=50), step("a", 400, p99=200)]
    assert capacities_by_block(steps_table(steps), 100) == {0: pytest.approx(200 * 2**0.5)}
    failing = [step("a", 100, p99=25), step("a", 200, p99=30, failed=50)]
    assert capacities_by_block(steps_table(failing), 100) == {0: 100}


def test_capacities_on_the_same_rung_are_no_tie_by_that() -> None:
    rng = np.random.default_rng(6)

    def noisy(name: str, factor: float) -> list[Step]:
        made = []
        for block in range(6):
            for load, p99 in ((100.0, 30.0), (200.0, 60.0), (400.0, 300.0)):
                value = p99 * factor * math.exp(rng.normal(0, 0.05))
                made.append(step(name, load, block=block, p99=value))
        return made

    base, head = table(noisy("a", 1.0)), table(noisy("b", 1.3))
    (cell,) = adjusted(
        compare_variants(base, head, objective_ms=100, paired=True, figures=[CAPACITY])
    )
    assert cell.effect is not None
    assert cell.effect.ratio < 0.95
    assert cell.verdict == "slower"


def test_the_reference_load_is_half_of_the_bases_capacity() -> None:
    base, head = table(climbs("a", 5, top=400)), table(climbs("b", 5, top=200))
    assert reference_load(base, head) == 200
    assert reference_load(head, base) == 100
    assert reference_load(base, head[:0]) is None


def test_runs_are_compared_variant_by_variant() -> None:
    one = side([*climbs("a", 5), *climbs("only", 5)], "one")
    other = side([*climbs("a", 7), *climbs("new", 5)], "two")
    contrast = compare_sides(one, other)
    assert not contrast.paired
    assert {cell.base for cell in contrast.effects["read"]} == {"a"}
    assert [c.verdict for c in contrast.effects["read"] if c.figure.name == "p50_ms"] == ["slower"]
    assert any("not interleaved" in warning for warning in contrast.warnings)


def test_variants_of_one_run_are_paired() -> None:
    both = side([*climbs("a", 5), *climbs("b", 5)])
    contrast = compare_sides(replace(both, variant="a"), replace(both, variant="b"))
    assert contrast.paired
    assert not contrast.warnings
    assert len(contrast.effects["read"]) == len(COMPARED)


def test_other_machines_budgets_and_knobs_are_told_loudly() -> None:
    base = manifest()
    machine = {**base.machine, "cpu": "another CPU"}
    plan = replace(base.plan, settings=settings(budget=16, window_s=9.0))
    knobbed = replace(
        plan, variants=tuple(replace(v, knobs={"uvloop": True}) for v in plan.variants)
    )
    other = replace(base, machine=machine, plan=knobbed, seed=99, versions={"python": "3.14"})
    loud, quiet = differences(base, other)
    assert any("DIFFERENT MACHINES: cpu" in line for line in loud)
    assert any("different budgets: 8 against 16" in line for line in loud)
    assert any("native is not the same in both: uvloop" in line for line in loud)
    assert any("different seeds" in line for line in quiet)
    assert any("python 3.11 against 3.14" in line for line in quiet)
    assert any("window_s" in line for line in quiet)


def test_scenarios_that_are_not_the_same_work_are_left_out() -> None:
    one, other = side(climbs("a", 5)), side(climbs("a", 5), "two")
    plan = other.manifest.plan
    harder = tuple(replace(each, objective=Objective(10)) for each in plan.scenarios)
    changed = replace(other, manifest=replace(other.manifest, plan=replace(plan, scenarios=harder)))
    contrast = compare_sides(one, changed)
    assert not contrast.effects
    assert "not the same work: objective" in contrast.left_out[0]
