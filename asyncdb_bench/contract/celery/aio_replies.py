"""Tasks published and replies consumed on the event loop itself, over AMQP by aio-pika."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import aio_pika
import msgspec

from asyncdb_bench.contract.broker_url import aio_pika_url
from asyncdb_bench.contract.celery.celery_app import (
    TASK,
    QueueOptions,
    backend_url,
    decoded_reply,
    make_app,
    stamp,
    task_arguments,
    unwrapped,
)
from asyncdb_bench.contract.celery.result_backends import Pending
from asyncdb_bench.errors import RequestTimeoutError, UnavailableError

RECONNECT_S = 0.5


class AioReplies:
    """One connection and one reply queue of this process, without a thread in between.

    Parameters
    ----------
    options : how tasks travel; the reply queue is named after the task queue.
    """

    def __init__(self, options: QueueOptions) -> None:
        # how a task becomes a message is Celery's own business
        app = make_app(options, backend=backend_url(options, client=True))
        self.as_task = app.amqp.as_task_v2
        self.options = options
        self.pending = Pending()
        self.reply_to = f"{options.queue}.reply.{uuid.uuid4().hex[:8]}"
        self.connection: Any = None

    async def open(self) -> None:
        """Connect and consume the reply queue."""
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
        timeout_s = self.options.timeout_s
        arguments = task_arguments(name, params, timeout_s)
        task = self.as_task(task_id, TASK, arguments, reply_to=self.reply_to)
        message = aio_pika.Message(
            msgspec.json.encode(task.body),
            headers=task.headers | stamp(),
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=task_id,
            reply_to=self.reply_to,
            expiration=timeout_s,
        )
        await self.channel.default_exchange.publish(
            message, routing_key=self.options.queue, mandatory=False
        )

    async def _on_reply(self, message: Any) -> None:
        self.pending.resolve(message.correlation_id, decoded_reply(message.body))

    def _lost(self, _connection: Any, error: BaseException | None = None) -> None:
        self.pending.fail_all(f"connection to the broker lost: {error}")
