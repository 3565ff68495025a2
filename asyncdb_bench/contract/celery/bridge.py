"""Between the event loop and the broker: two threads, or aio-pika on the loop itself.

The loop waits for neither way. One thread publishes with `apply_async`, one consumes the replies
and resolves the futures on the loop. Each owns its connection and makes a new one after any error:
connections from Celery's shared pools do not recover from a broker that restarts while a thread
sits in them.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from asyncdb_bench.contract.abandoning import rest_s
from asyncdb_bench.contract.celery.celery_app import (
    TASK,
    Arguments,
    QueueOptions,
    decoded_reply,
    make_app,
    stamp,
    task_arguments,
    task_of,
    unwrapped,
)
from asyncdb_bench.contract.celery.result_backends import Pending, make_results
from asyncdb_bench.contract.celery.strategy import Way
from asyncdb_bench.contract.remote import LIMIT
from asyncdb_bench.contract.urls import aio_pika_url
from asyncdb_bench.errors import RequestTimeoutError, UnavailableError

RETRY_S, RECONNECT_S = 0.2, 0.5


@dataclass(frozen=True, slots=True)
class _Call:
    task_id: str
    arguments: Arguments
    deadline: float


class Bridge(Way):
    """Publishes tasks and brings their replies back to the loop.

    Parameters
    ----------
    options : how tasks and results travel; the reply queue is named after the task queue.
    """

    def __init__(self, options: QueueOptions) -> None:
        # replies come to a queue of ours: the client needs no result backend of Celery's
        self.app = make_app(options, client=True)
        self.task = task_of(self.app)
        self.timeout_s = options.timeout_s
        self.pending = Pending()
        reply_to = f"{options.queue}.reply.{uuid.uuid4().hex[:8]}"
        self.results = make_results(options, reply_to, self._on_result)
        self._outbox: queue.Queue[_Call | None] = queue.Queue(maxsize=LIMIT)
        self._stop = threading.Event()
        self._listening = threading.Event()
        self._broken: BaseException | None = None
        self._generation = 0
        self._threads = [
            threading.Thread(target=self._publish_all, name="celery-publish", daemon=True),
            threading.Thread(target=self._consume_all, name="celery-replies", daemon=True),
        ]

    async def open(self) -> None:
        """Start both threads and wait until replies can be received.

        Raises
        ------
        UnavailableError : the broker does not answer within 10 s.
        """
        self.loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()
        if not await asyncio.to_thread(self._listening.wait, 10):
            raise UnavailableError(f"the broker does not answer: {self._broken}")

    async def call(self, name: str, params: dict[str, Any]) -> Any:
        """Run an operation on a worker and return its answer; never waits on the broker."""
        task_id = str(uuid.uuid4())
        future = self.pending.add(task_id)
        submitted_ns = time.monotonic_ns()
        arguments = task_arguments(name, params, self.timeout_s)
        try:
            deadline = time.monotonic() + rest_s(self.timeout_s)
            self._outbox.put_nowait(_Call(task_id, arguments, deadline))
        except queue.Full:
            self.pending.fail(task_id, "the buffer of tasks to publish is full")
        try:
            reply = await self.pending.wait(task_id, future, self.timeout_s)
        except (RequestTimeoutError, asyncio.CancelledError):
            self.results.forget(task_id)
            raise
        return unwrapped(reply, submitted_ns)

    async def close(self) -> None:
        """End both threads."""
        self._stop.set()
        with_room = not self._outbox.full()
        if with_room:
            self._outbox.put_nowait(None)
        for thread in self._threads:
            if thread.is_alive():
                await asyncio.to_thread(thread.join, 5)
        self.pending.fail_all("the application is stopping")

    def gauges(self) -> dict[str, float]:
        """Return how many calls wait, how many to be published, and replies that came too late."""
        return {
            "pending": len(self.pending),
            "outbox_depth": self._outbox.qsize(),
            "late_replies": self.pending.late,
        }

    def _on_loop(self, call: Any, *args: Any) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(call, *args)

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection = self.app.connection_for_write()
        try:
            connection.ensure_connection(max_retries=1, timeout=2)
            yield connection
        finally:
            _forget(connection)

    def _publish_all(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connection() as connection:
                    self._publish(self.app.amqp.Producer(connection), self._generation)
            except Exception as error:
                self._refuse(f"broker unavailable: {error}")

    def _publish(self, producer: Any, generation: int) -> None:
        while not self._stop.is_set():
            call = self._outbox.get()
            if call is None or call.deadline < time.monotonic():
                continue
            try:
                if generation != self._generation:
                    raise ConnectionResetError("the connection to the broker was lost")
                self.results.expect(call.task_id)
                self.task.apply_async(
                    call.arguments,
                    task_id=call.task_id,
                    reply_to=self.results.reply_to,
                    producer=producer,
                    expiration=max(0.001, call.deadline - time.monotonic()),
                    retry=False,
                    headers=stamp(),
                )
            except Exception as error:
                self._on_loop(self.pending.fail, call.task_id, f"broker unavailable: {error}")
                raise

    def _refuse(self, reason: str) -> None:
        """Fail what wants to be published while there is no connection, then try again."""
        until = time.monotonic() + RETRY_S
        while (left := until - time.monotonic()) > 0 and not self._stop.is_set():
            try:
                call = self._outbox.get(timeout=left)
            except queue.Empty:
                return
            if call is not None:
                self._on_loop(self.pending.fail, call.task_id, reason)

    def _consume_all(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connection() as connection:
                    self.results.listen(connection, self._listening.set, self._stop.is_set)
            except Exception as error:
                self._broken = error
                self._generation += 1
                self._on_loop(self.pending.fail_all, f"connection to the broker lost: {error}")
                self._stop.wait(RETRY_S)

    def _on_result(self, task_id: str, reply: dict[str, Any]) -> None:
        self._on_loop(self.pending.resolve, task_id, reply)


def _forget(connection: Any) -> None:
    """Close a connection that may be dead already: whatever that raises changes nothing."""
    with suppress(Exception):
        connection.collect(socket_timeout=0.5)


class AioReplies(Way):
    """Publishes tasks and consumes replies on the loop itself, over AMQP by aio-pika.

    Parameters
    ----------
    options : how tasks travel; the reply queue is named after the task queue.
    """

    def __init__(self, options: QueueOptions) -> None:
        # how a task becomes a message is Celery's own business
        app = make_app(options, client=True)
        self.as_task = app.amqp.as_task_v2
        self.options = options
        self.pending = Pending()
        self.reply_to = f"{options.queue}.reply.{uuid.uuid4().hex[:8]}"
        self.connection: Any = None

    async def open(self) -> None:
        """Connect and consume the reply queue."""
        import aio_pika

        self.connection = await aio_pika.connect_robust(
            aio_pika_url(self.options.broker), timeout=5, reconnect_interval=RECONNECT_S
        )
        self.connection.close_callbacks.add(self._lost)
        self.channel = await self.connection.channel(publisher_confirms=False)
        replies = await self.channel.declare_queue(self.reply_to, exclusive=True, auto_delete=True)
        await replies.consume(self._on_reply, no_ack=True)

    async def call(self, name: str, params: dict[str, Any]) -> Any:
        """Publish the task and await its reply; the timeout covers both."""
        if not self.connection.connected.is_set():
            raise UnavailableError("no connection to the broker; trying to reconnect")
        timeout_s = self.options.timeout_s
        task_id = str(uuid.uuid4())
        future = self.pending.add(task_id)
        submitted_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(timeout_s):
                await self._publish(task_id, name, params)
        except TimeoutError:
            self.pending.forget(task_id)
            raise RequestTimeoutError(f"not published within {timeout_s:g} s") from None
        except Exception as error:
            self.pending.forget(task_id)
            raise UnavailableError(f"broker unavailable: {error}") from error
        except asyncio.CancelledError:
            self.pending.forget(task_id)
            raise
        left = timeout_s - (time.monotonic_ns() - submitted_ns) / 1e9
        return unwrapped(await self.pending.wait(task_id, future, left), submitted_ns)

    async def close(self) -> None:
        """Close the connection; its reply queue goes with it."""
        if self.connection is not None:
            await self.connection.close()

    def gauges(self) -> dict[str, float]:
        """Return how many calls wait, and how many replies came too late."""
        return {"pending": len(self.pending), "late_replies": self.pending.late}

    async def _publish(self, task_id: str, name: str, params: dict[str, Any]) -> None:
        from aio_pika import DeliveryMode, Message

        timeout_s = rest_s(self.options.timeout_s)
        arguments = task_arguments(name, params, timeout_s)
        task = self.as_task(task_id, TASK, arguments, reply_to=self.reply_to)
        message = Message(
            msgspec.json.encode(task.body),
            headers=task.headers | stamp(),
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=task_id,
            reply_to=self.reply_to,
            expiration=timeout_s,
            # as Celery's own
            delivery_mode=DeliveryMode.PERSISTENT,
        )
        await self.channel.default_exchange.publish(
            message, routing_key=self.options.queue, mandatory=False
        )

    async def _on_reply(self, message: Any) -> None:
        self.pending.resolve(message.correlation_id, decoded_reply(message.body))

    def _lost(self, _connection: Any, error: BaseException | None = None) -> None:
        self.pending.fail_all(f"connection to the broker lost: {error}")
