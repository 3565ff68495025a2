"""A step shared among load workers: pure parts, whose properties hold whatever the numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncdb_bench.clock import Asked, offset
from asyncdb_bench.load.arrivals import connections_of, drawn, own_order, owners
from asyncdb_bench.load.set_messages import (
    NEVER,
    PLACE,
    ForgedError,
    Session,
    answer,
    batches,
    empty,
    is_answer,
    read,
    whole,
)
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


def columns(count: int, started_ns: int) -> dict[str, np.ndarray]:
    made = empty(count)
    made["intended_ns"] = np.arange(count, dtype=np.int64) * 1000 + started_ns
    made["sent_ns"] = made["intended_ns"] + 10
    made["done_ns"] = made["sent_ns"] + 500
    made["done_ns"][::7] = 0
    for name in ("published_ns", "received_ns", "started_ns"):
        made[name] = np.zeros(count, np.int64)
    made["outcome"] = np.full(count, Outcome.OK, np.int8)
    return made


@pytest.mark.parametrize("count", [1, 19_999, 45_000])
def test_records_come_back_on_the_master_s_clock_with_their_durations(count: int) -> None:
    there_ns, here_ns, places = 10**15, 5 * 10**9, np.arange(count) * 2
    sent = columns(count, there_ns)
    parts = [read(each) for each in batches(sent, places, there_ns)]
    intended = np.arange(2 * count, dtype=np.int64) * 500
    back = whole([parts], intended, np.zeros(2 * count, np.int64), here_ns)
    own = slice(0, None, 2)
    known = sent["done_ns"] > 0
    assert np.array_equal(back["sent_ns"][own] - here_ns, sent["sent_ns"] - there_ns)
    durations = sent["done_ns"] - sent["sent_ns"]
    assert np.array_equal((back["done_ns"] - back["sent_ns"])[own][known], durations[known])
    assert (back["done_ns"][own][~known] == 0).all()
    # of the other half no one told
    assert (back["outcome"][1::2] == Outcome.UNDRAINED).all()
    assert (back["sent_ns"][1::2] == 0).all()
    assert np.array_equal(back["intended_ns"], intended + here_ns)


def test_a_closed_loop_s_records_are_in_the_order_of_their_starts() -> None:
    parts = [
        [read(each) for each in batches(columns(50, start), np.arange(50), 0)]
        for start in (700, 200)
    ]
    back = whole(parts, None, None, 10**9)
    assert len(back["intended_ns"]) == 100
    assert (np.diff(back["intended_ns"]) >= 0).all()
    assert PLACE not in back
    assert whole([], None, None, 0)["intended_ns"].shape == (0,)


def test_what_is_no_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="no Arrow batch"):
        read(b"anything")
    assert NEVER < 0


def ends() -> tuple[Session, Session]:
    told = ("token-of-the-run", b"asked", b"own", "worker-1")
    return Session(*told, master=True), Session(*told, master=False)


def test_a_message_is_opened_by_the_other_end_alone_and_once() -> None:
    master, worker = ends()
    sealed = master.sealed(b"go")
    assert worker.opened(sealed) == b"go"
    with pytest.raises(ForgedError, match="sent before"):
        worker.opened(sealed)
    with pytest.raises(ForgedError, match="seal is wrong"):
        # what the master says cannot be sent back to it
        master.opened(master.sealed(b"go"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data | {"body": b"stop"},
        lambda data: data | {"n": data["n"] + 1},
        lambda data: data | {"mac": b"\0" * 32},
        lambda data: {"body": b"go"},
        lambda data: "go",
        lambda data: None,
    ],
)
def test_a_message_that_was_changed_is_refused(spoil: Callable[[Any], object]) -> None:
    master, worker = ends()
    with pytest.raises(ForgedError):
        worker.opened(spoil(master.sealed(b"go")))


def test_who_does_not_know_the_token_has_no_answer() -> None:
    right = answer("token", b"asked", b"own", "w")
    assert is_answer("token", b"asked", b"own", "w", right)
    assert not is_answer("another", b"asked", b"own", "w", right)
    assert not is_answer("token", b"else", b"own", "w", right)
    assert not is_answer("token", b"asked", b"own", "x", right)
    assert b"token" not in right
