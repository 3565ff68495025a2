"""What the turns of a scenario come to: costs, percentiles, losses of soundness, ladders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.findings import ScenarioFindings, findings_of
from asyncdb_bench.analysis.inference import CAPACITY, CPU, FREEZE, P50, P99, PACE, Said
from asyncdb_bench.analysis.ladder import climbs_of, common_rung
from asyncdb_bench.analysis.step.histogram import counts_of
from asyncdb_bench.analysis.values import Rest, gross_ms, net_ms, tells_pace, values_of
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.records.step import Step, Turn, Usage
from tests.factories import LATE, paces, settings, step, turn

BUSY = Doubt(DoubtKind.CLIENT_BUSY, 0.95, 0.9)


def findings(steps: Sequence[Step], objective_ms: float = 100) -> ScenarioFindings:
    names = dict.fromkeys(each.variant for each in steps)
    variants = [Variant(name, name, {}, 8) for name in names]
    return findings_of(steps, variants, settings(), objective_ms, {})


def common(variant: str, latency_ms: Sequence[float], number: int = 0, **changes: Any) -> Step:
    counts = counts_of(np.array(latency_ms) * 1000)
    return turn(variant, 100, "common", number=number, latency_counts=counts, **changes)


# what a turn cost


def test_cpu_is_net_of_what_is_used_at_rest() -> None:
    """Half of a core for 100 requests, of which 500 beats at 40 us are the heartbeat's."""
    rest = turn("a", 0, "idle", turn=Turn("idle", 0, beats=1000), usage=app(0.04))
    busy = turn("a", turn=Turn("pace", 0, beats=500), usage=app(0.5))
    found = Rest.of([rest, busy])
    assert found.beat_s == pytest.approx(40e-6)
    assert gross_ms(busy) == pytest.approx(5)
    assert net_ms(busy, found) == pytest.approx((0.5 - 0.02) * 1000 / 100)
    assert values_of([rest, busy], CPU, ["a"]).cells["a"] == {0: {0: pytest.approx(4.8)}}
    assert net_ms(turn("a", 0, "pace"), found) is None, "nothing was answered"


def app(cpu_s: float, **others: float) -> dict[str, Usage]:
    used = {"app": cpu_s} | others
    return {role: Usage(seconds, 50, 50, 1) for role, seconds in used.items()}


def test_workers_and_broker_are_charged_net_of_their_seconds_and_the_database_is_not() -> None:
    rest = turn("a", 0, "idle", usage=app(0.0, workers=0.03))
    busy = turn("a", usage=app(0.2, workers=0.3, postgresql=9))
    assert net_ms(busy, Rest.of([rest])) == pytest.approx((0.5 - 0.03 * 1.05) * 10)


def test_what_is_left_of_a_start_is_no_use_at_rest() -> None:
    """A turn at rest in which workers were still starting makes their answers no cheaper."""
    starting = turn("a", 0, "idle", usage=app(0.0, workers=0.6))
    busy = [turn("a", usage=app(0.2, workers=used)) for used in (0.3, 0.4)]
    assert Rest.of([starting, *busy]).other == pytest.approx(0.3 / 1.05)
    assert net_ms(busy[1], Rest.of([starting, *busy])) == pytest.approx((0.6 - 0.3) * 10)


# percentiles


def test_percentiles_are_of_all_rounds_together() -> None:
    steps = [common("a", (1.0,) * 99 + (9.0,)), common("a", (3.0,) * 100, 1)]
    found = findings(steps)
    # 99 of 200 took 1 ms, so the 100th took 3 ms; of the first turn alone the p99 is 1 ms
    assert found.tables[P50.name].values["a"] == pytest.approx(3, rel=0.003)
    assert found.tables[P99.name].values["a"] == pytest.approx(3, rel=0.003)
    assert found.common_rps == 100


def test_batches_of_rounds_say_how_a_percentile_strays_and_not_what_it_is() -> None:
    rng = np.random.default_rng(1)
    steps = [common("a", list(rng.gamma(2, 5, 300)), number) for number in range(12)]
    table = findings(steps).tables[P99.name]
    assert len(table.cells["a"][0]) > 1
    everything = np.concatenate([np.random.default_rng(1).gamma(2, 5, 3600)])
    assert table.values["a"] == pytest.approx(np.quantile(everything, 0.99), rel=0.02)
    low, high = table.bounds("a") or (0, 0)
    assert low < table.values["a"] < high


def test_a_freeze_far_below_a_millisecond_matters_to_no_one() -> None:
    steps = [
        turn(name, 100, "common", number=n, lag_counts=counts_of(np.full(100, lag * 1000)))
        for name, lag in {"a": 0.1, "b": 0.2}.items()
        for n in range(3)
    ]
    table = findings([*steps, *paces({"a": 200, "b": 100})]).tables[FREEZE.name]
    assert table.values == {"a": pytest.approx(0.1, rel=0.05), "b": pytest.approx(0.2, rel=0.05)}
    found = table.ratio("a", "b")
    assert found is not None
    assert found.ratio == pytest.approx(1.2 / 1.1, rel=0.01)


# what is not sound, and what is in doubt


def test_turns_that_were_not_sound_do_not_count() -> None:
    good, bad = turn("a"), turn("a", 900, number=1, valid=False, reasons=(LATE,))
    assert values_of([good, bad], PACE, ["a"]).cells["a"] == {0: {0: 100}}
    assert findings([bad]).leader == ""


def test_a_busy_client_bounds_a_pace_from_below_and_turns_only_what_it_could() -> None:
    limited = [replace(each, doubts=(BUSY,)) for each in paces({"fast": 1000})]
    far = findings([*limited, *paces({"slow": 100})])
    assert far.table.slack["fast"].up > 1
    assert far.table.slack["fast"].down == 0
    (answer,) = far.beside
    assert answer.said is Said.WORSE, "it could be faster still"
    limited = [replace(each, doubts=(BUSY,)) for each in paces({"slow": 500})]
    (answer,) = findings([*limited, *paces({"fast": 1000})]).beside
    assert answer.said is Said.UNSOUND, "what the client held back may be ahead"


@pytest.mark.parametrize("rates", [{"fast": 1000, "slow": 500}, {"fast": 1000, "slow": 1000}])
def test_no_answer_is_sound_where_the_database_was_not_watched(rates: dict[str, float]) -> None:
    unwatched = Doubt(DoubtKind.UNWATCHED, subject="permission denied for view")
    turns = paces(rates, rounds=40)
    assert findings(turns).beside[0].said in (Said.WORSE, Said.SAME)
    (answer,) = findings([replace(each, notes=(unwatched,)) for each in turns]).beside
    assert answer.said is Said.UNSOUND


def test_late_sends_are_as_much_off_a_percentile_as_they_were() -> None:
    """Two variants apart by 10 ms of 20; the client was late by 23 ms in one of them."""
    late = {"doubts": (LATE,), "service_counts": counts_of(np.full(200, 7_000))}
    steps = [common("a", [20.0] * 200, n) for n in range(6)]
    steps += [common("b", [30.0] * 200, n, **late) for n in range(6)]
    found = findings([*steps, *paces({"a": 200, "b": 100})])
    slack = found.tables[P99.name].slack["b"]
    assert slack.down == pytest.approx(math.log(30 / 7), rel=0.01)
    assert slack.doubt
    said = found.said(P99.name, "b")
    assert said is not None
    assert said.said is Said.UNSOUND
    clear = [common("a", [20.0] * 200, n) for n in range(6)]
    clear += [common("b", [200.0] * 200, n, **late) for n in range(6)]
    clear = [replace(each, service_counts=counts_of(np.full(200, 185_000))) for each in clear]
    said = findings([*clear, *paces({"a": 200, "b": 100})]).said(P99.name, "b")
    assert said is not None
    assert said.said is Said.WORSE


# the pace, and the capacity that follows from it


def test_the_fastest_leads_and_each_is_held_against_it_by_every_figure() -> None:
    found = findings(paces({"native": 100, "executor": 140, "celery": 138}, rounds=24))
    assert (found.main, found.leader) == (PACE, "executor")
    assert {each.other: each.said for each in found.beside} == {
        "native": Said.WORSE,
        "celery": Said.SAME,
    }
    cpu = found.said(CPU.name, "native")
    assert cpu is not None
    assert cpu.said is Said.SAME
    backwards = found.compare(PACE, "native", "executor", settings())
    assert backwards.said is Said.BETTER
    assert found.compare(CAPACITY, "executor", "native", settings()).ratio is not None
    assert found.turns == 72


def test_capacity_is_the_pace_times_the_share_at_which_the_objective_is_lost() -> None:
    tried = [
        turn("a", share * 200, "limit", number=n, turn=Turn("limit", n, share=share), holds=holds)
        for n, (share, holds) in enumerate([(0.7, True), (0.8, False), (0.75, False)] * 6)
    ]
    found = findings([*paces({"a": 200}), *tried])
    carried = found.capacities["a"]
    assert carried.low < carried.rps < carried.high
    assert carried.rps == pytest.approx(200 * 0.72, rel=0.06)
    untried = findings(paces({"a": 200})).capacities["a"]
    assert not untried.tried
    assert untried.high / untried.low > carried.high / carried.low


def test_one_variant_alone_has_its_figures_with_intervals() -> None:
    found = findings([*paces({"a": 200}), *[common("a", [5.0] * 300, n) for n in range(4)]])
    assert (found.leader, found.beside) == ("a", ())
    for name in (PACE.name, P99.name, CPU.name):
        assert found.tables[name].bounds("a") is not None, name


# ladders


def climb(variant: str, top: float, loads: Sequence[float], **changes: Any) -> list[Step]:
    return [step(variant, load, p99=20 if load <= top else 300, **changes) for load in loads]


def test_a_ladders_capacity_lies_between_the_highest_that_held_and_the_next() -> None:
    found = findings([*climb("a", 300, (100, 200, 300, 400)), *climb("b", 100, (100, 200))])
    assert (found.main, found.leader) == (CAPACITY, "a")
    carried = found.capacities["a"]
    assert 300 < carried.rps < 400
    assert (carried.low, carried.high) == pytest.approx((300, 400))
    assert found.common_rps == common_rung({"a": climb("a", 300, (100, 200))}) == 200


def test_where_the_p99_crosses_the_objective_is_where_the_capacity_is() -> None:
    (one,) = climbs_of([step("a", 100, p99=50), step("a", 200, p99=200)], 100)
    assert one.crossing == pytest.approx(math.sqrt(100 * 200))
    failing = [step("a", 100), step("a", 200, p99=30, failed=5)]
    (one,) = climbs_of(failing, 100)
    assert one.crossing == 100, "it was missed by something else"


def test_a_ladder_that_ended_first_leaves_the_capacity_open() -> None:
    open_ = findings([*climb("a", 900, (100, 200, 300)), *climb("b", 300, (100, 200, 300))])
    assert open_.capacities["a"].open_ended
    assert {each.said for each in open_.beside} == {Said.UNKNOWN}
    (answer,) = open_.beside
    assert answer.times_more is None, "more rounds of the same loads would not tell"
    known = findings([*climb("a", 900, (100, 200, 300)), *climb("b", 100, (100, 200))])
    (answer,) = known.beside
    assert answer.said is Said.WORSE, "it is at least 300 against 100 to 200"


def test_who_carried_nothing_has_no_place_in_the_ranking() -> None:
    found = findings([step("a", 100), step("a", 200, p99=400), step("b", 100, p99=400)])
    assert found.leader == "a"
    assert found.capacities["b"].rps == 0
    assert found.capacities["b"].high == 100
    assert [each.other for each in found.beside] == []


def test_an_unsound_rung_is_neither_carried_nor_missed() -> None:
    steps = [step("a", 100), step("a", 200, valid=False, reasons=(LATE,)), step("a", 300, p99=400)]
    (one,) = climbs_of(steps)
    assert (one.carried, one.missed) == (100, 300)


@given(st.integers(1, 5))
def test_each_launch_climbs_by_itself(launches: int) -> None:
    steps = [each for n in range(launches) for each in climb("a", 300, (300, 400), block=n)]
    assert [each.launch for each in climbs_of(steps)] == list(range(launches))
    found = findings([*steps, *[replace(each, variant="b") for each in steps]])
    assert found.table.launches == launches


def test_a_window_with_few_answers_says_no_pace_unless_it_is_as_long_as_it_may_be() -> None:
    short = turn("native", 20.0)
    assert not tells_pace(replace(short, window_s=0.1))
    assert tells_pace(replace(short, window_s=0.5))
    assert tells_pace(replace(short, achieved_rps=4.0, window_s=2.0))
    assert not tells_pace(replace(short, achieved_rps=0.0, window_s=2.0))
