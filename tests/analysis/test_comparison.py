"""A comparison: who is in its tables, at which load, with which bounds; and the summary of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from asyncdb_bench.analysis.comparison import compare_scenarios
from asyncdb_bench.analysis.curves import percentile_curves
from asyncdb_bench.analysis.tables import aggregate, steps_table
from asyncdb_bench.records.step import Ledger, Step, Turn
from asyncdb_bench.report.exports import summary_rows
from tests.factories import LATE, end, manifest, paces, step


def climb(variant: str, top: float, loads: tuple[float, ...]) -> list[Step]:
    return [step(variant, load, p99=20 if load <= top else 300) for load in loads]


def test_the_common_load_of_ladders_is_the_highest_that_all_were_soundly_measured_at() -> None:
    steps = climb("executor", 200, (100, 200, 300)) + climb("native", 300, (100, 200, 300, 400))
    ends = [end("celery", failure="no broker")]
    (found,) = compare_scenarios(manifest(("executor", "native", "celery")), ends, steps)
    assert list(found.capacities) == ["native", "executor"]
    assert found.not_run == {"celery": "no broker"}
    assert found.common_rps == 300
    assert list(found.rows.index) == ["native", "executor"]
    steps[2] = step("executor", 300, valid=False, reasons=(LATE,))
    (found,) = compare_scenarios(manifest(("executor", "native")), [], steps)
    assert found.common_rps == 200


def test_a_run_without_a_step_compares_nothing() -> None:
    (found,) = compare_scenarios(manifest(), [], [])
    assert found.capacities == {}
    assert found.common_rps is None
    assert set(found.not_run) == {"native", "executor"}


@pytest.mark.parametrize("ladder", [True, False])
def test_the_summary_is_plain_json_with_what_the_contract_names(ladder: bool) -> None:
    made = manifest(("native",))
    steps = climb("native", 200, (100, 200, 300)) if ladder else paces({"native": 100})
    rows = summary_rows(made, compare_scenarios(made, [], steps))
    assert rows
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


def test_over_launches_the_bounds_come_from_the_launches() -> None:
    one = aggregate(steps_table([step()])).iloc[0]
    assert (one.bounds, one.p50_ms_low) == ("within step", pytest.approx(9))
    several = aggregate(steps_table([step(block=b, p99=18 + b) for b in range(4)])).iloc[0]
    assert several.bounds == "launches"
    assert several.p99_ms_low < several.p99_ms < several.p99_ms_high


def test_curves_are_pooled_by_name_and_leave_errors_out() -> None:
    piece = pa.table(
        {
            "trial": ["a"] * 5 + ["b"],
            "step": pa.array([0, 0, 0, 0, 1, 0], pa.int16()),
            "intended_us": [0] * 6,
            "latency_us": [1000, 2000, 3000, None, 5, 4000],
        }
    )
    curves = percentile_curves([piece], {("a", 0): "one", ("b", 0): "one"})
    curve = curves["one"]
    assert (min(curve.corrected_ms), max(curve.corrected_ms)) == (1, 4)
    assert set(curve.raw_ms) <= set(curve.corrected_ms)
    assert curve.levels[0] == 0
    assert curve.corrected_ms == sorted(curve.corrected_ms)


def test_a_variant_that_answered_wrongly_is_not_measured_in_its_answers_own_words() -> None:
    why = "500: operator does not exist: uuid = character varying"
    bad = step(
        "native",
        turn=Turn("pace", 0),
        valid=False,
        reasons=(LATE,),
        ledger=Ledger(32, 2, 2, 0, 0, 28),
        errors={why: 2},
    )
    steps = [*paces({"executor": 100}), bad]
    (found,) = compare_scenarios(manifest(("executor", "native")), [], steps)
    assert found.absence("native") == (
        f"not measured, because it answered 2 of 32 requests right: {why}"
    )
    assert found.absent == "not measured: native"
    late = replace(bad, ledger=Ledger(32, 32, 0, 0, 0, 0), errors={})
    (found,) = compare_scenarios(manifest(("executor", "native")), [], [steps[0], late])
    assert found.absence("native").startswith("not measured, because none of its turns was sound:")
    (found,) = compare_scenarios(manifest(("executor", "native")), [], [steps[0]])
    assert found.absence("native").startswith("not run, because the run ended")
