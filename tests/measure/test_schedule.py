"""Which turn is next in a run, on made-up variants: in time, and where it decides."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from asyncdb_bench.analysis.comparison import compare_scenarios
from asyncdb_bench.measure.schedule import (
    ASIDE_ROUNDS,
    ASIDE_SHARE,
    FIRST_ROUNDS,
    LOAD_SHARE,
    RunSchedule,
)
from asyncdb_bench.measure.turn_orders import LOADS
from asyncdb_bench.measure.turns import RUN_IN_ROUNDS, LaunchOrder, TurnOrder
from asyncdb_bench.records.plan import Plan, Segment, Trial
from benchmarks.simulated import Simulation, Strays, Truth
from tests.factories import manifest, settings

FAST, SAME, SLOW = Truth(8), Truth(8), Truth(12)
USUAL, NOISY = Strays(), Strays(0.004, 0.25)


def planned(
    variants: tuple[str, ...], scenarios: tuple[str, ...] = ("read",), **changes: Any
) -> Plan:
    plan = manifest(variants, scenarios).plan
    return replace(plan, settings=settings(**({"blocks": 3, "warmup_s": 0.2} | changes)), trials=())


def run(
    plan: Plan,
    truths: Mapping[str, Truth],
    budget_s: float = 90,
    strays: Strays = USUAL,
    lost: Callable[[TurnOrder], bool] = lambda _: False,
    fitting: tuple[frozenset[str], ...] = (),
) -> Simulation[RunSchedule]:
    schedule = RunSchedule(plan, {}, fitting)
    found = Simulation(
        schedule, lambda trial: truths[trial.variant], budget_s=budget_s, strays=strays, lost=lost
    )
    found.run()
    return found


def once(variant: str, kind: str, place: int) -> Callable[[TurnOrder], bool]:
    """Return what says that a part is lost in one turn alone: the given one of its kind."""
    had: list[TurnOrder] = []

    def lost(order: TurnOrder) -> bool:
        if (order.variant, order.kind) != (variant, kind):
            return False
        had.append(order)
        return len(had) == place + 1

    return lost


def rounds(found: Simulation[RunSchedule], *kinds: str) -> list[tuple[str, list[str]]]:
    """Return scenario and variants of each round, in their order."""
    turns = [each for each in found.turns if each.kind in kinds]
    grouped = itertools.groupby(turns, lambda each: (each.scenario, each.kind, each.round))
    return [(key[0], [each.variant for each in group]) for key, group in grouped]


def launches(found: Simulation[RunSchedule]) -> list[LaunchOrder]:
    return [each for each in found.orders if isinstance(each, LaunchOrder)]


def test_every_scenario_has_its_first_rounds_before_any_has_more_in_random_order() -> None:
    plan = planned(("native", "executor", "blocking"), ("read", "slow", "mixed"))
    found = run(plan, {"native": FAST, "executor": SAME, "blocking": SLOW}, strays=NOISY)
    first = rounds(found, "pace")[: 3 * FIRST_ROUNDS]
    for place in range(FIRST_ROUNDS):
        cycle = first[3 * place : 3 * place + 3]
        assert {scenario for scenario, _ in cycle} == {"read", "slow", "mixed"}
        assert all(sorted(who) == ["blocking", "executor", "native"] for _, who in cycle)
    assert len({scenario for scenario, _ in first[::3]}) > 1, "no scenario always goes first"
    assert len({tuple(who) for _, who in first}) > 2, "nor a variant"
    again = run(plan, {"native": FAST, "executor": SAME, "blocking": SLOW}, strays=NOISY)
    assert again.orders == found.orders, "it follows from the seed"


def test_the_time_goes_to_the_scenario_that_is_open() -> None:
    plan = planned(("native", "executor"), ("read", "slow"))
    chance = random.Random(5)

    def truth(trial: Trial) -> Truth:
        return Truth(8 * math.exp(chance.gauss(0, 0.2 if trial.scenario == "slow" else 0)))

    found = Simulation(RunSchedule(plan, {}), truth, budget_s=70, strays=Strays(0.001, 0.005))
    found.run()
    counts = Counter(scenario for scenario, _ in rounds(found, "pace"))
    assert counts["slow"] > 2 * counts["read"]
    assert counts["read"] >= FIRST_ROUNDS


def test_turns_at_a_load_take_their_share_of_the_time_while_a_pace_is_open() -> None:
    plan = planned(("native", "executor"), ("read", "slow"))
    chance = random.Random(5)

    def truth(trial: Trial) -> Truth:
        if trial.scenario == "slow":
            return Truth(400 if trial.variant == "native" else 600)
        return Truth(8 * math.exp(chance.gauss(0, 0.2)))

    found = Simulation(RunSchedule(plan, {}), truth, budget_s=150, strays=Strays(0.001, 0.005))
    found.run()
    spent: dict[tuple[str, bool], float] = defaultdict(float)
    for each in found.turns:
        spent[each.scenario, each.kind in LOADS] += each.lead_s + each.window_s
    loads = {name: spent[name, True] for name in ("read", "slow")}
    assert sum(loads.values()) < (LOAD_SHARE + 0.1) * sum(spent.values())
    # by time, whose single turns take longer has fewer of them
    assert 0.5 < loads["read"] / loads["slow"] < 2


def test_who_is_known_to_be_far_behind_takes_part_now_and_then() -> None:
    plan = planned(("native", "executor", "blocking"))
    found = run(
        plan, {"native": FAST, "executor": Truth(8.2), "blocking": SLOW}, strays=Strays(0.004, 0.07)
    )
    turns = Counter(each.variant for each in found.turns if each.kind == "pace")
    assert turns["executor"] >= 1.5 * turns["blocking"]
    assert turns["blocking"] >= FIRST_ROUNDS


@pytest.mark.parametrize(
    ("budget_s", "service_ms"), [(20, 20), (20, 1000), (60, 1), (90, 20), (90, 1000)]
)
def test_the_time_budget_is_kept(budget_s: float, service_ms: float) -> None:
    plan = planned(("native", "executor"), ("read", "slow"))
    found = run(
        plan, {"native": Truth(service_ms), "executor": Truth(service_ms * 1.03)}, budget_s, NOISY
    )
    # a round that was begun ends; with requests of a second its turns are long
    assert found.now_s <= budget_s + (3 if service_ms < 1000 else 6)
    assert {(e.variant, e.scenario) for e in found.turns if e.kind == "pace"} == {
        (v, s) for v in ("native", "executor") for s in ("read", "slow")
    }


def test_it_ends_once_all_is_sharp_enough_and_says_so() -> None:
    found = run(planned(("native", "executor")), {"native": FAST, "executor": SLOW}, 600)
    assert found.now_s < 300
    assert [line for line in found.schedule.news() if "sharp enough after" in line]
    (comparison,) = compare_scenarios(
        replace(manifest(("native", "executor")), plan=found.schedule.plan),
        found.ends,
        found.steps,
    )
    assert comparison.findings.leader == "native"


def test_without_a_budget_it_ends_although_launches_stray_too_much_to_tell() -> None:
    plan = planned(("celery", "celery_aio"), blocks=1)
    variants = tuple(replace(each, brokers=("redis",)) for each in plan.variants)
    plan = replace(plan, variants=variants)
    found = run(plan, {"celery": FAST, "celery_aio": SAME}, float("inf"), Strays(0.004, 0.4))
    assert len(rounds(found, "pace")) < 400


def test_a_long_run_is_launched_up_to_three_times_and_a_short_one_once() -> None:
    plan = planned(("native", "executor"))
    truths = {"native": FAST, "executor": SAME}
    found = [launches(run(plan, truths, budget_s, NOISY)) for budget_s in (40, 100, 210)]
    assert [[each.number for each in own] for own in found] == [[0], [0, 1], [0, 1, 2]]


def test_what_lies_beside_costs_the_main_answers_little_and_is_measured_in_the_end() -> None:
    plan = planned(("native", "executor"), ("read", "near", "cell"))
    read, near, cell = plan.scenarios
    near = replace(near, beside="read", pace_only=True)
    cell = replace(cell, place={"queries": 3.0, "ms": 2.0}, pace_only=True)
    plan = replace(plan, scenarios=(read, near, cell))
    busy = run(plan, {"native": FAST, "executor": SAME}, 70, NOISY)
    spent: dict[str, float] = defaultdict(float)
    for each in busy.turns:
        spent[each.scenario] += each.lead_s + each.window_s
    assert 0 < spent["near"] + spent["cell"] < 1.5 * ASIDE_SHARE * sum(spent.values())
    quiet = run(plan, {"native": FAST, "executor": SLOW}, 240, Strays(0.001, 0.01))
    counts = Counter(scenario for scenario, _ in rounds(quiet, "pace"))
    assert counts["near"] == counts["cell"] == ASIDE_ROUNDS


def test_a_map_of_cells_alone_is_measured_cell_by_cell() -> None:
    plan = planned(("native", "executor"), ("one", "two"))
    cells = tuple(replace(e, place={"queries": 1.0}, pace_only=True) for e in plan.scenarios)
    found = run(replace(plan, scenarios=cells), {"native": FAST, "executor": SLOW}, 60)
    counts = Counter(scenario for scenario, _ in rounds(found, "pace"))
    assert min(counts.values()) >= FIRST_ROUNDS
    assert {each.kind for each in found.turns} == {"pace", "idle"}


def test_rounds_that_are_given_are_had_and_no_more() -> None:
    found = run(
        planned(("native", "executor"), ("read", "slow"), rounds=3, blocks=1),
        {"native": FAST, "executor": SAME},
        strays=NOISY,
    )
    assert Counter(scenario for scenario, _ in rounds(found, "pace")) == {"read": 3, "slow": 3}
    assert Counter(each.variant for each in found.turns if each.kind == "idle") == {
        "native": 1,
        "executor": 1,
    }


def test_a_variant_rests_once_what_is_left_of_its_start_is_over() -> None:
    variants = {"native": FAST, "executor": SLOW}
    found = run(planned(tuple(variants), ("read", "slow")), variants, 60)
    for label in variants:
        kinds = [each.kind for each in found.turns if each.variant == label]
        scenarios = [each.scenario for each in found.turns if each.variant == label]
        before = Counter(scenarios[: kinds.index("idle")])
        assert min(before[name] for name in ("read", "slow")) >= RUN_IN_ROUNDS


def test_one_variant_alone_has_its_pace_its_loads_and_its_rest() -> None:
    found = run(planned(("native",)), {"native": FAST}, 120, Strays(0.004, 0.05))
    assert {each.kind for each in found.turns} == {"idle", "pace", "common", "limit", "share"}
    assert found.now_s < 120


def test_a_variant_that_never_starts_keeps_no_one_from_an_answer() -> None:
    truths = {"native": FAST, "executor": SLOW, "broken": Truth(failure="no table")}
    found = run(planned(("native", "executor", "broken")), truths, 600)
    assert found.now_s < 300
    assert {end.variant for end in found.ends if end.failure} == {"broken"}


def test_what_was_lost_is_measured_again_by_as_many_rounds() -> None:
    """Also where rounds are given, and it lost its part in the last of them."""
    plan = planned(("native", "executor"), rounds=3, blocks=1)
    found = run(plan, {"native": FAST, "executor": SAME}, lost=once("native", "pace", 2))
    sound = [step for step in found.results.steps if step.variant == "native"]
    assert sum(step.turn.kind == "pace" for step in sound) >= 3
    assert sum(step.turn.kind == "idle" for step in sound) == 1, "it rests again, too"
    assert {step.trial for step in sound} == {"native-measure-0-again"}


def test_who_is_lost_twice_is_asked_no_more_and_the_others_go_on() -> None:
    plan = planned(("native", "executor", "blocking"), ("read", "slow"))
    truths = {"native": FAST, "executor": SLOW, "blocking": SLOW}
    found = run(
        plan,
        truths,
        lost=lambda e: e.variant == "blocking" and e.scenario == "slow" and e.kind == "pace",
    )
    asked = Counter((e.variant, e.scenario) for e in found.turns if e.kind == "pace")
    assert asked["blocking", "slow"] == 2
    assert asked["blocking", "read"] >= FIRST_ROUNDS
    assert asked["native", "slow"] >= FIRST_ROUNDS


def test_what_does_not_fit_into_memory_at_once_is_launched_one_after_another() -> None:
    found = run(
        planned(("native", "executor"), blocks=1),
        {"native": FAST, "executor": SLOW},
        fitting=(frozenset({"native"}), frozenset({"executor"})),
    )
    assert [{variant for variant, _ in each.asked} for each in launches(found)] == [
        {"native"},
        {"executor"},
    ]
    assert {each.variant for each in found.turns if each.kind == "pace"} == {"native", "executor"}


# ladders

LADDER = (50.0, 100.0, 200.0, 400.0, 800.0)


def climbing(**changes: Any) -> Plan:
    plan = planned(("native", "executor"), ladder=True, **changes)
    return replace(plan, scenarios=tuple(replace(e, ladder=LADDER) for e in plan.scenarios))


def rungs(found: Simulation[RunSchedule], variant: str) -> list[float]:
    return [e.load_rps for e in found.turns if e.kind == "rung" and e.variant == variant]


def test_each_climbs_its_ladder_to_where_it_is_saturated_in_every_launch() -> None:
    found = run(climbing(ladder_blocks=2), {"native": FAST, "executor": Truth(12, 2)})
    assert len(launches(found)) == 2
    assert rungs(found, "native") == [*LADDER, *LADDER]
    assert rungs(found, "executor") == [*LADDER[:3], *LADDER[:3]]
    assert {each.round for each in found.turns} == {0}, "all are offered the same arrivals"


def test_who_loses_a_part_climbs_anew_from_the_start() -> None:
    found = run(climbing(), {"native": FAST, "executor": FAST}, lost=once("native", "rung", 2))
    assert rungs(found, "native") == [*LADDER[:3], *LADDER]
    assert rungs(found, "executor") == list(LADDER)


def test_where_all_lost_their_part_in_one_climb_all_climb_anew() -> None:
    schedule = RunSchedule(climbing(), {})
    found = Simulation(schedule, lambda _: FAST)
    done: list[str] = []

    def shared(order: TurnOrder) -> bool:
        if done and order.variant != done[0] and len(done) == 1:
            done.append(order.variant)
            schedule.note_lost(schedule.plan.trials)
        done[:] = done or [order.variant]
        return False

    found.lost = shared
    found.run()
    first, second = done
    assert rungs(found, first) == [*LADDER, *LADDER]
    assert rungs(found, second) == list(LADDER)


def test_what_climbs_and_what_takes_turns_share_the_time() -> None:
    plan = planned(("native", "executor"), ("read", "burst"), blocks=2)
    burst = replace(plan.scenarios[1], shape=(Segment(1, 1), Segment(1, 3)), ladder=LADDER)
    plan = replace(plan, scenarios=(plan.scenarios[0], burst))
    found = run(plan, {"native": FAST, "executor": SLOW}, 70)
    kinds = Counter((e.scenario, e.kind == "rung") for e in found.turns)
    assert kinds["burst", True] >= 4
    assert kinds["read", True] == kinds["burst", False] == 0
    climbed_s = sum(e.window_s for e in found.turns if e.kind == "rung")
    assert climbed_s <= 0.6 * 70
