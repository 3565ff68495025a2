"""When variants are overloaded: relative to their own pace, one after another, within the time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from asyncdb_bench.measure.overloading import ROUNDS as OVERLOAD_ROUNDS
from asyncdb_bench.measure.schedule import FIRST_ROUNDS, RunSchedule
from asyncdb_bench.measure.turns import LaunchOrder, Now, TurnOrder
from asyncdb_bench.plan.profiles import climbs
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Overload, Plan, Trial
from benchmarks.simulated import Simulation, Truth
from tests.factories import manifest, settings

OVERLOAD = Overload(factor=2, before_s=1, length_s=2, after_s=4)
TRUTHS = {"native": Truth(8), "executor": Truth(16), "blocking": Truth(50, servers=1)}


def planned(*others: str, overload: Overload = OVERLOAD, **changes: Any) -> Plan:
    plan = manifest(tuple(TRUTHS), ("beyond", *others)).plan
    beyond, *rest = plan.scenarios
    beyond = replace(beyond, overload=overload, pace_only=True)
    usual = {"blocks": 1, "warmup_s": 0.2}
    return replace(
        plan, settings=settings(**(usual | changes)), trials=(), scenarios=(beyond, *rest)
    )


def run(plan: Plan, budget_s: float = 360) -> Simulation[RunSchedule]:
    found = Simulation(RunSchedule(plan, {}), lambda e: TRUTHS[e.variant], budget_s=budget_s)
    found.run()
    return found


def overloads(found: Simulation[RunSchedule]) -> list[TurnOrder]:
    return [each for each in found.turns if each.kind == "overload"]


def test_each_is_loaded_relative_to_its_own_pace_once_that_is_known() -> None:
    found = run(planned())
    assert Counter(each.variant for each in overloads(found)) == dict.fromkeys(
        TRUTHS, OVERLOAD_ROUNDS
    )
    for order in overloads(found):
        pace = TRUTHS[order.variant].capacity_rps
        assert order.load_rps == pytest.approx(pace / 2, rel=0.1)
        assert (order.share, order.window_s) == (0.5, 7)
        place = found.turns.index(order)
        before = found.turns[place - 1]
        assert (before.kind, before.variant) == ("pace", order.variant), "the pace of now"
        assert sum(each.kind == "pace" for each in found.turns[:place]) >= 3 * FIRST_ROUNDS
    rounds = {each.round for each in overloads(found)}
    assert len(rounds) == OVERLOAD_ROUNDS, "all of a round have its number, and no other round"
    assert {each.kind for each in found.turns} == {"pace", "overload", "idle"}


def test_rounds_that_are_given_are_had_in_pace_and_in_overload() -> None:
    found = run(planned(rounds=2))
    assert Counter(each.variant for each in overloads(found)) == dict.fromkeys(TRUTHS, 2)


def test_a_round_is_begun_when_there_is_time_for_all() -> None:
    found = run(planned(), budget_s=60)
    counts = Counter(each.variant for each in overloads(found))
    assert len(set(counts.values())) == 1
    assert 1 <= counts["native"] < OVERLOAD_ROUNDS
    assert found.now_s < 66
    short = run(planned(), budget_s=10)
    assert len(overloads(short)) == len(TRUTHS), "one round, or there would be no answer"


def test_other_scenarios_of_the_run_have_their_turns_too() -> None:
    found = run(planned("read"))
    kinds = {(each.scenario, each.kind) for each in found.turns}
    assert {("beyond", "overload"), ("read", "pace"), ("read", "common")} <= kinds
    assert ("beyond", "common") not in kinds


def test_an_overload_climbs_no_ladder() -> None:
    plan = planned()
    assert not climbs(settings(ladder=True), plan.scenarios[0])


def test_what_the_client_cannot_offer_is_said_and_not_asked() -> None:
    found = run(planned(outstanding=300))
    # 2 x 500/s for half a second are 500 clients that wait
    assert {each.variant for each in overloads(found)} == {"executor", "blocking"}
    (line,) = [each for each in found.schedule.news() if "not offered" in each]
    assert line.startswith("beyond: native not offered")


def test_a_variant_that_was_not_offered_its_load_twice_is_asked_no_more() -> None:
    schedule = RunSchedule(planned(), {})
    ended = Doubt(DoubtKind.NOT_OFFERED, 1000, 2, 0.5)
    asked: Counter[str] = Counter()
    simulation = Simulation(schedule, lambda e: TRUTHS[e.variant])
    simulation.run()
    steps = {(e.variant, e.turn.kind): e for e in simulation.steps}
    schedule = RunSchedule(planned(), {})
    said: list[str] = []
    while (order := schedule.next(Now(0, float("inf")))) is not None:
        said += schedule.news()
        if isinstance(order, LaunchOrder):
            trials = [Trial("t", 0, variant, scenario) for variant, scenario in order.asked]
            schedule.note_launch(order, trials)
            continue
        step = steps[order.variant, order.kind]
        if order.kind == "overload":
            asked[order.variant] += 1
            if order.variant == "native":
                step = replace(step, valid=False, reasons=(ended,))
        schedule.note_step(order, step)
    assert asked["native"] == 2
    assert asked["executor"] == OVERLOAD_ROUNDS
    assert len([each for each in said if "native not offered" in each]) == 1
