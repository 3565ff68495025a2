"""Arrivals: an open model's times are ordered, exact in number, irregular in the right way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from asyncdb_bench.load.arrivals import choose, evenly, poisson

rates = st.floats(0.5, 3000)
windows = st.floats(0.1, 5)
seeds = st.tuples(st.integers(0, 2**31), st.integers(0, 100))


@given(rates, windows, seeds)
def test_arrivals_are_ordered_exact_in_number_and_inside_the_window(
    rate: float, window: float, seed: tuple[int, int]
) -> None:
    times = poisson(rate, window, seed)
    assert len(times) == round(rate * window)
    assert (np.diff(times) >= 0).all()
    assert ((times >= 0) & (times <= window * 1e9)).all()


@given(rates, windows, seeds)
def test_equal_seeds_give_equal_arrivals(rate: float, window: float, seed: tuple[int, int]) -> None:
    assert (poisson(rate, window, seed) == poisson(rate, window, seed)).all()


def test_other_seeds_give_other_arrivals() -> None:
    assert (poisson(100, 1, (1,)) != poisson(100, 1, (2,))).any()


@pytest.mark.parametrize("seed", range(5))
def test_gaps_are_exponential_as_a_poisson_process_has_them(seed: int) -> None:
    gaps = np.diff(poisson(500, 20, (seed,))) / 1e9
    assert kstest(gaps, "expon", args=(0, 1 / 500)).pvalue > 0.001


@given(
    st.dictionaries(st.sampled_from("abcde"), st.floats(0.01, 1), min_size=1),
    st.integers(0, 5000),
    seeds,
)
def test_the_mix_is_exact_to_one_request(
    weights: dict[str, float], count: int, seed: tuple[int, int]
) -> None:
    total = sum(weights.values())
    mix = {name: weight / total for name, weight in weights.items()}
    names, chosen = choose(mix, count, seed)
    assert len(chosen) == count
    for place, name in enumerate(names):
        assert abs(int((chosen == place).sum()) - mix[name] * count) <= 1


def test_the_order_of_operations_is_random() -> None:
    _, chosen = choose({"a": 0.5, "b": 0.5}, 1000, (3,))
    changes = int((np.diff(chosen) != 0).sum())
    assert 400 < changes < 600


@given(st.floats(0.02, 0.5), st.integers(0, 3))
def test_any_stretch_of_a_closed_loop_has_nearly_the_shares_of_the_whole(
    slow: float, seed: int
) -> None:
    names, chosen = evenly({"read": 1 - slow, "slow": slow}, 1024, (seed,))
    whole = np.bincount(chosen, minlength=2)
    _, plain = choose({"read": 1 - slow, "slow": slow}, 1024, (1,))
    assert whole.tolist() == np.bincount(plain, minlength=2).tolist()
    for start in range(0, 800, 100):
        found = np.count_nonzero(chosen[start : start + 200] == names.index("slow"))
        assert abs(found - 200 * whole[1] / 1024) <= 2
