"""Distributions as counts: merged they are what all values together are."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.step.histogram import (
    ERROR,
    Sketch,
    above,
    counts_of,
    merged,
    quantile_ms,
    summary,
)

MICROSECONDS = st.lists(st.integers(1, 20_000_000), min_size=1, max_size=300)


@given(MICROSECONDS, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_within_a_quarter_of_a_percent(values: list[int], level: float) -> None:
    exact = float(np.quantile(values, level, method="inverted_cdf")) / 1000
    assert quantile_ms(counts_of(np.array(values)), level) == pytest.approx(exact, rel=0.0026)


@given(st.lists(MICROSECONDS, min_size=1, max_size=5))
def test_merged_turns_are_all_their_requests_together(turns: list[list[int]]) -> None:
    apart = merged(counts_of(np.array(turn)) for turn in turns)
    assert apart == counts_of(np.concatenate([np.array(turn) for turn in turns]))


def test_the_mean_of_p99s_is_no_p99() -> None:
    """Nine quiet turns and one with a pause: a tenth of 1 % is slow, and the p99 says so."""
    quiet, paused = np.full(100, 2000), np.r_[np.full(90, 2000), np.full(10, 90_000)]
    turns = [quiet] * 9 + [paused]
    whole = summary(merged(counts_of(turn) for turn in turns))
    mean = np.mean([statistics.percentiles(turn).p99_ms or 0 for turn in turns])
    assert whole.p99_ms == pytest.approx(2, rel=0.003)
    assert mean > 10


def test_a_summary_has_all_levels_and_nothing_of_nothing() -> None:
    found = summary(counts_of(np.arange(1, 1001) * 1000))
    assert found.n == 1000
    assert found.max_ms == pytest.approx(1000, rel=0.003)
    assert found.p50_ms == pytest.approx(500, rel=0.003)
    assert found.mean_ms == pytest.approx(500.5, rel=0.003)
    assert summary(()).p50_ms is None
    assert quantile_ms((), 0.5) is None


def test_what_exceeds_a_limit_is_counted() -> None:
    counts = counts_of(np.array([10_000] * 7 + [200_000] * 3))
    assert above(counts, 100) == 3


@given(st.lists(MICROSECONDS, min_size=1, max_size=5), st.randoms())
def test_a_sketch_is_within_its_known_error_however_its_parts_came(
    parts: list[list[int]], random: Random
) -> None:
    levels = np.array([0.01, 0.5, 0.9, 0.99, 0.999, 1.0])
    exact = np.quantile(np.concatenate(parts), levels, method="inverted_cdf")
    sketches = []
    for part in parts:
        sketches.append(Sketch())
        sketches[-1].add(np.array(part, np.int32))
    random.shuffle(sketches)
    whole = Sketch()
    for each in sketches:
        whole.merge(each)
    assert whole.n == sum(map(len, parts))
    assert whole.quantiles_us(levels) == pytest.approx(exact, rel=ERROR * 1.01)
    assert ERROR < 0.0026


def test_a_sketch_holds_what_was_given_up_after_half_an_hour_and_is_small() -> None:
    sketch = Sketch()
    sketch.add(np.array([0, 1, np.iinfo(np.int32).max], np.int32))
    low, high = sketch.quantiles_us(np.array([0.5, 1.0]))
    assert low == pytest.approx(1, rel=ERROR)
    assert high == pytest.approx(np.iinfo(np.int32).max, rel=ERROR * 1.01)
    assert sketch.counts.nbytes < 40_000
