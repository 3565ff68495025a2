"""What the members of a chat felt, from receipts made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.step.series import chat_summary, frozen_s
from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices


def us(*seconds: float) -> np.ndarray[Any, Any]:
    return np.array([round(each * 1e6) for each in seconds], np.int64)


def test_a_stall_is_frozen_from_the_first_message_due_to_the_next_receipt() -> None:
    due = us(0, 1, 1.1, 1.5, 3)
    received = us(0.01, 2.0, 2.001, 2.002, 3.01)
    assert frozen_s(due, received, 4_000_000) == pytest.approx(1.0)


def test_pauses_in_which_nothing_was_due_and_short_ones_are_not_frozen() -> None:
    assert frozen_s(us(0, 5), us(0.05, 5.05), 6_000_000) == 0
    assert frozen_s(us(), us(), 1_000_000) == 0


def test_messages_that_never_came_freeze_to_the_end() -> None:
    assert frozen_s(us(1, 2), us(), 5_000_000) == pytest.approx(4)


@given(
    st.lists(st.integers(0, 10_000_000), min_size=1, max_size=40),
    st.lists(st.integers(0, 10_000_000), max_size=40),
)
def test_frozen_time_never_exceeds_the_time_there_was(due: list[int], received: list[int]) -> None:
    found = frozen_s(np.array(sorted(due)), np.array(received, np.int64), 10_000_000)
    assert 0 <= found <= 10


def columns(receipts: list[list[float]], **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "intended_ns": us(*range(1, len(receipts) + 1)) * 1000,
        "receipts_ns": np.array([us(*row) * 1000 for row in receipts]),
        "pings_ns": np.array([[0, 5_000_000], [1, 7_000_000]]),
        "joins_us": us(0.01, 0.02),
        "join_s": np.array([0.5]),
        "disorder": np.array([0, 0]),
        "members": np.array([3, 3]),
        "is_post": np.ones(len(receipts), bool),
    }
    return values | changes


def test_every_members_receipt_counts_and_a_missing_one_is_lost() -> None:
    made = columns([[1.01, 1.02, 1.03], [2.01, 0, 2.02], [0, 0, 0]])
    found = chat_summary(made, np.array([True, True, False]), 4_000_000)
    assert found.deliveries == 5
    assert found.lost == 1
    assert found.delivery.max_ms == pytest.approx(30)
    assert found.ping.p50_ms == pytest.approx(5)
    assert found.joins_per_s == pytest.approx(4)
    assert found.frozen_s == pytest.approx(1.0), "the third was never delivered"


def test_a_search_freezes_nobody_by_itself() -> None:
    made = columns([[1.01, 1.02, 1.03], [0, 0, 0]], is_post=np.array([True, False]))
    assert chat_summary(made, np.array([True, True]), 9_000_000).frozen_s == 0


def test_what_is_lost_is_not_known_while_members_are_away() -> None:
    made = columns([[1.01, 1.02, 0]], members=np.array([2, 3]))
    assert chat_summary(made, np.array([True]), 2_000_000).lost is None


def test_rooms_live_in_one_process() -> None:
    wanted = Choices(strategies="native:processes=2", scenarios="chat")
    with pytest.raises(UsageError, match="a room lives in one process, not 2"):
        make_plan(wanted, read_profiles())
