"""The gate's schedule: pilot, blocks, interim analyses, confirmation, on variants made up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.plan import Plan, Trial
from asyncdb_bench.regression.decision import Decision, Rules, overall_verdict
from asyncdb_bench.regression.gate_schedule import (
    GateSchedule,
    blocks_that_fit,
    decisions_of,
)
from asyncdb_bench.regression.pairs import Pair, focus, pairs_of
from asyncdb_bench.trial.schedule_loop import ScheduleLoop
from asyncdb_bench.trial.simulated import Silent, SimulatedRunner, Truth, Truths
from tests.factories import manifest, settings

RULES = Rules(most=8)
LADDER = (50.0, 100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0)
HEAD, BASE, AGAIN = "native", "native@base", "native@base#2"


def planned(budget_s: float = 0) -> Plan:
    plan = manifest((HEAD, BASE, AGAIN)).plan
    asked = tuple(replace(each, ladder=LADDER) for each in plan.scenarios)
    how = settings(blocks=RULES.most, time_budget_s=budget_s)
    return replace(plan, scenarios=asked, settings=how, trials=())


def gated(truth: Truths, budget_s: float = 0) -> tuple[GateSchedule, SimulatedRunner, Silent]:
    """Run a gate to its end on made-up variants."""
    schedule, runner, display = prepared(truth, budget_s)
    loop = ScheduleLoop(schedule, runner, display, budget_s, clock=runner.clock)
    schedule.conclude(loop.run())
    return schedule, runner, display


def prepared(truth: Truths, budget_s: float = 0) -> tuple[GateSchedule, SimulatedRunner, Silent]:
    plan = planned(budget_s)
    head, *base = plan.variants
    pairs = pairs_of([("native", head)], [base], plan.scenarios)
    return GateSchedule(plan, pairs, RULES), SimulatedRunner(plan.settings, truth), Silent()


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
    assert schedule.blocks == RULES.first
    assert schedule.confirming == 0
    assert {each.purpose for each in runner.seen} == {"pilot", "measure"}


def test_a_slower_head_is_a_regression_once_fresh_blocks_agree() -> None:
    schedule, runner, display = gated(slower_head(1.25))
    assert overall_verdict(verdicts(schedule).values()) == "regress"
    found = by_figure(schedule)["p50_ms"]
    assert found.confirmed
    assert found.interim.ratio == pytest.approx(1.25, abs=0.03)
    assert found.doubt is None
    assert verdicts(schedule)["cpu_ms_per_request"] == "pass"
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
    assert sum(each.variant == HEAD for each in runner.seen) == 1 + RULES.first


def test_where_nothing_is_carried_nothing_is_decided() -> None:
    schedule, _, _ = gated(lambda _, __: Truth(1000))
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
    loop = ScheduleLoop(schedule, runner, display, clock=runner.clock)
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
