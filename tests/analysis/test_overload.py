"""What is said of an overload: against arrivals made by hand, and a queue that is simulated."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from asyncdb_bench.analysis.comparison import Comparison, compare_scenarios
from asyncdb_bench.analysis.decision import Sure, choice_of
from asyncdb_bench.analysis.inference import GOODPUT
from asyncdb_bench.analysis.overload import outcomes
from asyncdb_bench.analysis.step.overload import (
    Arrivals,
    calm_us,
    doubts_of,
    edges_us,
    for_nobody,
    overloaded,
    recovery_s,
)
from asyncdb_bench.analysis.ties import by_overload
from asyncdb_bench.analysis.verdict import decide
from asyncdb_bench.load.arrivals import shaped
from asyncdb_bench.records.doubts import DoubtKind, sentence
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.plan import CALM_SHARE, Overload, mean_factor
from asyncdb_bench.records.step import (
    Ledger,
    Observed,
    Outcome,
    Overloaded,
    Span,
    Step,
    Taken,
    Turn,
    Work,
)
from tests.factories import manifest, paces, settings, turn

OVERLOAD = Overload(factor=2, before_s=1, length_s=2, after_s=4, patience_ms=500)
PACE_RPS = 400.0


def reply(scheduled: int, ok: int, **changes: int) -> StepReply:
    values: dict[str, Any] = {"late": 0, "rows": ok} | changes
    return StepReply(
        started_ns=0, ledger=Ledger(scheduled, ok, 0, scheduled - ok, 0, 0), attempted=scheduled,
        locust_count=scheduled, wrong_answers=0, errors={}, cpu_s=0.0, connections=0, joined=0,
        bytes_sent=0, bytes_received=0, **values,
    )  # fmt: skip


def queue(*, cancels: bool, servers: int = 4, pace_rps: float = PACE_RPS) -> Arrivals:
    """Serve an overload first come, first served; whether it skips what would come too late."""
    base = CALM_SHARE * pace_rps
    due = shaped(base, 0, OVERLOAD.shape, (3,)) / 1e9
    service, patience = servers / pace_rps, OVERLOAD.patience_ms / 1000
    free = [0.0] * servers
    waited = np.empty(len(due))
    for place, at in enumerate(due):
        begins = max(at, free[0])
        if cancels and begins + service > at + patience:
            waited[place] = np.inf
            continue
        waited[place] = begins + service - at
        heapq.heapreplace(free, begins + service)
    right = waited <= patience
    outcome = np.where(right, int(Outcome.OK), int(Outcome.TIMEOUT)).astype(np.int8)
    us = (np.where(right, waited, patience) * 1e6).astype(np.int64)
    status = np.where(right, 200, 0).astype(np.int16)
    return Arrivals((due * 1e6).astype(np.int64), us, outcome, status)


def found_of(arrivals: Arrivals, **changes: int) -> Overloaded:
    ok = int(arrivals.right.sum())
    said = reply(len(arrivals.due_us), ok, **changes)
    observed = Observed(work=Work(0, len(arrivals.due_us), 9.0, 3))
    return overloaded(OVERLOAD, CALM_SHARE * PACE_RPS, arrivals, said, observed, 0.5)


def test_the_load_goes_from_half_of_the_pace_to_twice_and_back() -> None:
    shape = OVERLOAD.shape
    assert [each.seconds for each in shape] == [1, 2, 4]
    assert [each.factor * CALM_SHARE for each in shape] == [0.5, 2, 0.5]
    assert edges_us(OVERLOAD) == (1_000_000, 3_000_000, 7_000_000)
    due = shaped(CALM_SHARE * PACE_RPS, 0, shape, (1,))
    assert len(due) == PACE_RPS * (0.5 + 4 + 2)
    assert mean_factor(shape) == pytest.approx(len(due) / (CALM_SHARE * PACE_RPS * 7))


def test_who_works_on_for_clients_that_left_answers_nobody_until_it_has_caught_up() -> None:
    found = found_of(queue(cancels=False))
    assert found.before.share == 1
    # a queue grows by the pace each second: after 0.5 s it is longer than patience
    assert found.share_during == pytest.approx(0.5, abs=0.1)
    # 2 s of work are left at the end; half of the pace comes meanwhile: 3 s until half a second
    assert found.after.share == pytest.approx(0.25, abs=0.1)
    assert found.recovery_s is None or found.recovery_s > 3.5
    assert found.for_nobody is not None
    assert found.for_nobody > PACE_RPS


def test_who_begins_nothing_that_would_come_too_late_keeps_its_pace_and_is_back_soon() -> None:
    found = found_of(queue(cancels=True))
    assert found.share_during == pytest.approx(1, abs=0.3)
    assert found.after.share > 0.9
    # what waits at the end is half a second of work, which half of the pace doubles
    assert found.recovery_s is not None
    assert 0.3 < found.recovery_s < 1.5
    assert sum(found.answered) == found.before.right + found.during.right + found.after.right


def test_the_parts_count_what_was_due_in_them_by_what_became_of_it() -> None:
    due = np.array([0, 999_999, 1_000_000, 1_500_000, 2_000_000, 2_999_999, 3_000_000, 6_999_999])
    outcome = np.array([1, 1, 3, 3, 2, 1, 2, 1], np.int8)
    status = np.array([200, 200, 0, 504, 503, 200, 500, 200], np.int16)
    found = found_of(Arrivals(due, np.full(8, 1000), outcome, status))
    assert found.before == Span(1, 2, 2)
    assert found.during == Span(2, 4, 1, left=1, timed_out=1, refused=1)
    assert found.after == Span(4, 2, 1)
    assert found.sessions == 3


def test_a_turn_without_calm_before_it_or_that_was_not_offered_says_nothing() -> None:
    arrivals = queue(cancels=True)
    asked = reply(2600, 2600)
    assert doubts_of(found_of(arrivals), asked) == ()
    (late,) = doubts_of(found_of(arrivals), reply(2600, 2600, late=800))
    assert late.kind is DoubtKind.NOT_OFFERED
    assert sentence(late) == "not offered: of 800/s, 2 x its pace, the client asked 50% in time"
    busy = replace(arrivals, outcome=np.where(arrivals.due_us < 500_000, 3, 1).astype(np.int8))
    (before,) = doubts_of(found_of(busy), asked)
    assert before.kind is DoubtKind.NOT_CALM
    all_right = replace(arrivals, outcome=np.ones(len(arrivals.due_us), np.int8))
    (carried,) = doubts_of(found_of(all_right), asked)
    assert sentence(carried) == "no overload: it answered 1.6 x the pace that it had before"
    few = found_of(queue(cancels=True, pace_rps=10))
    assert [each.kind for each in doubts_of(few, asked)] == [DoubtKind.NOT_CALM]


def recovery(slow_until_s: float, *, again: bool = False) -> float | None:
    """Return the recovery of arrivals every 5 ms that are slow until then, a twentieth always."""
    due = np.arange(0, 7_000_000, 5000)
    slow = (due >= 1_000_000) & (due < 3_000_000 + slow_until_s * 1e6)
    if again:
        slow |= due > 5_000_000
    waited = np.where(slow | (np.arange(len(due)) % 25 == 0), 300_000, 10_000)
    right = np.ones(len(due), np.int8)
    found = Arrivals(due, waited, right, np.full(len(due), 200, np.int16))
    limit_us = calm_us(found, 1_000_000)
    return recovery_s(found, limit_us, 3_000_000, 7_000_000)


def test_recovery_is_the_first_request_from_which_on_latency_was_as_before() -> None:
    assert recovery(0.0) == pytest.approx(0, abs=0.02)
    assert recovery(1.5) == pytest.approx(1.5, abs=0.02)
    assert recovery(1.5, again=True) == pytest.approx(1.5, abs=0.02)
    assert recovery(3.9) is None
    assert recovery(5.0) is None


def test_what_was_carried_out_for_nobody_follows_from_the_databases_rows() -> None:
    requests, seconds = for_nobody(Work(0, 300, 6.0), reply(400, 100, rows=200))
    assert (requests, seconds) == (50, 6.0 * (100 / 300))
    assert for_nobody(Work(0, 200, 6.0), reply(400, 100, rows=200)) == (0, 0.0)
    assert for_nobody(None, reply(400, 100)) == (None, None)
    assert for_nobody(Work(0, 200, 6.0), reply(400, 0, rows=0)) == (None, None)


# of several ways


def overload_turn(name: str, kept: float, place: int, recovered: float | None = 0.5) -> Step:
    made = Overloaded(
        2, PACE_RPS, 500, Span(1, 200, 200), Span(2, 1600, round(800 * kept)),
        Span(4, 800, round(800 * kept)), recovered, 20.0, 10, 0.1, 0, 0.2,
        Taken(9, 8), Taken(9, 8), 0.2, (40,) * 5 + (round(80 * kept),) * 10 + (40,) * 20,
    )  # fmt: skip
    return turn(name, CALM_SHARE * PACE_RPS, "overload", number=place, overload=made)


def compared(
    values: Mapping[str, float], overloads: Mapping[str, Sequence[float]]
) -> tuple[Comparison, Comparison]:
    """Return the comparison of an overload, and of the same paces without one."""
    steps = paces(values, rounds=12)
    more = [
        overload_turn(name, kept, 20 + place)
        for name, own in overloads.items()
        for place, kept in enumerate(own)
    ]
    made = manifest(tuple(values), ("beyond", "read"))
    beyond, read = made.plan.scenarios
    plan = replace(made.plan, scenarios=(replace(beyond, overload=OVERLOAD, pace_only=True), read))
    both = [replace(each, scenario=name) for name in ("beyond", "read") for each in steps]
    found = compare_scenarios(
        replace(made, plan=plan), [], [*both, *(replace(e, scenario="beyond") for e in more)]
    )
    return found[0], found[1]


STEADY, POOR = (0.9, 0.92, 0.91, 0.9), (0.2, 0.22, 0.21, 0.2)


def test_an_overload_is_ranked_by_goodput_and_says_how_long_it_took() -> None:
    beyond, _ = compared({"native": 500, "executor": 700}, {"native": STEADY, "executor": POOR})
    assert beyond.findings.main is GOODPUT
    verdict = decide(beyond)
    assert (verdict.best, verdict.others) == (("native",), ("executor",))
    assert "of what its pace allows in time" in verdict.sentence
    asked = manifest(("native", "executor")).plan
    known = {each.label: each for each in asked.variants}
    choice = choice_of(asked.scenarios[0], beyond, verdict, known)
    assert choice.because == (
        "at 2 x its pace native answers 0.91 of it in time and is back after 0.5 s;"
        " executor 0.21, is back after 0.5 s"
    )


def test_one_turn_alone_or_a_pace_alone_is_no_verdict() -> None:
    paces_only, _ = compared({"native": 500, "executor": 100}, {})
    verdict = decide(paces_only)
    assert verdict.best == ()
    assert "no two were overloaded" in verdict.sentence
    one, _ = compared({"native": 500, "executor": 100}, {"native": STEADY[:1]})
    assert decide(one).best == ()
    three, _ = compared(
        {"native": 500, "executor": 400, "blocking": 80}, {"native": STEADY, "executor": POOR}
    )
    assert decide(three).open == ("blocking",), "who was not overloaded is not known to be worse"
    few, _ = compared(
        {"native": 500, "executor": 100}, {"native": STEADY[:1], "executor": POOR[:1]}
    )
    assert decide(few).open == ("executor",)


def test_a_decision_between_equal_paces_is_made_by_what_they_do_in_overload() -> None:
    values = {"native": 500.0, "executor": 501.0}
    beyond, read = compared(values, {"native": STEADY, "executor": POOR})
    asked = manifest(tuple(values)).plan
    known = {each.label: each for each in asked.variants}
    choice = choice_of(asked.scenarios[0], read, decide(read), known)
    assert choice.sure is Sure.SAME
    made = by_overload(choice, [beyond.findings], settings())
    assert (made.use, made.answer, made.sure) == (("native",), "native", Sure.KNOWN)
    assert made.because.startswith("the pace is the same within")
    assert made.because.endswith("native answers 0.91 of it in time, executor 0.21")
    alike, _ = compared(values, {"native": STEADY, "executor": STEADY})
    assert by_overload(choice, [alike.findings], settings()) == choice
    assert by_overload(choice, [], settings()) == choice


def test_a_way_that_comes_back_in_half_of_its_turns_or_fewer_does_not_come_back() -> None:
    steps = [overload_turn("native", 0.9, n, each) for n, each in enumerate((0.2, None, 0.4))]
    found = outcomes(steps)["native"]
    assert (found.turns, found.recovery_s, found.longest_s) == (3, 0.4, None)
    never = [replace(e, turn=Turn("overload", n)) for n, e in enumerate([steps[1]] * 2)]
    assert outcomes(never)["native"].recovery_s is None
    unsound = [replace(each, valid=False) for each in steps]
    assert outcomes(unsound) == {}
