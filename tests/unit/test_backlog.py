"""What waits: counted against a plain simulation; Little's law where it must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.backlog import curve, little, moments, summary
from asyncdb_bench.load.arrivals import shaped
from asyncdb_bench.model import Segment
from asyncdb_bench.queues import Accounts, doubts_about, ledger_of, task_queue

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


@pytest.mark.parametrize("seed", range(5))
def test_littles_law_holds_on_a_queue_that_was_emptied(seed: int) -> None:
    came, starts = simulated(300, seed, 4_000)
    end = int(starts.max()) + 1
    at = moments(0, end)
    depth = curve(came, starts, at).waiting
    counted, by_law, ratio = little(starts - came, at, depth, end)
    uneven = np.random.default_rng(seed).random(len(at)) < np.where(depth > 20, 0.3, 0.9)
    again, _, _ = little(starts - came, at[uneven], depth[uneven], end)
    assert again == pytest.approx(counted, rel=0.05), "readings may be uneven"
    assert counted > 5
    assert ratio == pytest.approx(1, abs=0.10)
    assert by_law == pytest.approx(counted, rel=0.10)


def test_littles_law_is_not_asked_of_a_queue_that_was_not_there() -> None:
    at = np.arange(100) * 10_000
    assert little(np.array([5]), at, np.zeros(100), 1_000_000)[2] is None
    assert little(np.array([5_000_000]), at[:3], np.ones(3) * 9, 1_000_000)[2] is None


def test_a_surge_is_timed_until_no_more_wait_than_before() -> None:
    calm = np.arange(0, 1_000_000, 100_000)
    surge = np.full(50, 1_000_000)
    began = np.concatenate([calm, surge])
    ended = np.concatenate([calm + 10_000, 1_000_000 + np.arange(1, 51) * 40_000])
    found = summary(curve(began, ended, moments(0, 4_000_000)), 1_200_000, (0, 1_000_000))
    assert found.peak == 50
    assert found.peak_age_ms == 0
    assert found.oldest_ms == pytest.approx(1_980, abs=25)
    assert found.drain_s == pytest.approx(1.76, abs=0.05)


def test_what_was_not_worked_off_has_no_time() -> None:
    began, ended = np.full(9, 1_000_000), np.full(9, 9_000_000)
    found = summary(curve(began, ended, moments(0, 3_000_000)), 1_500_000, (0, 900_000))
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


def accounts(published: int, delivered: int | None, **more: int) -> Accounts:
    workers = None if delivered is None else {"delivered": delivered, **more}
    return Accounts({"published": published, "replied": more.get("replied", published)}, workers)


def test_the_task_ledger_tells_what_the_broker_dropped() -> None:
    found = ledger_of(accounts(10, 10), accounts(110, 95, redelivered=2), 3)
    assert (found.published, found.delivered, found.queued) == (100, 85, 3)
    assert found.expired == 100 - 83 - 3
    assert ledger_of(accounts(10, None), accounts(110, 95), 3).expired is None


def test_a_depth_that_contradicts_the_tasks_is_told() -> None:
    came, starts = simulated(300, 1, 4_000)
    end = int(starts.max()) + 1
    stamps = {"published": came, "received": starts, "started": starts}
    ledger = ledger_of(accounts(0, 0), accounts(len(came), len(came)), 0)
    at = moments(0, end)
    right = curve(came, starts, at).waiting
    sound = task_queue(stamps, list(zip(at.tolist(), right.tolist(), strict=True)), ledger, 0, end)
    assert doubts_about(sound) == []
    double = list(zip(at.tolist(), (2 * right).tolist(), strict=True))
    (said,) = doubts_about(task_queue(stamps, double, ledger, 0, end))
    assert "Little's law says" in said
