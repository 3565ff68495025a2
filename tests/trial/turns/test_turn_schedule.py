"""Blocks until the answers are sharp enough or time is up, on variants made up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from asyncdb_bench.plan.schedule import order
from asyncdb_bench.records.plan import Plan, Segment, Trial
from asyncdb_bench.trial.schedule_loop import ScheduleLoop
from asyncdb_bench.trial.simulated import Silent, SimulatedRunner, Truth
from asyncdb_bench.trial.simulated_turns import SimulatedBlocks, Speeds
from asyncdb_bench.trial.turns.turn_schedule import TurnSchedule
from tests.factories import manifest, settings

FAST, SAME, SLOW = Truth(8), Truth(8), Truth(12)


def planned(
    variants: tuple[str, ...], scenarios: tuple[str, ...] = ("read",), **changes: Any
) -> Plan:
    plan = manifest(variants, scenarios).plan
    how = settings(**({"blocks": 12, "warmup_s": 0.2} | changes))
    trials = order(plan.variants, plan.scenarios, how.blocks, plan.seed)
    return replace(plan, settings=how, trials=trials)


def run(
    plan: Plan, truths: dict[str, Truth], budget_s: float = 0, speeds: Speeds | None = None
) -> tuple[ScheduleLoop[TurnSchedule], SimulatedBlocks, Silent]:
    blocks = SimulatedBlocks(plan.settings, lambda trial, _: truths[trial.variant], speeds)
    climber = SimulatedRunner(plan.settings, lambda trial, _: truths[trial.variant])
    display = Silent()
    loop = ScheduleLoop(
        TurnSchedule(plan), climber, display, budget_s, clock=blocks.clock, block_runner=blocks
    )
    loop.run()
    return loop, blocks, display


def test_a_scenario_ends_once_its_answers_are_sharp_enough() -> None:
    loop, blocks, display = run(
        planned(("native", "executor", "blocking")),
        {"native": FAST, "executor": SAME, "blocking": SLOW},
    )
    assert 2 <= len(blocks.blocks) < 12
    assert any("read: sharp enough after" in line for line in display.said)
    assert loop.schedule.plan.settings.blocks == len(blocks.blocks)
    assert len(loop.schedule.plan.trials) == 3 * len(blocks.blocks), "the plan says what ran"


def test_where_it_stays_open_it_goes_on_until_the_last_block() -> None:
    noisy = Speeds(launch=0.2, round=0.2)
    _, blocks, _ = run(
        planned(("native", "executor"), blocks=6), {"native": FAST, "executor": SAME}, 0, noisy
    )
    assert len(blocks.blocks) == 6


def test_scenarios_have_their_blocks_in_turn_and_the_time_is_kept() -> None:
    noisy = Speeds(launch=0.2, round=0.2)
    plan = planned(("native", "executor"), ("read", "write"))
    _, blocks, _ = run(plan, {"native": FAST, "executor": SAME}, 150, noisy)
    counts = Counter(block.scenario for block in blocks.blocks)
    assert abs(counts["read"] - counts["write"]) <= 1
    assert blocks.now_s <= 150 * 1.02
    assert [block.scenario for block in blocks.blocks[:2]] == ["read", "write"]


def test_a_scenario_that_is_sharp_leaves_its_time_to_the_others() -> None:
    plan = planned(("native", "executor"), ("read", "write"), blocks=8)
    truths = {"native": FAST, "executor": SAME}
    speeds = {"read": Speeds(0.001, 0.001), "write": Speeds(0.2, 0.2)}
    blocks = SimulatedBlocks(plan.settings, lambda trial, _: truths[trial.variant])

    def by_scenario(block: Any, plan: Any, earlier: Any) -> Any:
        blocks.speeds = speeds[block.scenario]
        return blocks(block, plan, earlier)

    climber = SimulatedRunner(plan.settings, lambda trial, _: truths[trial.variant])
    loop = ScheduleLoop(
        TurnSchedule(plan), climber, Silent(), clock=blocks.clock, block_runner=by_scenario
    )
    loop.run()
    counts = Counter(block.scenario for block in blocks.blocks)
    assert counts["read"] < counts["write"] == 8


def test_all_blocks_after_the_first_ask_for_the_same_common_load() -> None:
    _, blocks, _ = run(planned(("native", "executor")), {"native": FAST, "executor": SLOW})
    first, *rest = [block.common_rps for block in blocks.blocks]
    assert first == 0
    assert len(set(rest)) == 1
    # half of the slower pace, 333 a second, to the tenth of a decade below
    assert rest[0] in {126, 158}


def test_what_cannot_be_asked_in_turns_climbs_within_its_part_of_the_time() -> None:
    plan = planned(("native", "executor"), ("read", "burst"), blocks=2)
    burst = replace(plan.scenarios[1], shape=(Segment(1, 1), Segment(1, 3)))
    plan = replace(plan, scenarios=(plan.scenarios[0], burst))
    loop, blocks, _ = run(plan, {"native": FAST, "executor": SLOW}, 200)
    assert {block.scenario for block in blocks.blocks} == {"read"}
    climbed = [end for end in loop.results.ends if end.scenario == "burst"]
    assert len(climbed) == 4
    assert sum(end.seconds for end in climbed) <= 100


def test_with_ladder_nothing_takes_turns() -> None:
    _, blocks, _ = run(planned(("native",), ladder=True, blocks=1), {"native": FAST})
    assert blocks.blocks == []


def test_a_variant_that_never_starts_keeps_no_one_from_an_answer() -> None:
    loop, blocks, _ = run(
        planned(("native", "executor", "broken")),
        {"native": FAST, "executor": SLOW, "broken": Truth(failure="no table")},
    )
    assert len(blocks.blocks) < 12
    assert {end.variant for end in loop.results.ends if end.failure} == {"broken"}


def test_trials_of_a_block_are_those_of_the_plan() -> None:
    plan = planned(("native", "executor"))
    _, blocks, _ = run(plan, {"native": FAST, "executor": SLOW})
    known: list[Trial] = list(plan.trials)
    assert all(trial in known for block in blocks.blocks for trial in block.trials)


def test_cells_beside_scenarios_have_one_block_and_a_map_of_cells_has_more() -> None:
    noisy = Speeds(launch=0.2, round=0.2)
    plan = planned(("native", "executor"), ("read", "cell"), blocks=4)
    cell = replace(plan.scenarios[1], place={"queries": 3, "ms": 2}, pace_only=True)
    truths = {"native": FAST, "executor": SAME}
    _, blocks, _ = run(replace(plan, scenarios=(plan.scenarios[0], cell)), truths, 0, noisy)
    counts = Counter(block.scenario for block in blocks.blocks)
    assert counts == {"read": 4, "cell": 1}
    alone = planned(("native", "executor"), ("cell",), blocks=4)
    _, blocks, _ = run(replace(alone, scenarios=(cell,)), truths, 0, noisy)
    assert len(blocks.blocks) == 4
