"""The gate's schedule: blocks, interim analyses, confirmation, on variants made up; in turns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.plan import Plan, Trial
from asyncdb_bench.regression.decision import Decision, LogRatios, Rules, overall_verdict
from asyncdb_bench.regression.gate_schedule import (
    GateSchedule,
    blocks_that_fit,
    decisions_of,
)
from asyncdb_bench.regression.pairs import Pair, confirmed, focus, pairs_of
from asyncdb_bench.regression.wording import decision_words
from asyncdb_bench.trial.schedule_loop import ScheduleLoop
from asyncdb_bench.trial.simulated import Silent, SimulatedRunner, Truth, Truths
from asyncdb_bench.trial.simulated_turns import SimulatedBlocks
from tests.factories import manifest, settings

RULES = Rules(most=8)
LADDER = (50.0, 100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0)
HEAD, BASE, AGAIN = "native", "native@base", "native@base#2"


def planned(budget_s: float = 0, *, ladder: bool = False) -> Plan:
    plan = manifest((HEAD, BASE, AGAIN)).plan
    asked = tuple(replace(each, ladder=LADDER) for each in plan.scenarios)
    how = settings(blocks=RULES.most, time_budget_s=budget_s, ladder=ladder, rounds=1, warmup_s=0.3)
    return replace(plan, scenarios=asked, settings=how, trials=())


def gated(truth: Truths, budget_s: float = 0) -> tuple[GateSchedule, SimulatedBlocks, Silent]:
    """Run a gate to its end on made-up variants."""
    schedule, runner, display = prepared(truth, budget_s)
    loop = looped(schedule, runner, display, budget_s)
    schedule.conclude(loop.run())
    return schedule, runner, display


def looped(
    schedule: GateSchedule, runner: SimulatedBlocks, display: Silent, budget_s: float = 0
) -> ScheduleLoop[GateSchedule]:
    return ScheduleLoop(
        schedule,
        SimulatedRunner(planned().settings, runner.truth),
        display,
        budget_s,
        clock=runner.clock,
        block_runner=runner,
    )


def prepared(truth: Truths, budget_s: float = 0) -> tuple[GateSchedule, SimulatedBlocks, Silent]:
    plan = planned(budget_s)
    head, *base = plan.variants
    pairs = pairs_of([("native", head)], [base], plan.scenarios)
    return GateSchedule(plan, pairs, RULES), SimulatedBlocks(plan.settings, truth), Silent()


def climbed(truth: Truths) -> tuple[GateSchedule, SimulatedRunner]:
    """Run a gate whose variants climb ladders."""
    plan = planned(ladder=True)
    head, *base = plan.variants
    schedule = GateSchedule(plan, pairs_of([("native", head)], [base], plan.scenarios), RULES)
    runner = SimulatedRunner(plan.settings, truth)
    schedule.conclude(ScheduleLoop(schedule, runner, Silent(), clock=runner.clock).run())
    return schedule, runner


def slower_head(factor: float) -> Truths:
    # so many servers that at half of the capacity nothing waits: the p50 follows the service time
    return lambda trial, _: Truth(10 * factor if trial.variant == HEAD else 10, 40)


def by_figure(schedule: GateSchedule) -> dict[str, Decision]:
    return {each.figure.name: each for each in decisions_of(schedule, "never measured")}


def verdicts(schedule: GateSchedule) -> dict[str, str]:
    return {name: each.verdict for name, each in by_figure(schedule).items()}


def test_nothing_changed_ends_early_with_pass() -> None:
    schedule, runner, _ = gated(slower_head(1))
    assert set(verdicts(schedule).values()) == {"pass"}
    assert schedule.blocks < RULES.most
    assert schedule.confirming == 0
    assert {each.purpose for each in runner.seen} == {"measure"}
    assert {each.figure.name for each in decisions_of(schedule, "")} == {
        "pace_rps",
        "p50_ms",
        "p95_ms",
        "loop_lag_p99_ms",
        "cpu_ms_net",
    }


def test_a_scenario_that_cannot_take_turns_climbs_around_what_a_pilot_finds() -> None:
    schedule, runner = climbed(slower_head(1))
    assert set(verdicts(schedule).values()) == {"pass"}
    assert {each.purpose for each in runner.seen} == {"pilot", "measure"}
    assert "capacity_rps" in verdicts(schedule)


def test_a_slower_head_that_climbs_is_found_too() -> None:
    schedule, _ = climbed(slower_head(1.25))
    assert overall_verdict(verdicts(schedule).values()) == "regress"
    assert by_figure(schedule)["p50_ms"].confirmed


def test_a_slower_head_is_a_regression_once_fresh_blocks_agree() -> None:
    schedule, runner, display = gated(slower_head(1.25))
    assert overall_verdict(verdicts(schedule).values()) == "regress"
    found = by_figure(schedule)["p50_ms"]
    assert found.confirmed
    assert found.interim.ratio == pytest.approx(1.25, abs=0.03)
    assert found.doubt is None
    assert verdicts(schedule)["cpu_ms_net"] == "pass"
    assert verdicts(schedule)["pace_rps"] == "regress"
    assert schedule.confirming >= RULES.first
    assert schedule.plan.trials == tuple(runner.seen), "the plan says what ran"
    assert any("confirming read · native" in line for line in display.said)


def test_confirming_blocks_are_told_by_their_purpose_and_numbered_from_zero() -> None:
    _, runner, _ = gated(slower_head(1.25))
    blocks = {each.block for each in runner.seen if each.purpose == "confirm"}
    assert min(blocks) == 0
    assert max(blocks) < RULES.most


def test_a_slowness_that_goes_away_is_not_confirmed() -> None:
    def passing(trial: Trial, before: int) -> Truth:
        return Truth(14 if trial.variant == HEAD and before < RULES.first else 10, 40)

    schedule, _, _ = gated(passing)
    found = by_figure(schedule)["p50_ms"]
    assert (found.verdict, found.confirmed) == ("inconclusive", False)


def test_one_fresh_block_for_which_alone_there_was_time_says_nothing() -> None:
    schedule, _, _ = gated(slower_head(1.4))
    suspected = replace(by_figure(schedule)["p50_ms"], confirmed=None)
    suspected = replace(suspected, interim=replace(suspected.interim, verdict="regress"))
    left = confirmed(suspected, LogRatios((0.4,)))
    assert (left.verdict, left.confirmed) == ("inconclusive", None)
    assert "no time to confirm it" in decision_words(left)
    again = confirmed(suspected, LogRatios((0.01, 0.0, -0.01)))
    assert "fresh blocks did not agree" in decision_words(again)


def test_every_block_holds_base_twice_and_head_once() -> None:
    schedule, runner, _ = gated(slower_head(1))
    for block in range(schedule.blocks):
        labels = sorted(
            each.variant for each in runner.seen if (each.block, each.purpose) == (block, "measure")
        )
        assert labels == [HEAD, BASE, AGAIN]


def test_a_base_that_does_not_start_is_invalid_and_head_is_measured() -> None:
    def broken(trial: Trial, _: int) -> Truth:
        return Truth(failure="no such table" if trial.variant != HEAD else "")

    schedule, runner, _ = gated(broken)
    assert set(verdicts(schedule).values()) == {"invalid"}
    found = by_figure(schedule)["p50_ms"]
    assert found.doubt is not None
    assert (found.doubt.kind, found.doubt.subject) == (DoubtKind.NOT_MEASURED, "no such table")
    assert found.head_mean is not None
    assert sum(each.variant == HEAD for each in runner.seen) == RULES.first


def test_every_block_after_the_first_compares_at_the_same_load() -> None:
    _, runner, _ = gated(slower_head(1))
    first, *rest = [each.common_rps for each in runner.blocks]
    assert (first, len(set(rest))) == (0, 1)
    assert rest[0] == pytest.approx(2000, rel=0.26), "half of 4,000 a second, or a tenth less"


def test_where_nothing_is_carried_nothing_is_decided() -> None:
    schedule, _ = climbed(lambda _, __: Truth(1000))
    assert set(verdicts(schedule).values()) == {"invalid"}
    doubt = by_figure(schedule)["p50_ms"].doubt
    assert doubt is not None
    assert "did not carry even 50/s" in doubt.subject


def test_an_interruption_leaves_nothing_open_and_nothing_red_unconfirmed() -> None:
    def until(trial: Trial, _: int) -> Truth:
        if trial.purpose == "confirm":
            raise KeyboardInterrupt
        return slower_head(1.25)(trial, 0)

    schedule, runner, display = prepared(until)
    loop = looped(schedule, runner, display)
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    schedule.conclude(loop.results)
    assert not {"open", "regress"} & set(verdicts(schedule).values())
    assert loop.results.steps


def test_no_block_is_begun_that_the_time_does_not_hold() -> None:
    whole = gated(slower_head(1.04))[1].now_s
    schedule, runner, _ = gated(slower_head(1.04), budget_s=whole / 2)
    assert runner.now_s <= whole / 2 * 1.05
    assert 0 < schedule.blocks < RULES.most
    assert "open" not in verdicts(schedule).values()


def test_a_blocks_ladder_begins_with_half_of_the_capacity() -> None:
    ladder = focus(500)
    assert ladder[:3] == (251, 251, 251)
    assert list(ladder[3:]) == sorted(ladder[3:])
    assert ladder[3] < 500 < ladder[-1]
    assert min(focus(0.5)) > 0


def test_pilots_that_differ_a_little_lead_to_the_same_loads() -> None:
    assert focus(480) == focus(500) == focus(540)
    assert focus(700) != focus(500)


def test_pairs_are_each_strategy_in_each_scenario() -> None:
    plan = manifest(("a", "b"), ("read", "slow")).plan
    a, b = plan.variants
    pairs = pairs_of([("a", a), ("b", b)], [[a], []], plan.scenarios)
    assert [(p.scenario.label, p.strategy, p.base) for p in pairs] == [
        ("read", "a", ("a",)),
        ("read", "b", ()),
        ("slow", "a", ("a",)),
        ("slow", "b", ()),
    ]
    assert not Pair("a", plan.scenarios[0], (), "a").is_open


def test_what_does_not_fit_is_known_beforehand() -> None:
    hour = settings(time_budget_s=3600)
    assert blocks_that_fit(settings(), 9, 9, with_capacity=True) >= 100, "no limit"
    one = blocks_that_fit(hour, 1, 1, with_capacity=True)
    many = blocks_that_fit(hour, 3, 4, with_capacity=True)
    assert one > 10 * many
    assert blocks_that_fit(hour, 3, 4, with_capacity=False) > many
    assert blocks_that_fit(settings(time_budget_s=10), 1, 1, with_capacity=True) == 0
