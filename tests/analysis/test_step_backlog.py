"""What waits: counted against a plain simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.step.durations import curve, moments, summarised
from asyncdb_bench.analysis.step.series import task_queue
from asyncdb_bench.load.arrivals import shaped
from asyncdb_bench.records.plan import Segment

stays = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 5_000)), max_size=40)


@given(stays, st.lists(st.integers(-100, 20_000), min_size=1, max_size=20))
def test_the_curve_equals_counting_one_by_one(found: list[tuple[int, int]], at: list[int]) -> None:
    began = np.array([b for b, _ in found], np.int64)
    ended = began + np.array([d for _, d in found], np.int64)
    points = np.array(sorted(at), np.int64)
    made = curve(began, ended, points)
    for point, waiting, oldest in zip(points, made.waiting, made.oldest_us, strict=True):
        there = [int(b) for b, e in zip(began, ended, strict=True) if b <= point < e]
        assert waiting == len(there)
        assert oldest == (point - min(there) if there else 0)


def simulated(rate: float, seed: int, service_us: int) -> tuple[np.ndarray, np.ndarray]:
    """Return arrivals and starts of a queue with one server, first come first served."""
    rng = np.random.default_rng(seed)
    came = np.sort(rng.uniform(0, 5e6, int(rate * 5))).astype(np.int64)
    starts, free = [], 0
    for each in came:
        starts.append(max(int(each), free))
        free = starts[-1] + service_us
    return came, np.array(starts)


def test_a_surge_is_timed_until_no_more_wait_than_before() -> None:
    calm = np.arange(0, 1_000_000, 100_000)
    surge = np.full(50, 1_000_000)
    began = np.concatenate([calm, surge])
    ended = np.concatenate([calm + 10_000, 1_000_000 + np.arange(1, 51) * 40_000])
    found = summarised(curve(began, ended, moments(0, 4_000_000)), 1_200_000, (0, 1_000_000))
    assert found.peak == 50
    assert found.peak_age_ms == 0
    assert found.oldest_ms == pytest.approx(1_980, abs=25)
    assert found.drain_s == pytest.approx(1.76, abs=0.05)


def test_what_was_not_worked_off_has_no_time() -> None:
    began, ended = np.full(9, 1_000_000), np.full(9, 9_000_000)
    found = summarised(curve(began, ended, moments(0, 3_000_000)), 1_500_000, (0, 900_000))
    assert found.drain_s is None
    assert found.peak == 9


@given(st.floats(1, 50), st.integers(0, 99))
def test_a_shaped_window_has_each_parts_own_rate(rate: float, seed: int) -> None:
    shape = (Segment(2, 1), Segment(1, 10), Segment(3, 1))
    times = shaped(rate, 6, shape, (seed,))
    assert (np.diff(times) >= 0).all()
    inside = [np.count_nonzero((times >= a * 1e9) & (times < b * 1e9)) for a, b in ((0, 2), (2, 3))]
    assert inside == [round(rate * 2), round(rate * 10)]
    assert (shaped(rate, 6, (), (seed,)) < 6e9).all()


def test_the_task_queue_is_what_the_stamps_and_the_broker_say() -> None:
    came, starts = simulated(300, 1, 4_000)
    end = int(starts.max()) + 1
    stamps = {"published": came, "received": starts, "started": starts}
    at = moments(0, end)
    depth = curve(came, starts, at).waiting
    found = task_queue(stamps, list(zip(at.tolist(), depth.tolist(), strict=True)), 0, end)
    assert found.depth_peak == depth.max()
    assert found.in_broker.n == len(came)
    assert found.in_worker.max_ms == 0
    # Little's law: the mean depth is the arrival rate times the mean time in the queue
    by_stamps = (starts - came).sum() / end
    assert found.depth_mean == pytest.approx(by_stamps, rel=0.1)
