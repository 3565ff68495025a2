"""The limit: found from turns that held or missed, with an interval that holds it."""

from __future__ import annotations

import math
import random

import pytest

from asyncdb_bench.analysis.ladder import LimitLoad, Trying, limit_load


def climb(true: float, turns: int, seed: int, width: float = 0.03) -> LimitLoad:
    """Place each turn where the limit seems to be; each holds by chance."""
    draw = random.Random(seed)
    tried: list[Trying] = []
    for _ in range(turns):
        share = limit_load(tried).share
        holds = 0.97 / (1 + math.exp((math.log(share) - math.log(true)) / width))
        tried.append(Trying(share, draw.random() < holds))
    return limit_load(tried)


@pytest.mark.parametrize("true", [0.3, 0.6, 0.8, 0.97])
def test_it_is_found_and_its_interval_holds_it(true: float) -> None:
    found = [climb(true, 10, seed) for seed in range(60)]
    assert sum(each.low <= true <= each.high for each in found) >= 54
    off = [math.log(each.share / true) for each in found]
    assert abs(sum(off) / len(off)) < 0.03
    assert sum(abs(each) for each in off) / len(off) < 0.05


def test_more_turns_know_more() -> None:
    few, many = climb(0.8, 3, 1), climb(0.8, 15, 1)
    assert many.log_spread < few.log_spread / 1.5


def test_one_pause_of_the_machine_does_not_move_it_far() -> None:
    tried = [Trying(0.9, True), Trying(0.95, True), Trying(0.98, False), Trying(0.9, True)]
    without, paused = limit_load(tried), limit_load([*tried, Trying(0.4, False)])
    assert paused.share > 0.9 * without.share


def test_nothing_tried_is_what_is_usual_and_hardly_known() -> None:
    found = limit_load([])
    assert found.share == pytest.approx(0.8, abs=0.1)
    assert found.high / found.low > 2


def test_what_never_held_lies_below_all_that_was_tried() -> None:
    found = limit_load([Trying(share, False) for share in (0.8, 0.5, 0.3, 0.2)])
    assert found.share < 0.25


def test_a_load_beyond_the_pace_is_never_carried() -> None:
    assert limit_load([Trying(1.05, True)] * 20).share < 1.08
