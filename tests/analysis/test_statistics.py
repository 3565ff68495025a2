"""Statistics against their definitions, scipy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from asyncdb_bench.analysis import statistics

durations = hnp.arrays(np.int64, st.integers(1, 400), elements=st.integers(0, 10**8))


@given(durations)
def test_percentiles_are_values_that_were_measured_and_ascend(values: np.ndarray) -> None:
    found = statistics.percentiles(values)
    levels = [found.p50_ms, found.p95_ms, found.p99_ms, found.p999_ms, found.max_ms]
    in_us = [round(level * 1000) for level in levels if level is not None]
    assert in_us == sorted(in_us)
    assert set(in_us) <= set(values.tolist())
    assert found.n == len(values)


def test_percentiles_by_nearest_rank() -> None:
    found = statistics.percentiles(np.arange(1, 1001) * 1000)
    assert (found.p50_ms, found.p95_ms, found.p99_ms, found.p999_ms) == (500, 950, 990, 999)


def test_no_sample_has_no_percentiles() -> None:
    found = statistics.percentiles(np.array([], np.int64))
    assert found.n == 0
    assert found.p99_ms is None


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_percentile_bounds_cover_as_often_as_they_say(level: float) -> None:
    rng = np.random.default_rng(5)
    truth = -np.log(1 - level) * 1000
    hits = 0
    for _ in range(1000):
        sample = (rng.exponential(1_000_000, 2000)).astype(np.int64)
        bounds = statistics.percentile_bounds(sample, level)
        assert bounds is not None
        hits += bounds[0] <= truth <= bounds[1]
    assert 925 <= hits <= 985


def test_a_sample_too_small_for_a_percentile_has_no_bounds() -> None:
    assert statistics.percentile_bounds(np.arange(50), 0.99) is None


def test_one_block_says_nothing_about_repetition() -> None:
    assert statistics.mean_interval([100.0]) is None


def test_the_interval_over_blocks_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(9)
    hits = 0
    for _ in range(2000):
        blocks = np.exp(rng.normal(np.log(500), 0.1, 5)).tolist()
        low, high = statistics.mean_interval(blocks) or (0, 0)
        hits += low <= 500 <= high
    assert 1870 <= hits <= 1930


def test_the_spread_left_over_is_that_of_randomised_blocks() -> None:
    rng = np.random.default_rng(3)
    logs = rng.normal(0, 0.2, (4, 6)) + np.arange(4)[:, None] + 5 * rng.normal(0, 1, 6)
    left = logs - logs.mean(1, keepdims=True) - logs.mean(0) + logs.mean()
    spread, freedom = statistics.block_spread([dict(enumerate(np.exp(row))) for row in logs])
    assert spread == pytest.approx(np.sqrt((left**2).sum() / 15))
    assert freedom == 15


def test_a_treatment_may_miss_a_block() -> None:
    whole = [{0: 1.0, 1: 2.0, 2: 4.0}, {0: 3.0, 1: 6.0}]
    spread, freedom = statistics.block_spread(whole)
    assert spread == pytest.approx(0, abs=1e-9)
    assert freedom == 1
    assert statistics.block_spread([{0: 1.0}, {1: 2.0}]) == (0.0, 0)
    assert statistics.block_spread([]) == (0.0, 0)
