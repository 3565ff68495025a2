"""The schedule that measures how often the gate errs, on variants made up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from asyncdb_bench.errors import MeasurementError
from asyncdb_bench.records.plan import Plan, Trial
from asyncdb_bench.regression.decision import Rules
from asyncdb_bench.regression.effects import PACE
from asyncdb_bench.regression.error_rate_schedule import COPIES, FAULTY, ErrorRateSchedule
from asyncdb_bench.regression.error_rates import decisions, false_alarms, power
from asyncdb_bench.trial.schedule_loop import Results, ScheduleLoop
from asyncdb_bench.trial.simulated import Silent, SimulatedRunner, Truth, Truths
from asyncdb_bench.trial.simulated_turns import SimulatedBlocks
from tests.factories import manifest, settings

LABELS = tuple(f"native#{place}" for place in range(1, COPIES + 1))


def planned() -> Plan:
    plan = manifest(LABELS).plan
    return replace(plan, settings=settings(rounds=1, warmup_s=0.3), trials=())


def measured(
    truth: Truths, blocks: int, budget_s: float = 0
) -> tuple[ErrorRateSchedule, SimulatedBlocks, Results]:
    schedule = ErrorRateSchedule(planned(), blocks)
    runner = SimulatedBlocks(schedule.plan.settings, truth)
    climber = SimulatedRunner(schedule.plan.settings, truth)
    loop = ScheduleLoop(
        schedule, climber, Silent(), budget_s, clock=runner.clock, block_runner=runner
    )
    return schedule, runner, loop.run()


def with_delay(trial: Trial, _: int) -> Truth:
    """A round trip costs 0.3 ms of service time."""
    return Truth(10.3 if "a round trip more" in trial.variant else 10, 10)


def test_a_block_holds_every_copy_and_every_fault_twice() -> None:
    schedule, runner, _ = measured(with_delay, 3)
    for block in range(3):
        counts = Counter(
            each.variant for each in runner.seen if (each.purpose, each.block) == ("measure", block)
        )
        assert set(counts.values()) == {1}
        assert set(LABELS) < set(counts)
        assert len(counts) == COPIES + 2 * FAULTY
    loads = {each.common_rps for each in runner.blocks[1:]}
    assert len(loads) == 1, "all at the load that the first block found"
    assert {each.fault for each in schedule.faulty} != {None}


def test_delays_are_sized_without_the_round_trip_that_they_cost_besides() -> None:
    schedule, _, _ = measured(with_delay, 1)
    (delay,) = {v.fault.delay_ms for v in schedule.faulty if v.fault and v.fault.delay_ms}
    (burn,) = {v.fault.cpu_ms for v in schedule.faulty if v.fault and v.fault.cpu_ms}
    # the median of an exponential service time is 0.69 of its mean; 10 % of it, less 0.2 ms
    assert delay == pytest.approx(0.49, abs=0.3)
    assert burn == pytest.approx(0.2, abs=0.03), "10 % of 2 ms of CPU per request"


def test_where_a_round_trip_alone_is_more_there_is_no_delay() -> None:
    def far(trial: Trial, _: int) -> Truth:
        return Truth(20 if "a round trip more" in trial.variant else 10, 10)

    schedule, runner, _ = measured(far, 1)
    assert {bool(v.fault and v.fault.delay_ms) for v in schedule.faulty} == {False}
    counted = {each.variant for each in runner.seen if each.purpose == "measure"}
    assert len(counted) == COPIES + FAULTY


def test_no_block_is_begun_that_the_time_does_not_hold() -> None:
    _, runner, _ = measured(with_delay, 50, budget_s=600)
    blocks = {each.block for each in runner.seen if each.purpose == "measure"}
    assert 0 < len(blocks) < 50


def test_a_variant_that_never_starts_is_told() -> None:
    with pytest.raises(MeasurementError, match="no sound turn to size the faults"):
        measured(lambda _, __: Truth(failure="no table"), 1)


def test_decisions_share_no_block() -> None:
    head = dict.fromkeys(range(20), 100.0) | {3: 101.0}
    base = [dict.fromkeys(range(20), 100.0), {n: 100 + 0.1 * (n % 3) for n in range(20)}]
    made = list(decisions(head, base, PACE, Rules()))
    assert sum(blocks for _, blocks in made) <= 20
    assert {verdict for verdict, _ in made} == {"pass"}
    assert len(made) == 5, "four blocks each"


def test_what_the_last_blocks_do_not_suffice_to_decide_is_left_out() -> None:
    few = dict.fromkeys(range(3), 100.0)
    assert list(decisions(few, [few, few], PACE, Rules())) == []


def test_a_suspicion_uses_as_many_fresh_blocks_again() -> None:
    good = {n: 100 + 0.1 * (n % 3) for n in range(8)}
    slow = {n: 80 + 0.1 * (n % 2) for n in range(8)}
    made = list(decisions(slow, [good, good], PACE, Rules()))
    assert made == [("regress", 4)], "four to suspect, four to confirm"
    assert false_alarms([good, good, good], PACE, Rules()).red == 0
    found = power("slower", [slow], [good, good], PACE, Rules())
    assert (found.red, found.decisions) == (1, 1)
    assert found.ratio == pytest.approx(0.8, abs=0.01)
