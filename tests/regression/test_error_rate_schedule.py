"""The schedule that measures how often the gate errs, on variants made up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from asyncdb_bench.errors import MeasurementError
from asyncdb_bench.records.plan import Plan, Trial
from asyncdb_bench.regression.error_rate_schedule import COPIES, SIZES, ErrorRateSchedule
from asyncdb_bench.trial.schedule_loop import ScheduleLoop
from asyncdb_bench.trial.simulated import Silent, SimulatedRunner, Truth, Truths
from tests.factories import manifest, settings

LABELS = tuple(f"native#{place}" for place in range(1, COPIES + 1))


def planned() -> Plan:
    plan = manifest(LABELS).plan
    asked = tuple(
        replace(each, ladder=(50.0, 100.0, 200.0, 400.0, 800.0, 1600.0)) for each in plan.scenarios
    )
    return replace(plan, scenarios=asked, settings=settings(), trials=())


def measured(
    truth: Truths, blocks: int, budget_s: float = 0
) -> tuple[ErrorRateSchedule, list[Trial]]:
    schedule = ErrorRateSchedule(planned(), blocks)
    runner = SimulatedRunner(schedule.plan.settings, truth)
    ScheduleLoop(schedule, runner, Silent(), budget_s, clock=runner.clock).run()
    return schedule, runner.seen


def with_delay(trial: Trial, _: int) -> Truth:
    """A round trip costs 0.3 ms of service time."""
    return Truth(10.3 if trial.variant.endswith("a round trip more") else 10, 10)


def test_a_block_holds_every_copy_and_every_fault_once() -> None:
    schedule, seen = measured(with_delay, 3)
    for block in range(3):
        counts = Counter(t.variant for t in seen if (t.purpose, t.block) == ("measure", block))
        assert set(counts.values()) == {1}
        assert set(LABELS) < set(counts)
        assert len(counts) == len(schedule.plan.variants) - 1, "all but the round trip"
    assert 400 <= schedule.load <= 566, "half of what the pilot carried: 800 to 1131"


def test_delays_are_sized_without_the_round_trip_that_they_cost_besides() -> None:
    schedule, _ = measured(with_delay, 1)
    delays = [v.fault.delay_ms for v in schedule.faulty if v.fault and v.fault.delay_ms][1:]
    burns = [v.fault.cpu_ms for v in schedule.faulty if v.fault and v.fault.cpu_ms]
    assert len(delays) == len(burns) == len(SIZES)
    # the median of an exponential service time is 0.69 of its mean
    assert burns[-1] - delays[-1] == pytest.approx(0.21, abs=0.2)


def test_no_block_is_begun_that_the_time_does_not_hold() -> None:
    _, seen = measured(with_delay, 50, budget_s=1500)
    blocks = {each.block for each in seen if each.purpose == "measure"}
    assert 0 < len(blocks) < 50


def test_a_machine_that_carries_nothing_is_told() -> None:
    with pytest.raises(MeasurementError, match="did not carry even 50/s"):
        measured(lambda _, __: Truth(2000), 1)
