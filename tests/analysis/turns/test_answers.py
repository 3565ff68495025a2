"""Three answers: different by how much, the same within how much, or not known; and when."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from asyncdb_bench.analysis.step.histogram import counts_of
from asyncdb_bench.analysis.turns.answers import Said, answer, blocks_wanting, settled, table_of
from asyncdb_bench.analysis.turns.nested import Ratio
from asyncdb_bench.analysis.turns.values import CPU, FREEZE, P50, P99, PACE, Rest, cells, net_ms
from asyncdb_bench.records.step import Ledger, Step, Turn, Usage
from tests.factories import LATE, step


def turn(
    variant: str,
    kind: Any,
    block: int,
    round_: int = 0,
    *,
    pace: float = 100,
    cpu_s: float = 0.5,
    beats: int = 1000,
    latency_ms: tuple[float, ...] = (),
    **changes: Any,
) -> Step:
    count = 0 if kind == "idle" else round(pace)
    return step(
        variant,
        pace,
        block=block,
        achieved_rps=pace,
        ledger=Ledger(count, count, 0, 0, 0, 0),
        usage={"app": Usage(cpu_s, 50, 50, 1)},
        window_s=1.0,
        lasted_s=1.0,
        turn=Turn(kind, round_, beats=beats),
        latency_counts=counts_of(np.array(latency_ms) * 1000) if latency_ms else (),
        **changes,
    )


def paces(values: dict[str, list[float]]) -> list[Step]:
    """Return turns at full speed: a value per block, in two rounds that differ a little."""
    return [
        turn(name, "pace", block, number, pace=pace * (1 + 0.02 * number))
        for name, own in values.items()
        for block, pace in enumerate(own)
        for number in (0, 1)
    ]


def said(values: dict[str, list[float]], other: str) -> Said:
    table = table_of(paces(values), PACE, values)
    return answer(table, table.best, other, 0.05, 0.05).said


def test_one_that_is_slower_is_told_with_by_how_much() -> None:
    values = {"native": [100.0, 101, 99, 100], "executor": [140.0, 142, 139, 141]}
    table = table_of(paces(values), PACE, values)
    assert table.best == "executor"
    found = answer(table, "executor", "native", 0.05, 0.05)
    assert found.said is Said.WORSE
    assert found.ratio is not None
    assert found.ratio.ratio == pytest.approx(100 / 140.5, rel=0.01)
    low, high = found.ratio.bounds or (0, 0)
    assert low < 100 / 140.5 < high < 0.8


def test_two_that_are_the_same_are_said_to_be() -> None:
    alike = {"a": [100.0, 101, 99, 100, 100], "b": [100.0, 99, 101, 100, 100]}
    table = table_of(paces(alike), PACE, alike)
    assert answer(table, "a", "b", 0.05, 0.05).said is Said.SAME


def test_what_the_blocks_do_not_tell_is_not_known_and_how_long_it_would_take() -> None:
    values = {"a": [100.0, 130, 90, 110], "b": [95.0, 100, 120, 80]}
    table = table_of(paces(values), PACE, values)
    found = answer(table, table.best, "b", 0.05, 0.05)
    assert found.said is Said.UNKNOWN
    assert found.more_blocks is not None
    assert found.more_blocks > 4


def test_one_block_alone_answers_nothing() -> None:
    assert said({"a": [100.0], "b": [50.0]}, "b") is Said.UNKNOWN


def test_a_small_difference_that_is_certain_is_the_same_within_it() -> None:
    steady = {"a": [100.0] * 6, "b": [98.0, 98.1, 97.9, 98, 98, 98]}
    assert said(steady, "b") is Said.SAME


def test_more_blocks_are_wanted_the_further_the_interval_is_from_telling() -> None:
    far = Ratio(0.3, 0.2, 4, 2, 3)
    near = Ratio(0.3, 0.1, 4, 2, 3)
    assert blocks_wanting(far, 0.05, 0.05) > blocks_wanting(near, 0.05, 0.05)
    nothing = Ratio(0.0, 0.02, 4, 2, 3)
    wanted = 3 * (nothing.half_width / math.log(1.05)) ** 2
    assert blocks_wanting(nothing, 0.05, 0.05) == math.ceil(wanted) - 3


def test_a_scenario_is_settled_by_pace_and_cpu_of_all_beside_the_best() -> None:
    sharp = paces({"a": [100.0, 100.5, 99.5], "b": [50.0, 50.2, 49.8]})
    assert settled(sharp, ["a", "b"], 0.05, 0.05)
    blunt = paces({"a": [100.0, 150, 70], "b": [50.0, 50.2, 90]})
    assert not settled(blunt, ["a", "b"], 0.05, 0.05)
    assert not settled(sharp, ["a"], 0.05, 0.05), "nothing to compare with"
    assert not settled([], ["a", "b"], 0.05, 0.05)


def test_cpu_is_net_of_what_is_used_at_rest() -> None:
    """Half of a core for 100 requests, of which 500 beats at 40 us are the heartbeat's."""
    rest = turn("a", "idle", 0, cpu_s=0.04, beats=1000)
    busy = turn("a", "pace", 0, cpu_s=0.5, beats=500)
    found = Rest.of([rest, busy])
    assert found.beat_s == pytest.approx(40e-6)
    assert net_ms(busy, found) == pytest.approx((0.5 - 0.02) * 1000 / 100)
    assert cells([rest, busy], CPU) == {0: {0: pytest.approx(4.8)}}


def test_workers_and_broker_are_net_of_their_seconds() -> None:
    rest = turn("a", "idle", 0, cpu_s=0.0)
    worker = Usage(0.03, 50, 50, 5)
    rest = Step(**{**_fields(rest), "usage": {"app": Usage(0, 1, 1, 1), "workers": worker}})
    busy = turn("a", "pace", 0, cpu_s=0.2)
    busy = Step(**{**_fields(busy), "usage": {**busy.usage, "workers": Usage(0.3, 1, 1, 5)}})
    assert net_ms(busy, Rest.of([rest])) == pytest.approx((0.5 - 0.03 * 1.05) * 10, rel=1e-6)


def _fields(one: Step) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Step.__dataclass_fields__}


def test_percentiles_are_of_all_rounds_together() -> None:
    steps = [
        turn("a", "common", 0, 0, latency_ms=(1.0,) * 99 + (9.0,)),
        turn("a", "common", 0, 1, latency_ms=(3.0,) * 100),
    ]
    # 99 of 200 took 1 ms, so the 100th took 3 ms; of the first turn alone the p99 is 1 ms
    assert cells(steps, P50)[0] == {-1: pytest.approx(3, rel=0.003)}
    assert cells(steps, P99)[0] == {-1: pytest.approx(3, rel=0.003)}


def test_turns_that_were_not_sound_do_not_count() -> None:
    good, bad = turn("a", "pace", 0, 0), turn("a", "pace", 0, 1, valid=False, reasons=(LATE,))
    assert cells([good, bad], PACE) == {0: {0: 100}}


def test_a_freeze_far_below_a_millisecond_matters_to_no_one() -> None:
    lags = {"a": 0.1, "b": 0.2}
    steps = [
        turn(name, "common", block, lag_counts=counts_of(np.full(100, lag * 1000)))
        for name, lag in lags.items()
        for block in range(3)
    ]
    table = table_of(steps, FREEZE, lags)
    assert table.values == {"a": pytest.approx(0.1, rel=0.05), "b": pytest.approx(0.2, rel=0.05)}
    ratio = table.ratio("a", "b")
    assert ratio is not None
    assert ratio.ratio == pytest.approx(1.2 / 1.1, rel=0.01)
