"""Futures that wait for replies are bounded, end at their timeout, and are never left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from asyncdb_bench.contract.celery.celery_app import QueueOptions, make_app
from asyncdb_bench.contract.celery.result_backends import Pending
from asyncdb_bench.contract.remote import RemoteError, failure
from asyncdb_bench.errors import RequestTimeoutError, UnavailableError
from asyncdb_bench.records.plan import Broker


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def test_a_reply_resolves_its_call() -> None:
    async def story() -> None:
        pending = Pending()
        future = pending.add("a")
        pending.resolve("a", {"status": "SUCCESS", "result": {"id": 1}})
        assert await pending.wait("a", future, 1) == {"id": 1}
        assert len(pending) == 0

    run(story())


def test_a_call_without_a_reply_ends_at_its_timeout_and_its_late_reply_is_counted() -> None:
    async def story() -> None:
        pending = Pending()
        future = pending.add("a")
        with pytest.raises(RequestTimeoutError, match=r"no reply from a worker within 0\.01 s"):
            await pending.wait("a", future, 0.01)
        assert len(pending) == 0
        pending.resolve("a", {"status": "SUCCESS", "result": {}})
        assert pending.late == 1

    run(story())


def test_a_cancelled_call_is_forgotten() -> None:
    async def story() -> None:
        pending = Pending()
        future = pending.add("a")
        task = asyncio.ensure_future(pending.wait("a", future, 10))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(pending) == 0

    run(story())


def test_more_calls_than_permitted_are_refused() -> None:
    async def story() -> None:
        pending = Pending(limit=2)
        pending.add("a")
        pending.add("b")
        with pytest.raises(UnavailableError, match="2 tasks wait"):
            pending.add("c")

    run(story())


def test_a_lost_connection_ends_every_call_at_once() -> None:
    async def story() -> None:
        pending = Pending()
        futures = [pending.add(name) for name in "ab"]
        pending.fail_all("connection lost")
        for name, future in zip("ab", futures, strict=True):
            with pytest.raises(UnavailableError, match="connection lost"):
                await pending.wait(name, future, 1)
        assert len(pending) == 0

    run(story())


@pytest.mark.parametrize(
    ("result", "kind", "text"),
    [
        ({"exc_type": "ValueError", "exc_message": ["bad", 1]}, RemoteError, "ValueError: bad 1"),
        ({"exc_type": "UnavailableError", "exc_message": ["gone"]}, UnavailableError, "gone"),
        ("odd", RemoteError, "odd"),
    ],
)
def test_a_failed_task_becomes_an_error(result: Any, kind: type[Exception], text: str) -> None:
    error = failure(result)
    assert isinstance(error, kind)
    assert str(error) == text


@pytest.mark.parametrize(("kind", "expires"), [("rabbitmq", 60.0), ("redis", None)])
def test_a_queue_expires_on_rabbitmq_alone(kind: str, expires: float | None) -> None:
    url = {"rabbitmq": "amqp://h//", "redis": "redis://h/0"}[kind]
    options = QueueOptions(broker=Broker(kind, url), queue="q", results="rpc")
    (queue,) = make_app(options, client=False).conf.task_queues
    assert queue.expires == expires
