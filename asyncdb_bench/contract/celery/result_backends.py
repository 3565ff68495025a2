"""How results come back to the loop: by reply messages, by Redis, or by one queue per task.

Each way is a connection that one thread owns. It listens, hands every result to the bridge by its
task's id, and raises when its connection breaks: the bridge then makes a new one.
"""

from __future__ import annotations

import asyncio
import queue
import select
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from celery.exceptions import TimeoutError as ResultTimeoutError
from celery.result import AsyncResult
from kombu import Consumer, Exchange, Queue

from asyncdb_bench.contract.abandoning import rest_s
from asyncdb_bench.contract.celery.celery_app import (
    RESULT_QUEUE_EXPIRES_S,
    Arguments,
    QueueOptions,
    decoded_reply,
    make_app,
    results_exchange,
    task_arguments,
    task_of,
    unwrapped,
)
from asyncdb_bench.contract.celery.strategy import Way
from asyncdb_bench.contract.remote import LIMIT, RemoteError, failure
from asyncdb_bench.errors import RequestTimeoutError, UnavailableError


class Pending:
    """Calls under way, by task id. Used on the event loop only.

    Parameters
    ----------
    limit : calls that may wait at once; more are refused.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.late = 0
        self.replied = 0
        self._futures: dict[str, asyncio.Future[dict[str, Any]]] = {}

    def __len__(self) -> int:
        return len(self._futures)

    def add(self, task_id: str) -> asyncio.Future[dict[str, Any]]:
        """Start to wait for a reply.

        Raises
        ------
        UnavailableError : as many calls as permitted wait already.
        """
        if len(self._futures) >= self.limit:
            raise UnavailableError(f"{self.limit} tasks wait for their reply already")
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._futures[task_id] = future
        return future

    async def wait(
        self, task_id: str, future: asyncio.Future[dict[str, Any]], timeout_s: float
    ) -> dict[str, Any]:
        """Await the reply and forget the call, however it ends.

        Raises
        ------
        RequestTimeoutError : no reply within `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise RequestTimeoutError(f"no reply from a worker within {timeout_s:g} s") from None
        finally:
            self.forget(task_id)

    def forget(self, task_id: str) -> None:
        """Stop to wait for a reply."""
        self._futures.pop(task_id, None)

    def resolve(self, task_id: str, reply: dict[str, Any]) -> None:
        """Hand a reply to who waits for it; drop and count it when nobody does any more."""
        future = self._futures.get(task_id)
        if future is None or future.done():
            self.late += 1
            return
        self.replied += 1
        if reply.get("status") == "SUCCESS":
            future.set_result(reply["result"])
        else:
            future.set_exception(failure(reply.get("result")))

    def fail(self, task_id: str, reason: str) -> None:
        """End one call as unavailable."""
        future = self._futures.get(task_id)
        if future is not None and not future.done():
            future.set_exception(UnavailableError(reason))

    def fail_all(self, reason: str) -> None:
        """End every call as unavailable: the connection that would bring the replies is gone."""
        for task_id in list(self._futures):
            self.fail(task_id, reason)


POLL_S = 0.005


class WaitByPolling(Way):
    """Publishes on the loop, then asks `ready()` every 5 ms.

    Parameters
    ----------
    options : how tasks and results travel.
    """

    def __init__(self, options: QueueOptions) -> None:
        self.task = task_of(make_app(options, client=False))
        self.timeout_s = options.timeout_s

    async def call(self, name: str, params: dict[str, Any]) -> Any:
        """Run an operation on a worker and return its answer."""
        submitted_ns = time.monotonic_ns()
        result = self._send(task_arguments(name, params, self.timeout_s), rest_s(self.timeout_s))
        async with asyncio.timeout(self.timeout_s):
            while not result.ready():
                await asyncio.sleep(POLL_S)
        return unwrapped(value_of(result), submitted_ns)

    def _send(self, arguments: Arguments, expiration_s: float) -> AsyncResult:
        return self.task.apply_async(arguments, expiration=expiration_s)


class WaitOnThreads(WaitByPolling):
    """Publishes and waits by `get()` on threads of a pool.

    Parameters
    ----------
    options : as :class:`WaitByPolling`.
    threads : how many.
    """

    def __init__(self, options: QueueOptions, threads: int) -> None:
        super().__init__(options)
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="celery-get")

    async def call(self, name: str, params: dict[str, Any]) -> Any:
        """Run an operation on a worker and return its answer."""
        submitted_ns = time.monotonic_ns()
        arguments = task_arguments(name, params, self.timeout_s)
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self.executor, self._get, arguments, rest_s(self.timeout_s)
        )
        return unwrapped(found, submitted_ns)

    async def close(self) -> None:
        """End the threads."""
        self.executor.shutdown(wait=False, cancel_futures=True)

    def _get(self, arguments: Arguments, expiration_s: float) -> Any:
        result = self._send(arguments, expiration_s)
        try:
            result.get(timeout=self.timeout_s, propagate=False)
        except ResultTimeoutError as error:
            raise RequestTimeoutError(f"no result: {error}") from error
        return value_of(result)


def value_of(result: AsyncResult) -> Any:
    """Return what a finished task returned.

    Raises
    ------
    UnavailableError : it could not be done, or not in time.
    RemoteError : it failed.
    """
    if isinstance(result.result, UnavailableError):
        raise result.result
    if not result.successful():
        raise RemoteError(repr(result.result))
    return result.result


DRAIN_S = 0.25
OnResult = Callable[[str, dict[str, Any]], None]


class Replies:
    """``rpc``: one reply queue of this process; Celery's way today. The other ways inherit."""

    def __init__(self, name: str | None, on_result: OnResult) -> None:
        self.reply_to = name
        """The queue that a task is told to reply to; None: the task's own business."""
        self.on_result = on_result

    def expect(self, task_id: str) -> None:
        """Be told, before a task is published, that its result will be waited for."""

    def forget(self, task_id: str) -> None:
        """Be told that nobody waits for it any more."""

    def listen(self, connection: Any, ready: Callable[[], None], stop: Callable[[], bool]) -> None:
        """Hand over results until told to stop.

        Parameters
        ----------
        connection : to the broker, owned by this call.
        ready : called once results can be received.
        stop : asked at least every :data:`DRAIN_S`.
        """
        replies = Queue(self.reply_to, exclusive=True, auto_delete=True, durable=False)
        with Consumer(
            connection, [replies], on_message=self._on_message, no_ack=True, accept=["json"]
        ):
            ready()
            while not stop():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=DRAIN_S)

    def _on_message(self, message: Any) -> None:
        reply = decoded_reply(message.body)
        self.on_result(reply["task_id"], reply)


class Published(Replies):
    """``redis``: the backend stores a result and publishes it; one subscription hears all."""

    def __init__(self, options: QueueOptions, on_result: OnResult) -> None:
        super().__init__(None, on_result)
        self.url = options.results_url
        self.pattern = f"{options.queue}:celery-task-meta-*"

    def listen(self, connection: Any, ready: Callable[[], None], stop: Callable[[], bool]) -> None:
        """Subscribe to the results' channels; the broker's own connection is not needed."""
        import redis

        with redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=2) as client:
            heard = client.pubsub(ignore_subscribe_messages=True)
            heard.psubscribe(self.pattern)
            client.ping()
            ready()
            while not stop():
                message = heard.get_message(timeout=DRAIN_S)
                if message is not None:
                    reply = decoded_reply(message["data"])
                    self.on_result(reply["task_id"], reply)


class QueuePerTask(Replies):
    """``amqp``: a queue declared, bound and consumed for every single task, as in Celery 3.

    What tornado-celery's callback did on pika: nothing waits for the broker's confirmations
    (``nowait``), so this is the way at its best.
    """

    def __init__(self, options: QueueOptions, on_result: OnResult) -> None:
        super().__init__(None, on_result)
        self.exchange = Exchange(
            results_exchange(options.queue), type="direct", durable=False, delivery_mode=1
        )
        self._wanted: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)

    def expect(self, task_id: str) -> None:
        """Have the listening thread declare the task's queue."""
        self._tell(task_id, wanted=True)

    def forget(self, task_id: str) -> None:
        """Have it deleted."""
        self._tell(task_id, wanted=False)

    def _tell(self, task_id: str, *, wanted: bool) -> None:
        self._wanted.put((task_id, wanted))
        with suppress(BlockingIOError):
            self._wake_writer.send(b".")

    def listen(self, connection: Any, ready: Callable[[], None], stop: Callable[[], bool]) -> None:
        """Declare and consume what is expected, delete what has come."""
        channel = connection.channel()
        self.exchange(channel).declare()
        ready()
        sockets = [connection.connection.sock, self._wake_reader]
        while not stop():
            readable, _, _ = select.select(sockets, [], [], DRAIN_S)
            if self._wake_reader in readable:
                with suppress(BlockingIOError):
                    self._wake_reader.recv(4096)
            self._declare(channel)
            if sockets[0] in readable:
                self._drain(connection)

    def _declare(self, channel: Any) -> None:
        while True:
            try:
                task_id, wanted = self._wanted.get_nowait()
            except queue.Empty:
                return
            name = f"{self.exchange.name}.{task_id}"
            if not wanted:
                # it goes with its consumer; deleted before it, it would cost the connection
                channel.basic_cancel(task_id, nowait=True)
                continue
            own = Queue(
                name,
                exchange=self.exchange,
                routing_key=name,
                durable=False,
                auto_delete=True,
                expires=RESULT_QUEUE_EXPIRES_S,
            )(channel)
            own.queue_declare(nowait=True)
            own.queue_bind(nowait=True)
            own.consume(task_id, callback=self._on_message, no_ack=True, nowait=True)

    def _drain(self, connection: Any) -> None:
        """Take every frame that has come: the transport reads ahead of what it hands out."""
        while True:
            try:
                connection.drain_events(timeout=0.0005)
            except TimeoutError:
                return

    def _on_message(self, message: Any) -> None:
        reply = decoded_reply(message.body)
        message.channel.basic_cancel(reply["task_id"], nowait=True)
        self.on_result(reply["task_id"], reply)


def make_results(options: QueueOptions, reply_to: str, on_result: OnResult) -> Replies:
    """Return the way that the options name."""
    if options.results == "amqp":
        return QueuePerTask(options, on_result)
    if options.results == "redis":
        return Published(options, on_result)
    return Replies(reply_to, on_result)
