"""The fake runner, against the queueing theory that it claims to follow; plans run through it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.records.plan import Trial
from asyncdb_bench.trial.schedule_loop import ScheduleLoop
from asyncdb_bench.trial.simulated import (
    Silent,
    SimulatedRunner,
    Truth,
    erlang_c,
    response_ms,
)
from asyncdb_bench.trial.turns.turn_schedule import TurnSchedule
from tests.factories import manifest, settings

LADDER = (50.0, 100.0, 200.0, 400.0, 800.0)


@given(st.integers(1, 50), st.floats(0.01, 0.99))
def test_erlang_c_is_its_definition(servers: int, share: float) -> None:
    busy = servers * share
    last = busy**servers / math.factorial(servers) / (1 - share)
    whole = sum(busy**k / math.factorial(k) for k in range(servers)) + last
    assert erlang_c(servers, busy) == pytest.approx(last / whole)


@pytest.mark.parametrize("load", [1.0, 50.0, 90.0])
def test_one_server_is_the_known_case(load: float) -> None:
    """M/M/1: the response time is exponential with mean 1 / (service rate - arrival rate)."""
    p50, _, p99, _ = response_ms(Truth(10, 1), load, 1)
    mean = 1000 / (100 - load)
    assert p50 == pytest.approx(mean * math.log(2))
    assert p99 == pytest.approx(mean * math.log(100))


def test_beyond_the_capacity_the_queue_grows_until_the_step_ends() -> None:
    p50, _, _, longest = response_ms(Truth(10, 1), 200, 2)
    assert longest == pytest.approx(1000, rel=0.05)
    assert p50 == pytest.approx(longest / 2)


def run(budget_s: float = 0, **truths: Truth) -> tuple[ScheduleLoop[TurnSchedule], SimulatedRunner]:
    plan = manifest(tuple(truths)).plan
    asked = tuple(replace(each, ladder=LADDER) for each in plan.scenarios)
    plan = replace(plan, scenarios=asked, settings=settings(ladder=True))
    runner = SimulatedRunner(plan.settings, lambda trial, _: truths[trial.variant])
    loop = ScheduleLoop(TurnSchedule(plan), runner, Silent(), budget_s, clock=runner.clock)
    loop.run()
    return loop, runner


def test_a_plan_is_climbed_variant_by_variant() -> None:
    loop, runner = run(native=Truth(8), executor=Truth(12, 2))
    assert [each.id for each in runner.seen] == ["t0", "t1"]
    assert {each.why for each in loop.results.ends} == {"saturated"}
    carried = {s.variant: s.offered_rps for s in loop.results.steps if s.holds}
    assert carried == {"native": 400, "executor": 100}


def test_a_variant_that_does_not_start_ends_its_trial_and_not_the_run() -> None:
    loop, _ = run(native=Truth(failure="no table"), executor=Truth())
    first, second = loop.results.ends
    assert (first.why, first.failure) == ("failed", "no table")
    assert second.why != "failed"


def test_every_trial_gets_its_share_of_the_time() -> None:
    loop, runner = run(12, native=Truth(2), executor=Truth(2))
    limits = [each.limit_s for each in runner.seen]
    assert all(0 < each <= 12 for each in limits)
    assert {each.why for each in loop.results.ends} == {"time"}


def test_a_trial_without_a_ladder_of_its_own_takes_the_scenarios() -> None:
    _, runner = run(native=Truth(4))
    assert runner.seen == [Trial("t0", 0, "native", "read")]
