"""The gate's schedule: rounds, launches, analyses and confirmation, on variants made up."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.extensions.gate.decision import GATED, Decision, Rules, pairs_of, said_of_all
from asyncdb_bench.extensions.gate.page import decision_words
from asyncdb_bench.extensions.gate.schedule import GateSchedule
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.files import LaunchSpread, Seen
from asyncdb_bench.records.plan import Plan, Purpose
from tests.factories import manifest, settings
from tests.made_turns import MadeRun, Truth, Truths

RULES = Rules()
LADDER = (100.0, 200.0, 400.0, 800.0, 1600.0)
ANY_MACHINE: Seen = {}
QUIET_MACHINE = {each.name: LaunchSpread(1e-6, 1000) for each in GATED}
"""One whose launches are known to stray little."""
HEAD, BASE, AGAIN = "native", "native@base", "native@base#2"


def planned(*, ladder: bool = False) -> Plan:
    plan = manifest((HEAD, BASE, AGAIN)).plan
    asked = tuple(replace(each, ladder=LADDER) for each in plan.scenarios)
    how = settings(blocks=RULES.launches, ladder=ladder, warmup_s=0.3)
    return replace(plan, scenarios=asked, settings=how, trials=())


def prepared(
    truth: Truths, budget_s: float = math.inf, *, ladder: bool = False, seen: Seen = ANY_MACHINE
) -> tuple[GateSchedule, MadeRun]:
    plan = planned(ladder=ladder)
    head, *base = plan.variants
    pairs = pairs_of([("native", head, base)], plan.scenarios)
    schedule = GateSchedule(plan, pairs, RULES, seen)
    return schedule, MadeRun(schedule, truth, budget_s)


def gated(
    truth: Truths, budget_s: float = math.inf, *, ladder: bool = False, seen: Seen = ANY_MACHINE
) -> tuple[dict[str, Decision], GateSchedule, MadeRun]:
    """Run a gate to its end; return its decisions by metric, too."""
    schedule, run = prepared(truth, budget_s, ladder=ladder, seen=seen)
    run.run()
    return decided(schedule, run), schedule, run


def decided(schedule: GateSchedule, run: MadeRun) -> dict[str, Decision]:
    return {each.metric.name: each for each in schedule.conclude(run.ends)}


def slower_head(factor: float) -> Truths:
    """Return truths of which head's pace and median are worse by a factor."""
    slow = Truth(1000 / factor, 5 * factor)
    return lambda label, _: slow if label == HEAD else Truth()


def test_nothing_changed_is_the_same_and_ends_early_where_launches_stray_little() -> None:
    found, schedule, run = gated(slower_head(1), seen=QUIET_MACHINE)
    assert list(found) == [each.name for each in GATED]
    assert {each.said for each in found.values()} == {Said.SAME}
    assert {order.purpose for order in run.launches} == {"measure"}
    assert schedule.pairs[0].rounds < RULES.rounds[-1]
    assert found["pace_rps"].judged.rounds == RULES.first, "what is settled has no more analyses"
    assert not schedule.confirming


def test_every_round_has_base_twice_and_head_once_at_one_load() -> None:
    _, _, run = gated(slower_head(1.02))
    rounds: dict[tuple[str, int], list[str]] = {}
    launches = 0
    for _, order in run.turns:
        launches += order.kind == "idle" and order.variant == HEAD
        if order.kind != "idle":
            rounds.setdefault((f"{order.kind} {launches}", order.round), []).append(order.variant)
    assert {tuple(sorted(labels)) for labels in rounds.values()} == {(HEAD, BASE, AGAIN)}
    assert len({tuple(labels) for labels in rounds.values()}) > 1, "in random order"
    assert len({order.load_rps for _, order in run.turns if order.kind == "common"}) == 1


def test_a_slower_head_is_worse_once_a_fresh_launch_agrees() -> None:
    found, schedule, run = gated(slower_head(1.25))
    worse = {name for name, each in found.items() if each.said is Said.WORSE}
    # the made-up loop freeze follows the latency
    assert worse == {"pace_rps", "p50_ms", "p95_ms", "loop_lag_p99_ms"}
    assert found["cpu_ms_per_request"].said is Said.SAME
    assert found["pace_rps"].confirmed
    assert found["pace_rps"].change == pytest.approx(1 / 1.25 - 1, abs=0.04)
    assert found["p50_ms"].change == pytest.approx(0.25, abs=0.06)
    assert [order.purpose for order in run.launches][-1] == "confirm"
    assert any("confirming read · native" in line for line in run.said)
    assert schedule.confirming
    assert {each.purpose for each in schedule.plan.trials} == {"measure", "confirm"}


def test_a_faster_head_is_better_and_needs_no_confirmation() -> None:
    found, schedule, _ = gated(slower_head(0.8))
    assert found["pace_rps"].said is Said.BETTER
    assert said_of_all(found.values()) is Said.BETTER
    assert not schedule.confirming


def test_a_slowness_that_goes_away_is_not_confirmed() -> None:
    def passing(label: str, purpose: Purpose) -> Truth:
        return slower_head(1.3 if purpose == "measure" else 1)(label, purpose)

    found, _, _ = gated(passing)
    pace = found["pace_rps"]
    assert (pace.said, pace.confirmed) == (Said.UNKNOWN, False)
    assert "a fresh launch did not agree" in decision_words(pace)


def test_an_interruption_leaves_nothing_open_and_nothing_red_unconfirmed() -> None:
    def until(label: str, purpose: Purpose) -> Truth:
        if purpose == "confirm":
            raise KeyboardInterrupt
        return slower_head(1.3)(label, purpose)

    schedule, run = prepared(until)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    found = decided(schedule, run)
    assert all(each.judged.settled for each in found.values())
    assert found["pace_rps"].said is Said.UNKNOWN
    assert "no time for more, or to confirm it" in decision_words(found["pace_rps"])


def test_time_that_is_short_is_kept_and_what_it_told_is_said() -> None:
    found, schedule, run = gated(slower_head(1.04), budget_s=60)
    assert run.spent_s < 60 + 10
    assert 0 < schedule.pairs[0].rounds < RULES.rounds[-1]
    assert all(each.judged.settled for each in found.values())
    assert found["pace_rps"].judged.rounds == schedule.pairs[0].rounds


def test_where_launching_takes_most_of_the_time_there_are_fewer_launches_and_still_rounds() -> None:
    schedule, run = prepared(slower_head(1.04), budget_s=60)
    run.launch_s = 20
    run.run()
    assert len(run.launches) == 1
    assert schedule.pairs[0].rounds > 3


def test_a_base_that_does_not_start_is_not_sound_and_head_is_measured() -> None:
    found, _, run = gated(
        lambda label, _: Truth(failure="no such table" if label != HEAD else ""), budget_s=200
    )
    assert {each.said for each in found.values()} == {Said.UNSOUND}
    doubt = found["pace_rps"].doubt
    assert doubt is not None
    assert (doubt.kind, doubt.subject) == (DoubtKind.NOT_MEASURED, "no such table")
    assert {each.variant for each in run.ends} == {BASE, AGAIN}
    paces = [order for _, order in run.turns if order.kind == "pace"]
    assert {order.variant for order in paces} == {HEAD}
    assert len(paces) == RULES.first


@pytest.mark.parametrize(("factor", "said"), [(1, Said.SAME), (2.5, Said.WORSE)])
def test_what_climbs_a_ladder_is_decided_from_its_launches(factor: float, said: Said) -> None:
    found, _, run = gated(slower_head(factor), ladder=True)
    assert {order.kind for _, order in run.turns} == {"idle", "rung"}
    assert found["p50_ms"].said is said
    assert "capacity_rps" in found


def test_where_a_ladder_carries_nothing_nothing_is_decided() -> None:
    found, _, _ = gated(lambda _, __: Truth(pace_rps=10), ladder=True)
    capacity = found["capacity_rps"]
    assert (capacity.said, capacity.judged.rounds) == (Said.UNSOUND, 0)


def test_pairs_are_each_strategy_in_each_scenario() -> None:
    plan = manifest(("a", "b"), ("read", "slow")).plan
    a, b = plan.variants
    pairs = pairs_of([("a", a, [a]), ("b", b, [])], plan.scenarios)
    assert [(p.scenario.label, p.strategy, p.base, p.is_open) for p in pairs] == [
        ("read", "a", ("a",), True),
        ("read", "b", (), False),
        ("slow", "a", ("a",), True),
        ("slow", "b", (), False),
    ]
