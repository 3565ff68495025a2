"""From a step's records to its judgement: clocks and audits."""

from __future__ import annotations

import time
from unittest.mock import Mock

import pytest

from asyncdb_bench.analysis.step.record import Measured, TrialContext, step_audit, whole_audit
from asyncdb_bench.analysis.step.validity import audit_doubts
from asyncdb_bench.measure.round_trips import Clocks
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.plan import Objective, Tolerance, Trial, Variant
from asyncdb_bench.records.step import Ledger, Observed, Turn, Work


def context(*, counts_rows: bool = True) -> TrialContext:
    return TrialContext(
        run_id="r",
        trial=Trial("t", 0, "native", "read"),
        variant=Variant("native", "native", {}, 8),
        objective=Objective(100),
        tolerance=Tolerance(),
        counts_rows=counts_rows,
    )


def measured(ledger: Ledger, rows: int, work: Work | None) -> Measured:
    reply = StepReply(
        started_ns=0,
        ledger=ledger,
        attempted=0,
        locust_count=0,
        wrong_answers=0,
        errors={},
        cpu_s=0,
        connections=0,
        rows=rows,
        joined=0,
        bytes_sent=0,
        bytes_received=0,
    )
    turn = Turn("common", 0)
    return Measured(0, turn, 100, 2, "", 0.0, Mock(), reply, Observed(work=work), None, {})


def test_a_clock_that_jumps_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks, real = Clocks(), time.time
    assert abs(clocks.jump_s()) < 0.05
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert clocks.jump_s() == pytest.approx(3600, abs=1)
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    assert clocks.jump_s() == pytest.approx(-86_400, abs=1)


def test_what_was_answered_must_have_been_done() -> None:
    ledger = Ledger(100, 100, 0, 0, 0, 0)
    audit = step_audit(context(), measured(ledger, 200, Work(commits=100, rows=200)))
    assert audit is not None
    assert audit_doubts(audit, 0.015) == []
    nothing = step_audit(context(), measured(ledger, 200, Work(commits=0, rows=0)))
    assert nothing is not None
    assert nothing.transactions is None, "without explicit commits this view does not tell"
    (reason,) = audit_doubts(nothing, 0.015)
    assert (reason.kind, reason.measured, reason.low) == (DoubtKind.ROWS, 0, 200)


def test_what_was_given_up_may_or_may_not_have_been_done() -> None:
    ledger = Ledger(100, 60, 5, 20, 0, 15)
    for done in (60, 80, 100):
        audit = step_audit(context(), measured(ledger, 120, Work(done, done * 2)))
        assert audit is not None
        assert audit_doubts(audit, 0.015) == []
    audit = step_audit(context(), measured(ledger, 120, Work(130, 260)))
    assert audit is not None
    assert len(audit_doubts(audit, 0.015)) == 2


def test_without_one_success_the_rows_of_a_request_are_not_known() -> None:
    ledger = Ledger(100, 0, 0, 100, 0, 0)
    audit = step_audit(context(), measured(ledger, 0, Work(70, 140)))
    assert audit is not None
    assert audit.rows is None
    assert audit_doubts(audit, 0.015) == []


def test_rows_that_are_not_declared_are_not_compared() -> None:
    ledger = Ledger(100, 100, 0, 0, 0, 0)
    audit = step_audit(context(counts_rows=False), measured(ledger, 0, Work(100, 5000)))
    assert audit is not None
    assert audit.rows is None


def test_a_database_that_does_not_tell() -> None:
    assert step_audit(context(), measured(Ledger(1, 1, 0, 0, 0, 0), 1, None)) is None
    assert whole_audit([], None, 5, 8) is None
    assert whole_audit([], 5, None, 8) is None


def test_a_whole_trial_and_the_transactions_in_which_its_backends_started() -> None:
    ledgers = [Ledger(50, 50, 0, 0, 0, 0), Ledger(100, 90, 0, 10, 0, 0)]
    audit = whole_audit(ledgers, 7, 7 + 148, 8)
    assert audit is not None
    assert (audit.transactions, audit.transactions_least, audit.transactions_most) == (
        148,
        140,
        158,
    )
    assert audit_doubts(audit, 0.015) == []
    half = whole_audit(ledgers, 7, 7 + 70, 8)
    assert len(audit_doubts(half, 0.015)) == 1
