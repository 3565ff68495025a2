"""Tasks and replies of task queues as texts."""

from __future__ import annotations

import datetime
import decimal
import time
import uuid
from typing import Any

import msgspec
import pytest

from asyncdb_bench.contract.queues.texts import Task, answer_of, answer_text, error_text, task_text
from asyncdb_bench.contract.queues.work import Running
from asyncdb_bench.contract.remote import RemoteError
from asyncdb_bench.errors import UnavailableError
from asyncdb_bench.plan.registry import make_scenario

OPERATIONS = make_scenario("read", {}).workload().operations
KEPT = [
    None,
    {"a": [1, 2.5, True, "ü"]},
    datetime.datetime(2026, 2, 28, 12, tzinfo=datetime.UTC),
    [datetime.date(2026, 2, 28), datetime.time(12, 30)],
    {"price": decimal.Decimal("1.50"), "id": uuid.UUID(int=7), "raw": b"\x00\xff"},
    "a text that says __type__",
    {"__type__": "of somebody else's", "x": 1},
]


@pytest.mark.parametrize("answer", KEPT, ids=str)
def test_an_answer_arrives_as_it_was(answer: Any) -> None:
    assert answer_of(answer_text(answer, None), 0) == answer
    assert answer_of(answer_text(answer, None).encode(), 0) == answer


def test_an_error_arrives_as_what_it_is() -> None:
    with pytest.raises(UnavailableError, match=r"^no connection$"):
        answer_of(error_text(UnavailableError("no connection")), 0)
    with pytest.raises(RemoteError, match=r"^ZeroDivisionError: division by zero$"):
        answer_of(error_text(ZeroDivisionError("division by zero")), 0)


def test_a_task_that_nobody_waits_for_any_more_does_not_run() -> None:
    late = Task("read", {"account": 1}, time.time() - 1, timed=False, published_ns=0)
    with Running(msgspec.json.encode(late).decode(), OPERATIONS) as running:
        running.asked()
    with pytest.raises(UnavailableError, match="abandoned"):
        answer_of(running.reply, 0)


def test_an_operation_of_another_scenario_is_said() -> None:
    with Running(task_text("other", {}, 10), OPERATIONS) as running:
        running.asked()
    with pytest.raises(UnavailableError, match="no operation 'other'"):
        answer_of(running.reply, 0)
