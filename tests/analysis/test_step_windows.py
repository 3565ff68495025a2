"""A step's records against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from asyncdb_bench.analysis.step import durations as stalls
from asyncdb_bench.analysis.step.series import merged, window_lag
from asyncdb_bench.records.messages import Heartbeats


def test_a_stall_stands_for_the_heartbeats_it_swallowed() -> None:
    expanded = stalls.expand_stalls(np.array([0, 5000, 300]), 1000)
    assert expanded.tolist() == [0, 5000, 4000, 3000, 2000, 1000, 300]


def test_beats_farther_apart_stand_for_as_many_fewer() -> None:
    beats = merged([Heartbeats([0, 4000, 24_000], [10, 17_000, 20], every_us=4000)])
    assert window_lag(beats, 0, 1.0).tolist() == [10, 17_000, 13_000, 9000, 5000, 1000, 20]


@given(hnp.arrays(np.int64, st.integers(0, 50), elements=st.integers(0, 50_000)))
def test_expanding_keeps_every_lag_and_adds_one_for_each_missed_beat(lags: np.ndarray) -> None:
    expanded = stalls.expand_stalls(lags, 1000)
    assert len(expanded) == sum(1 + max(0, (int(lag) - 1) // 1000) for lag in lags)
    assert set(lags.tolist()) <= set(expanded.tolist())
    assert (expanded >= 0).all()


def test_a_server_that_keeps_up_completes_what_was_offered() -> None:
    intended = np.sort(np.random.default_rng(1).integers(0, 10_000_000, 5000))
    assert stalls.completion_rate(intended, intended + 20_000, 10_000_000) == pytest.approx(
        500, rel=0.01
    )


def test_a_saturated_server_shows_its_own_pace_not_the_arrivals() -> None:
    intended = np.sort(np.random.default_rng(1).integers(0, 2_000_000, 2000))
    done = np.maximum.accumulate(intended) * 0 + (np.arange(2000) + 1) * 2000
    assert stalls.completion_rate(intended, np.maximum(done, intended), 2_000_000) == pytest.approx(
        500, rel=0.02
    )


def test_a_closed_loop_leaves_out_those_who_come_while_all_its_users_wait() -> None:
    intended = np.arange(0, 10_000_000, 10_000)
    done = intended + 1_000
    stalled = (intended >= 5_000_000) & (intended < 7_000_000)
    done[stalled] = 7_000_000
    sent, users = stalls.closed_loop(intended, done)
    assert users == 2
    assert sent[~stalled].all()
    assert sent[stalled].sum() == users
    assert np.quantile((done - intended), 0.99) > 1_700_000
    assert np.quantile((done - intended)[sent], 0.99) == 1_000


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=60))
def test_a_closed_loop_never_has_more_under_way_than_users(pairs: list[tuple[int, int]]) -> None:
    intended = np.array(sorted(start for start, _ in pairs), np.int64)
    done = intended + np.array([length for _, length in pairs], np.int64)
    sent, users = stalls.closed_loop(intended, done)
    for at in intended[sent]:
        assert np.count_nonzero((intended[sent] <= at) & (done[sent] > at)) <= users
    assert sent.shape == intended.shape
    assert not len(sent) or sent[0]


def halves(first: float, second: float, count: int = 1000) -> tuple[float | None, bool]:
    intended = np.arange(count) * 1000
    noise = np.random.default_rng(1).uniform(0.9, 1.1, count)
    latency = np.where(intended < count * 500, first, second) * noise
    return stalls.drift(intended, latency.astype(np.int64), count * 1000)


def test_a_step_that_drifts_is_not_steady() -> None:
    ratio, steady = halves(10_000, 20_000)
    assert ratio == pytest.approx(2, rel=0.05)
    assert not steady
    assert not halves(20_000, 10_000)[1]


def test_a_step_that_hardly_drifts_is_steady() -> None:
    assert halves(10_000, 10_000)[1]
    assert halves(10_000, 11_500)[1], "15 % is less than a quarter"


def test_too_few_requests_tell_nothing_of_drift() -> None:
    assert halves(10_000, 20_000, count=60) == (None, True)
    intended = np.full(200, 5)
    assert stalls.drift(intended, np.full(200, 9), 1_000_000) == (None, True)


def test_a_single_stall_is_no_drift() -> None:
    intended = np.arange(1000) * 1000
    latency = np.full(1000, 10_000)
    latency[900:990] = 300_000
    assert stalls.drift(intended, latency, 1_000_000)[1]
