"""Tables: capacity, the common load, what a verdict may rest on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from asyncdb_bench.analysis.capacity import capacity_of, undermining
from asyncdb_bench.analysis.comparison import common_load, compare_scenarios
from asyncdb_bench.analysis.curves import Wanted, percentile_curves
from asyncdb_bench.analysis.tables import aggregate, steps_table
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.step import Outcome
from asyncdb_bench.report.exports import summary_rows
from tests.factories import LATE, end, manifest, step

OK, ERROR, TIMEOUT = Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT


def climb(variant: str, holds_until: float, loads: tuple[float, ...], **changes: Any) -> list[Any]:
    return [
        step(variant, load, p99=20 if load <= holds_until else 300, **changes) for load in loads
    ]


def test_capacity_is_the_highest_load_that_held_and_its_bounds_are_the_ladders() -> None:
    found = capacity_of(steps_table(climb("native", 300, (100, 200, 300, 400))))
    assert found.rps == pytest.approx(300)
    assert (found.low, found.high) == (300, 400)
    assert not found.open_ended


def test_a_ladder_that_ended_first_leaves_the_capacity_open() -> None:
    found = capacity_of(steps_table(climb("native", 300, (100, 200, 300))))
    assert found.rps == pytest.approx(300)
    assert found.high is None
    assert found.open_ended


def test_a_variant_that_carried_nothing_has_no_capacity() -> None:
    found = capacity_of(steps_table(climb("native", 0, (100,))))
    assert (found.rps, found.low, found.high) == (0, 0, 100)


def test_an_invalid_step_never_counts_as_carried() -> None:
    steps = [
        step(offered=100),
        step(offered=200, valid=False, reasons=(LATE,)),
        step(offered=300, p99=400),
    ]
    assert capacity_of(steps_table(steps)).rps == pytest.approx(100)


def test_over_blocks_capacity_has_an_interval() -> None:
    steps = [
        each
        for block, top in enumerate((300, 400, 300))
        for each in climb("native", top, (300, 400, 500), block=block)
    ]
    found = capacity_of(steps_table(steps))
    assert list(found.per_block) == [300, 400, 300]
    assert 300 < found.rps < 400
    assert found.high is not None
    assert found.low < found.rps < found.high


def test_the_common_load_is_the_highest_that_all_were_soundly_measured_at() -> None:
    steps = climb("native", 900, (100, 200, 300)) + climb("blocking", 100, (100, 200))
    assert common_load(steps_table(steps)) == 200
    steps[1] = step("native", 200, valid=False, reasons=(LATE,))
    assert common_load(steps_table(steps)) == 100
    assert common_load(steps_table([*steps, step("celery", 900)])) is None
    assert common_load(steps_table([])) is None


def late(offered: float, p99: float, **changes: Any) -> Any:
    return step(offered=offered, p99=p99, valid=False, reasons=(LATE,), **changes)


def test_an_invalid_step_below_the_capacity_undermines_nothing() -> None:
    steps = steps_table([late(100, 20), step(offered=200), step(offered=300, p99=400)])
    assert undermining(steps, 100) == ()


def test_an_invalid_step_that_held_above_the_capacity_undermines_it() -> None:
    steps = steps_table([step(offered=100), late(200, 20), step(offered=300, p99=400)])
    assert undermining(steps, 100) == (LATE,)


def test_an_invalid_step_that_ended_the_climb_undermines_it_unless_the_server_alone_missed() -> (
    None
):
    from asyncdb_bench.records.step import Percentiles

    quick_service = Percentiles(100, 5, 5, 8, 10, 12, 15)
    shaky = steps_table([step(offered=100), late(200, 400, service=quick_service)])
    assert undermining(shaky, 100) == (LATE,)
    beyond_doubt = steps_table([step(offered=100), late(200, 400)])
    assert undermining(beyond_doubt, 100) == ()


def test_a_comparison_ranks_and_says_who_did_not_run() -> None:
    steps = climb("executor", 200, (100, 200, 300)) + climb("native", 300, (100, 200, 300, 400))
    made = manifest(("executor", "native", "celery"))
    ends = [end("celery", failure="no broker")]
    (comparison,) = compare_scenarios(made, steps_table(steps), ends)
    assert list(comparison.capacities) == ["native", "executor"]
    assert comparison.not_run == {"celery": "no broker"}
    assert comparison.common_rps == 300
    assert list(comparison.rows.index) == ["native", "executor"]


def test_a_run_without_a_step_compares_nothing() -> None:
    (comparison,) = compare_scenarios(manifest(), steps_table([]), [])
    assert comparison.capacities == {}
    assert comparison.common_rps is None
    assert set(comparison.not_run) == {"native", "executor"}


def test_the_summary_is_plain_json_with_what_the_contract_names() -> None:
    steps = steps_table(climb("native", 200, (100, 200, 300)))
    made = manifest(("native",))
    rows = summary_rows(made, compare_scenarios(made, [], steps))
    assert len(rows) == 3
    named = {
        "variant",
        "strategy",
        "scenario",
        "offered_rps",
        "achieved_rps",
        "p50_ms",
        "p95_ms",
        "p99_ms",
        "p999_ms",
        "error_rate",
        "loop_lag_p99_ms",
        "cpu_ms_per_request",
        "rss_mb",
        "valid",
        "reasons",
    }
    assert named <= set(rows[0])
    assert "NaN" not in json.dumps(rows)


def test_over_blocks_the_bounds_come_from_the_blocks() -> None:
    one = aggregate(steps_table([step()])).iloc[0]
    assert (one.bounds, one.p50_ms_low) == ("within step", pytest.approx(9))
    several = aggregate(steps_table([step(block=b, p99=18 + b) for b in range(4)])).iloc[0]
    assert several.bounds == "launches"
    assert several.p99_ms_low < several.p99_ms < several.p99_ms_high


def test_curves_are_pooled_by_name_and_leave_errors_out() -> None:
    piece = pa.table(
        {
            "trial": ["a"] * 5 + ["b"],
            "step": np.array([0, 0, 0, 0, 1, 0], np.int16),
            "intended_us": [0] * 6,
            "done_us": [1000, 2000, 3000, 9_000_000, 5, 4000],
            "operation": ["read"] * 6,
            "outcome": np.array([OK, OK, OK, ERROR, OK, TIMEOUT], np.int8),
        }
    )
    curves = percentile_curves([piece], {("a", 0): Wanted("one"), ("b", 0): Wanted("one")})
    curve = curves["one"]
    assert (min(curve.corrected_ms), max(curve.corrected_ms)) == (1, 4)
    assert set(curve.raw_ms) <= set(curve.corrected_ms)
    assert curve.levels[0] == 0
    assert curve.corrected_ms == sorted(curve.corrected_ms)


def test_cpu_time_that_was_taken_from_one_and_not_from_the_best_makes_its_capacity_doubtful() -> (
    None
):
    for taken, doubtful in ((0.05, False), (0.16, True), (0.40, True)):
        steps = climb("executor", 400, (100, 400, 500), stolen=0.0)
        steps += climb("native", 100, (100, 400), stolen=taken)
        (found,) = compare_scenarios(manifest(), steps_table(steps), [])
        assert ("native" in found.invalid) == doubtful
        assert "executor" not in found.invalid
    (reason,) = found.invalid["native"]
    assert (reason.kind, reason.subject) == (DoubtKind.UNEVEN_STEAL, "executor")
    assert reason.measured == pytest.approx(0.40)


def test_cpu_time_that_was_taken_from_all_alike_leaves_the_comparison_fair() -> None:
    steps = climb("executor", 400, (100, 400, 500), stolen=0.4)
    steps += climb("native", 100, (100, 400), stolen=0.45)
    (found,) = compare_scenarios(manifest(), steps_table(steps), [])
    assert not found.invalid
