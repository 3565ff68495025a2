"""Judging a step: missed objectives, unsound measurements, saturation."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.step.validity import (
    Evidence,
    account_doubts,
    behind,
    circumstances,
    client_doubts,
    is_saturated,
    misses,
    turn_notes,
    undecided,
)
from asyncdb_bench.records.doubts import Doubt, DoubtKind, sentence
from asyncdb_bench.records.plan import Objective, Tolerance
from asyncdb_bench.records.step import Audit, Ledger, LoadWorker, Percentiles, Turn

GOOD = Ledger(scheduled=1000, ok=1000, error=0, timeout=0, skipped=0, undrained=0)
FAST = Percentiles(1000, 20, 20, 30, 40, 50, 60)
LAG = Percentiles(1000, 0.1, 0.1, 0.2, 0.5, 1, 2)
SOUND = Evidence(GOOD, FAST, LAG, 0.3, 1000, 1000, 0, 8, 8, 500.0, 500.0)
TOLERANCE = Tolerance()
OBJECTIVE = Objective(p99_ms=100)


def doubts(evidence: Evidence, tolerance: Tolerance) -> tuple[Doubt, ...]:
    """Return what makes a step void, and what its figures are uncertain for."""
    return (*account_doubts(evidence, tolerance), *client_doubts(evidence, tolerance))


def test_a_good_step_holds_and_is_sound() -> None:
    assert misses(OBJECTIVE, GOOD, FAST) == ()
    assert doubts(SOUND, TOLERANCE) == ()


def test_a_rate_is_rounded_to_whole_arrivals() -> None:
    """18 arrivals in 2 s are 9.0/s where 8.79/s were asked for, which is no fault."""
    low = replace(SOUND, offered_rps=8.79, arrivals_rps=9.0, window_s=2.0)
    assert doubts(low, TOLERANCE) == ()
    assert doubts(replace(low, arrivals_rps=9.6), TOLERANCE) != ()


def test_a_slow_step_misses_the_objective_and_is_still_sound() -> None:
    slow = replace(FAST, p99_ms=150)
    assert misses(OBJECTIVE, GOOD, slow) == (Doubt(DoubtKind.P99, 150, 100),)
    assert doubts(replace(SOUND, latency=slow), TOLERANCE) == ()


def test_failures_miss_the_objective_however_fast_the_rest_was() -> None:
    failed = replace(GOOD, ok=990, error=10)
    (missed,) = misses(OBJECTIVE, failed, FAST)
    assert (missed.kind, missed.limit) == (DoubtKind.FAILED_SHARE, 0.001)
    assert missed.measured == pytest.approx(0.01)


def test_a_step_without_success_misses() -> None:
    nothing = Ledger(10, 0, 10, 0, 0, 0)
    assert misses(OBJECTIVE, nothing, Percentiles(0))[0] == Doubt(DoubtKind.NO_SUCCESS)


@pytest.mark.parametrize(
    ("change", "kind", "measured", "limit"),
    [
        ({"client_busy": 0.95}, DoubtKind.CLIENT_BUSY, 0.95, 0.9),
        ({"wrong_answers": 3}, DoubtKind.WRONG_ANSWERS, 3, None),
        ({"connections_peak": 9}, DoubtKind.BUDGET, 9, 8),
        ({"counted": 990}, DoubtKind.COUNT, 990, None),
        ({"ledger": replace(GOOD, ok=900)}, DoubtKind.LEDGER, None, None),
        ({"arrivals_rps": 480.0}, DoubtKind.ARRIVALS, 480, 0.02),
        ({"delay_busy": 0.8}, DoubtKind.DELAY_BUSY, 0.8, 0.7),
        ({"other_run": "pid 7 (eve)"}, DoubtKind.OTHER_RUN, None, None),
        (
            {"audit": Audit("pg_stat_statements", 950, 1000, 1000)},
            DoubtKind.TRANSACTIONS,
            950,
            0.015,
        ),
        (
            {"audit": Audit("view", 1000, 1000, 1000, 1100, 1000, 1020)},
            DoubtKind.ROWS,
            1100,
            0.015,
        ),
        ({"send_lag": replace(LAG, p50_ms=2.5)}, DoubtKind.SEND_LAG, 2.5, 2.0),
        ({"send_lag": replace(LAG, p99_ms=4.5)}, DoubtKind.SEND_LAG, 4.5, 4.0),
    ],
)
def test_an_unsound_step_says_why(
    change: dict[str, object], kind: DoubtKind, measured: float | None, limit: float | None
) -> None:
    (reason,) = doubts(replace(SOUND, **change), TOLERANCE)  # type: ignore[arg-type]
    assert (reason.kind, reason.measured, reason.limit) == (kind, measured, limit)


def test_skipped_arrivals_are_the_clients_fault() -> None:
    skipped = replace(GOOD, ok=900, skipped=100)
    evidence = replace(SOUND, ledger=skipped, attempted=900, counted=900, arrivals_rps=450)
    assert doubts(evidence, TOLERANCE) == (Doubt(DoubtKind.SKIPPED, 100),)


def test_a_late_send_that_is_small_beside_the_latency_is_no_doubt() -> None:
    slow = replace(FAST, p50_ms=500, p99_ms=900)
    lag = replace(LAG, p50_ms=20, p99_ms=60)
    assert doubts(replace(SOUND, latency=slow, send_lag=lag), TOLERANCE) == ()


def test_an_unobserved_budget_is_no_doubt() -> None:
    assert doubts(replace(SOUND, connections_peak=None), TOLERANCE) == ()


@pytest.mark.parametrize(
    "audit",
    [
        Audit("view", None, 1000, 1000),
        Audit("view", 1000, 1000, 1000, 1000, None, None),
        Audit("view", 1014, 1000, 1000),
        Audit("view", 1150, 1000, 1200),
        Audit("view", 3, 0, 0),
    ],
)
def test_what_the_database_counts_may_differ_a_little_or_not_be_known(audit: Audit) -> None:
    assert doubts(replace(SOUND, audit=audit), TOLERANCE) == ()


def test_tolerances_are_settings() -> None:
    busy = replace(SOUND, client_busy=0.95)
    assert doubts(busy, replace(TOLERANCE, client_busy=0.99)) == ()
    late = replace(SOUND, send_lag=replace(LAG, p50_ms=2.5))
    assert doubts(late, replace(TOLERANCE, send_lag_floor_ms=3)) == ()


def test_circumstances_are_told_and_do_not_make_a_step_unsound() -> None:
    assert circumstances(jump_s=0.01) == []
    assert [each.kind for each in circumstances(-3600, "no grant")] == [
        DoubtKind.CLOCK_JUMP,
        DoubtKind.UNWATCHED,
    ]


def test_saturation() -> None:
    assert not is_saturated(OBJECTIVE, GOOD, FAST, 500, 495)
    assert not is_saturated(OBJECTIVE, GOOD, replace(FAST, p99_ms=200), 500, 495)
    assert is_saturated(OBJECTIVE, GOOD, replace(FAST, p99_ms=400), 500, 495)
    assert is_saturated(OBJECTIVE, GOOD, FAST, 500, 400)
    assert is_saturated(OBJECTIVE, replace(GOOD, ok=900, timeout=100), FAST, 500, 495)


counts = st.integers(0, 10_000)


@given(counts, counts, counts, counts, counts)
def test_the_ledger_adds_up_exactly_when_nothing_was_lost(
    ok: int, error: int, timeout: int, skipped: int, undrained: int
) -> None:
    total = ok + error + timeout + skipped + undrained
    assert Ledger(total, ok, error, timeout, skipped, undrained).adds_up
    assert not Ledger(total + 1, ok, error, timeout, skipped, undrained).adds_up


@pytest.mark.parametrize(
    ("change", "void"),
    [
        ({"client_busy": 0.95}, False),
        ({"delay_busy": 0.8}, False),
        ({"arrivals_rps": 480.0}, False),
        ({"send_lag": replace(LAG, p99_ms=9.0)}, False),
        ({"wrong_answers": 3}, True),
        ({"audit": Audit("view", 1, 1000, 1000)}, True),
        ({"connections_peak": 9}, True),
        ({"other_run": "eve"}, True),
    ],
)
def test_accounts_that_contradict_make_a_step_void_and_a_late_client_has_a_size(
    change: dict[str, object], void: bool
) -> None:
    evidence = replace(SOUND, **change)  # type: ignore[arg-type]
    assert bool(account_doubts(evidence, TOLERANCE)) == void
    assert bool(client_doubts(evidence, TOLERANCE)) != void


@pytest.mark.parametrize(
    ("latency_ms", "service_ms", "open_"), [(120, 80, True), (120, 110, False), (90, 60, False)]
)
def test_a_late_client_leaves_open_whether_the_objective_held_only_where_it_decides(
    latency_ms: float, service_ms: float, open_: bool
) -> None:
    latency, service = replace(FAST, p99_ms=latency_ms), replace(FAST, p99_ms=service_ms)
    late = Doubt(DoubtKind.SEND_LAG, 40, 10, subject="p99")
    assert undecided(OBJECTIVE, latency, service, [late]) == ((late,) if open_ else ())
    assert undecided(OBJECTIVE, latency, service, []) == ()


def test_a_variant_that_used_cpu_time_while_it_was_paused_is_told() -> None:
    quiet, busy = Turn("pace", 0, used_while_paused=0.002), Turn("pace", 0, used_while_paused=0.04)
    assert turn_notes(quiet, 0.2) == []
    (note,) = turn_notes(busy, 0.2)
    assert (note.kind, note.measured) == (DoubtKind.OTHERS_RAN, 0.04)
    assert sentence(note)


def test_a_turn_that_falls_behind_does_not_hold_however_short_its_backlog() -> None:
    assert behind(100, 98) == ()
    (missed,) = behind(100, 95)
    assert (missed.kind, missed.measured, missed.limit) == (DoubtKind.BEHIND, 95, 100)
    assert sentence(missed) == "95/s completed of 100/s"


@pytest.mark.parametrize(
    ("error_ms", "late_ms", "kept"), [(0.4, 0, True), (4.9, 0, True), (3, 3, False)]
)
def test_load_processes_begin_together_or_it_is_told(
    error_ms: float, late_ms: float, kept: bool
) -> None:
    workers = [
        LoadWorker("w0", "a", 500, 0.3, 0.0, 0.1, 0.0),
        LoadWorker("w1", "b", 500, 0.3, 10_000.0, error_ms, late_ms),
    ]
    found = client_doubts(replace(SOUND, load=tuple(workers)), Tolerance())
    assert [each.kind for each in found] == ([] if kept else [DoubtKind.STARTS_APART])
    assert all("w1" in sentence(each) for each in found)
