"""A step shared among load workers: pure parts, whose properties hold whatever the numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncdb_bench.clock import Asked, offset
from asyncdb_bench.load.arrivals import connections_of, drawn, own_order, owners, share_of
from asyncdb_bench.load.merging import (
    Window,
    packed_records,
    records_of,
    together,
    unpacked_records,
)
from asyncdb_bench.load.recorder import Recorder
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.records.step import Outcome

MIX = {"read": 0.75, "write": 0.25}


@given(
    st.integers(1, 12), st.integers(0, 2000), st.floats(0.1, 2), st.integers(0, 99), st.booleans()
)
@settings(max_examples=60)
def test_the_shares_of_any_number_of_workers_are_the_plan(
    workers: int, rate: int, window_s: float, seed: int, lead: bool
) -> None:
    order = LoadOrder(rate, window_s, 1.0, (seed,), lead_s=0.3 if lead else 0.0)
    plan = drawn(order, MIX)
    whose = owners(len(plan.intended_ns), workers, order.seed)
    shares = [plan.intended_ns[whose == number] for number in range(workers)]
    assert np.array_equal(np.sort(np.concatenate(shares)), plan.intended_ns)
    assert len(plan.intended_ns) == round(rate * window_s) + round(rate * order.lead_s)


def test_a_worker_s_share_is_a_poisson_process_of_its_rate() -> None:
    order = LoadOrder(4000, 10.0, 1.0, (3,))
    plan = drawn(order, MIX)
    whose = owners(len(plan.intended_ns), 4, order.seed)
    for number in range(4):
        gaps = np.diff(plan.intended_ns[whose == number]) / 1e6
        # exponential: mean and standard deviation alike
        assert gaps.mean() == pytest.approx(1.0, rel=0.05)
        assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)


@given(st.integers(1, 64), st.integers(1, 20))
def test_connections_are_shared_out_to_the_last(connections: int, workers: int) -> None:
    order = LoadOrder(0, 1.0, 1.0, (1,), connections=connections)
    given_out = [connections_of(order, number, workers) for number in range(workers)]
    assert sum(given_out) == connections
    assert max(given_out) - min(given_out) <= 1
    own = [own_order(order, number, workers) for number in range(workers)]
    assert [each.connections for each in own] == given_out
    assert sum(each.probe for each in own) == 1
    assert len({each.seed for each in own}) == workers


@given(
    st.integers(-(10**12), 10**12),
    st.lists(st.tuples(st.integers(1000, 10**7), st.integers(1000, 10**7)), min_size=1),
)
def test_a_clock_s_offset_is_within_its_error(ns: int, ways: list[tuple[int, int]]) -> None:
    questions, now = [], 10**9
    for there, back in ways:
        questions.append(Asked(now, now + there + ns, now + there + back))
        now += there + back + 1000
    measured = offset(questions)
    assert abs(measured.ns - ns) <= measured.error_ns + 1
    assert measured.error_ns == min(there + back for there, back in ways) // 2


def columns(count: int, started_ns: int) -> dict[str, np.ndarray[Any, Any]]:
    made = Recorder(np.arange(count) * 1000, np.zeros(count)).columns(started_ns)
    made["sent_ns"] = made["intended_ns"] + 10
    made["done_ns"] = made["sent_ns"] + 500
    made["done_ns"][::7] = 0
    made["outcome"] = np.full(count, Outcome.OK, np.int8)
    return made


PROBES = np.array([[100, 7]])


@pytest.mark.parametrize("count", [1, 45_000])
def test_records_come_back_on_the_master_s_clock_with_their_durations(count: int) -> None:
    there_ns, here_ns = 10**15, 5 * 10**9
    sent = columns(count, there_ns)
    data = packed_records(sent, PROBES + np.array([there_ns, 0]))
    back, probes = together([unpacked_records(data, there_ns - here_ns)])
    assert np.array_equal(back["sent_ns"] - here_ns, sent["sent_ns"] - there_ns)
    known = sent["done_ns"] > 0
    durations = sent["done_ns"] - sent["sent_ns"]
    assert np.array_equal((back["done_ns"] - back["sent_ns"])[known], durations[known])
    assert (back["done_ns"][~known] == 0).all()
    assert np.array_equal(probes, PROBES + np.array([here_ns, 0]))
    assert "probes" not in back


def test_records_of_several_are_in_the_order_of_their_starts() -> None:
    parts = [unpacked_records(packed_records(columns(50, at), PROBES), 0) for at in (10**9, 7)]
    back, probes = together(parts)
    assert len(back["intended_ns"]) == 100
    assert (np.diff(back["intended_ns"]) >= 0).all()
    assert len(probes) == 2


def test_what_a_worker_that_was_lost_had_to_ask_is_undrained() -> None:
    plan = drawn(LoadOrder(100, 1.0, 1.0, (1,)), MIX)
    share = share_of(plan, 0, 2, (1,))
    lost = records_of(Window(1, share), 10**9)
    assert np.array_equal(lost["intended_ns"], share.intended_ns + 10**9)
    assert (lost["outcome"] == Outcome.UNDRAINED).all()
    assert (lost["sent_ns"] == 0).all()
    closed, _ = together([records_of(Window(1, None, 4), 10**9)])
    assert len(closed["intended_ns"]) == 0
