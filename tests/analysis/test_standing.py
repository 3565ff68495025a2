"""Which steps stand where parts of trials were lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.comparison import compare_scenarios
from asyncdb_bench.analysis.step.validity import dead
from asyncdb_bench.analysis.values import MOST, not_measured, standing
from asyncdb_bench.measure.loop import Losses
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.step import Ledger, TrialEnd, Turn
from tests.factories import end, manifest, step

DIED = Doubt(DoubtKind.DIED, subject="the application was killed by SIGKILL at 07:00:00 UTC")
LATE = Doubt(DoubtKind.SEND_LAG, 9, 1, subject="p99")


RUNG = Turn("rung", 0)


def lost(trial: str, variant: str = "native") -> TrialEnd:
    return end(variant, trial=trial, failure=DIED.subject, reasons=(DIED,))


def test_nothing_that_a_lost_trial_measured_stands() -> None:
    steps = [
        step("native", trial="a"),
        step("native", trial="a", scenario="slow"),
        step("native", trial="a-again"),
        step("executor"),
    ]
    ends = [lost("a"), end("native", trial="a-again")]
    assert standing(steps, ends) == steps[1:], "what other scenarios measured in it stands"


def test_a_void_window_does_not_stand_where_its_trial_has_no_end() -> None:
    steps = [step("native", reasons=(DIED,), valid=False), step("native", reasons=(LATE,))]
    assert standing(steps, []) == steps[1:]


@given(st.integers(0, 4), st.integers(0, 4))
def test_a_variant_that_is_lost_twice_is_not_measured(losses: int, whole: int) -> None:
    ends = [lost(f"l{n}") for n in range(losses)] + [
        end("native", trial=f"w{n}") for n in range(whole)
    ]
    steps = [step("native", trial=f"w{n}") for n in range(whole)]
    out = losses >= MOST
    assert bool(not_measured(ends)) == out
    assert len(standing(steps, ends)) == (0 if out else whole)
    counted = Losses()
    assert [counted.note("read", "native") for _ in range(losses)] == [n < 1 for n in range(losses)]
    assert counted.out("read", "native") == out


def test_it_has_a_reason_and_no_place_in_the_comparison() -> None:
    ends = [lost("t0"), lost("t0-again"), end("executor", trial="t1")]
    steps = standing([step("native", trial="t0"), step("executor", trial="t1")], ends)
    (found,) = compare_scenarios(manifest(), ends, steps)
    assert set(found.capacities) == {"executor"}
    assert found.absence("native") == f"not measured, because {DIED.subject}"
    assert found.absent == "not measured: native"


def reply(ok: int, error: int, timeout: int, undrained: int, wrong: int, text: str) -> StepReply:
    scheduled = ok + error + timeout + undrained
    return StepReply(
        started_ns=0,
        ledger=Ledger(scheduled, ok, error, timeout, 0, undrained),
        attempted=scheduled,
        locust_count=scheduled,
        wrong_answers=wrong,
        errors={text: error + timeout} if error + timeout else {},
        cpu_s=0.1,
        connections=1,
        rows=0,
        joined=0,
        bytes_sent=0,
        bytes_received=0,
    )


def kinds(found: tuple[Doubt, ...]) -> list[DoubtKind]:
    return [each.kind for each in found]


def test_failures_at_a_load_that_is_carried_are_no_finding() -> None:
    pace, limit = Turn("pace", 0, connections=32), Turn("limit", 0)
    failing = reply(90, 10, 0, 0, 0, "500: boom")
    assert kinds(dead(failing, pace, lowest=False)) == [DoubtKind.SILENT]
    assert dead(failing, limit, lowest=False) == ()
    assert dead(failing, RUNG, lowest=True) == (), "beyond its capacity a variant may fail"
    assert dead(reply(90, 10, 0, 0, 10, "wrong answer"), pace, lowest=False) == ()
    assert dead(reply(5, 0, 0, 27, 0, ""), pace, lowest=False) == (), "slow is not dead"


def test_one_that_answers_nothing_is_dead_and_one_that_is_overwhelmed_is_not() -> None:
    silent = reply(0, 0, 20, 0, 0, "no answer within 2 s")
    assert kinds(dead(silent, RUNG, lowest=True)) == [DoubtKind.SILENT]
    assert dead(silent, RUNG, lowest=False) == ()
    assert kinds(dead(silent, Turn("share", 0), lowest=False)) == [DoubtKind.SILENT]


def test_a_service_that_refuses_is_named_whatever_the_load() -> None:
    for text in (
        "500: InternalError: cannot execute INSERT in a read-only transaction",
        "503: could not extend file: No space left on device",
        "503: FATAL: sorry, too many clients already",
        "500: OOM command not allowed when used memory > 'maxmemory'",
    ):
        (found,) = dead(reply(900, 5, 0, 0, 0, text), RUNG, lowest=False)
        assert found.kind is DoubtKind.REFUSED
        assert text in found.subject
