"""Ratios over rounds in blocks: right on average, and with intervals that hold the truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from asyncdb_bench.analysis.turns.nested import (
    Cells,
    Ratio,
    all_pairs_quantile,
    pair_logs,
    ratio_of,
    spread_of,
)


def world(
    rng: Any, paces: list[float], blocks: int, rounds: int, launch: float, round_: float
) -> list[Cells]:
    """Draw the paces of some variants; what all share in a round is in each of them."""
    shared = rng.normal(0, 0.3, (blocks, rounds))
    return [
        {
            block: {
                number: pace * math.exp(own + shared[block, number] + rng.normal(0, round_))
                for number in range(rounds)
            }
            for block, own in enumerate(rng.normal(0, launch, blocks))
        }
        for pace in paces
    ]


@pytest.mark.parametrize(
    ("paces", "blocks", "rounds", "launch", "round_"),
    [
        ([100, 142], 5, 2, 0.03, 0.05),
        ([100, 142, 90], 3, 2, 0.03, 0.05),
        ([100, 142, 90, 30, 31], 3, 2, 0.03, 0.05),
        ([100, 142, 90], 4, 1, 0.0, 0.08),
        ([100, 142, 90], 3, 6, 0.06, 0.02),
    ],
)
def test_intervals_hold_all_pairs_at_once(
    paces: list[float], blocks: int, rounds: int, launch: float, round_: float
) -> None:
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        cells = world(rng, paces, blocks, rounds, launch, round_)
        spread = spread_of(cells)
        held += all(
            low <= math.log(paces[j] / paces[i]) <= high
            for i in range(len(paces))
            for j in range(i)
            for low, high in [_log_bounds(ratio_of(cells[i], cells[j], spread, len(paces)))]
        )
    # computed at 97.5 %; of 200, three standard errors below 95 %
    assert held >= 181


def _log_bounds(ratio: Ratio | None) -> tuple[float, float]:
    assert ratio is not None
    assert ratio.bounds is not None
    return math.log(ratio.bounds[0]), math.log(ratio.bounds[1])


def test_what_all_share_in_a_round_is_in_no_ratio() -> None:
    rng = np.random.default_rng(1)
    one, other = world(rng, [100, 150], 3, 4, 0, 0)
    logs = pair_logs(one, other)
    assert list(logs.values()) == [pytest.approx(math.log(1.5))] * 3


def test_launches_and_rounds_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    spread = spread_of(world(rng, [100] * 6, 40, 6, 0.04, 0.10))
    assert spread.round == pytest.approx(0.10, rel=0.1)
    assert spread.launch == pytest.approx(0.04, rel=0.35)
    assert spread.block == pytest.approx(math.hypot(0.04, 0.10 / math.sqrt(6)), rel=0.15)


def test_rounds_that_one_lacks_are_left_out_of_both() -> None:
    one = {0: {0: 100.0, 1: 300.0}, 1: {0: 100.0}}
    other = {0: {0: 150.0}, 1: {0: 150.0, 1: 1.0}, 2: {0: 9.0}}
    assert pair_logs(one, other) == {
        0: pytest.approx(math.log(1.5)),
        1: pytest.approx(math.log(1.5)),
    }


def test_one_block_says_nothing_of_a_repetition() -> None:
    cells = [{0: {0: 100.0}}, {0: {0: 150.0}}]
    ratio = ratio_of(cells[0], cells[1], spread_of(cells), 2)
    assert ratio is not None
    assert ratio.ratio == pytest.approx(1.5)
    assert (ratio.bounds, ratio.within, ratio.smallest) == (None, math.inf, None)


def test_no_block_in_common_gives_no_ratio() -> None:
    assert ratio_of({0: {0: 1.0}}, {1: {0: 1.0}}, spread_of([]), 2) is None


def test_few_launches_borrow_the_spread_of_all() -> None:
    rng = np.random.default_rng(5)
    many = world(rng, [100] * 5, 2, 2, 0.02, 0.02)
    alone = ratio_of(many[0], many[1], spread_of(many[:2]), 2)
    helped = ratio_of(many[0], many[1], spread_of(many), 2)
    assert alone is not None
    assert helped is not None
    assert (alone.freedom, helped.freedom) == (1, 4)


def test_a_pair_that_is_noisier_than_the_rest_is_not_made_quiet_by_them() -> None:
    calm = [{b: {0: 100.0 + b % 2} for b in range(4)} for _ in range(6)]
    wild = {b: {0: 100.0 * (1.5 if b % 2 else 1)} for b in range(4)}
    ratio = ratio_of(calm[0], wild, spread_of([*calm, wild]), 7)
    assert ratio is not None
    assert ratio.half_width > 0.15


def test_two_blocks_that_agree_by_chance_are_no_certainty() -> None:
    """The rounds stray by a fifth; that the two blocks' means agree is luck."""
    one = {0: {0: 100.0, 1: 120.0}, 1: {0: 120.0, 1: 100.0}}
    other = {0: {0: 120.0, 1: 100.0}, 1: {0: 100.0, 1: 120.0}}
    ratio = ratio_of(one, other, spread_of([one, other]), 2)
    assert ratio is not None
    assert ratio.half_width > 0.5


def test_equivalence_is_within_what_both_tests_allow() -> None:
    ratio = Ratio(0.01, 0.01, 10, 2, 6)
    # one-sided 97.5 % of t with 10 degrees of freedom: 2.228
    assert ratio.within == pytest.approx(math.exp(0.01 + 2.228 * 0.01) - 1, rel=1e-3)
    assert Ratio(-0.01, 0.01, 10, 2, 6).within == pytest.approx(ratio.within)


def test_two_variants_are_students_t_and_more_are_tukeys() -> None:
    assert all_pairs_quantile(2, 10, 0.95) == pytest.approx(2.228, abs=1e-3)
    # Tukey's table: q(0.05; 5, 10) = 4.654
    assert all_pairs_quantile(5, 10, 0.95) == pytest.approx(4.654 / math.sqrt(2), abs=2e-3)


def test_what_would_show_is_shown_four_times_in_five() -> None:
    rng = np.random.default_rng(2)
    cells = world(rng, [100, 100], 6, 2, 0.02, 0.03)
    known = ratio_of(cells[0], cells[1], spread_of(cells), 2)
    assert known is not None
    assert known.smallest is not None
    sd = known.error * math.sqrt(6)
    shown = 0
    for _ in range(400):
        logs = rng.normal(math.log(known.smallest), sd, 6)
        one: Cells = {b: {0: 1.0} for b in range(6)}
        other: Cells = {b: {0: math.exp(each)} for b, each in enumerate(logs)}
        ratio = ratio_of(one, other, spread_of([one, other]), 2)
        assert ratio is not None
        shown += abs(ratio.centre) > ratio.half_width
    assert shown / 400 == pytest.approx(0.8, abs=0.08)
