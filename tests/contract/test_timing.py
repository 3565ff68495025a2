"""Phases: carried in a header, handed to threads, taken over from workers."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench_attach.timing import Phases, current, hand_over, parse, taken_back

MS = 1_000_000


@pytest.fixture
def request_phases() -> Phases:
    found = Phases()
    current.set(found)
    return found


durations = st.integers(0, 60_000 * MS)


@given(st.tuples(*[durations] * 6))
def test_what_is_told_is_what_was_noted_to_the_microsecond(noted: tuple[int, ...]) -> None:
    made = Phases()
    made.queue, made.pool, made.database, made.reply, made.held, made.run = noted
    told = parse(made.header())
    assert told is not None
    assert told.began_ns == made.began
    assert told.handler_us >= 0
    assert told[2:8] == pytest.approx([each / 1000 for each in noted], abs=0.51)


@pytest.mark.parametrize("header", ["", "handler;dur=1", "db;dur=53, app;dur=47.2", "garbage"])
def test_another_header_is_none_of_ours(header: str) -> None:
    assert parse(header) is None


def test_a_thread_notes_the_queue_the_work_and_the_way_back(request_phases: Phases) -> None:
    def work() -> str:
        assert current.get() is request_phases
        time.sleep(0.02)
        return "done"

    call, answers = hand_over(work), []
    time.sleep(0.03)
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    thread.join()
    time.sleep(0.01)
    taken_back()
    assert answers == ["done"]
    assert request_phases.queue >= 30 * MS
    assert request_phases.run >= 20 * MS
    assert request_phases.reply >= 10 * MS


def test_what_fails_in_a_thread_is_noted_too(request_phases: Phases) -> None:
    def work() -> None:
        time.sleep(0.01)
        raise KeyError

    call = hand_over(work)
    with pytest.raises(KeyError):
        call()
    assert request_phases.run >= 10 * MS


def test_a_request_that_is_not_sampled_costs_nothing_and_notes_nothing() -> None:
    current.set(None)
    call = hand_over(len)
    assert call is len
    taken_back()


def test_a_workers_phases_are_taken_over(request_phases: Phases) -> None:
    now = time.monotonic_ns()
    began, published, received = now - 60 * MS, now - 90 * MS, now - 70 * MS
    told = [began, now - 10 * MS, 1 * MS, 30 * MS, 40 * MS, published, received]
    request_phases.absorb(now - 100 * MS, told)
    assert request_phases.task == (published, received, began)
    carried = parse(request_phases.header())
    assert carried is not None
    assert carried.task == request_phases.task
    assert request_phases.queue == 40 * MS
    assert request_phases.run == 50 * MS
    assert request_phases.reply >= 10 * MS
    assert (request_phases.pool, request_phases.database, request_phases.held) == (
        1 * MS,
        30 * MS,
        40 * MS,
    )


def test_a_worker_on_another_machine_has_another_clock(request_phases: Phases) -> None:
    submitted = time.monotonic_ns() - 100 * MS
    began = submitted + 10**15
    request_phases.absorb(submitted, [began, began + 30 * MS, 0, 20 * MS, 25 * MS, 0, 0])
    assert request_phases.queue >= 70 * MS
    assert request_phases.reply == 0
    assert request_phases.run == 30 * MS
