"""`celery_aio`: Celery tasks published and answered on the loop itself, over AMQP (aio-pika)."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

from asyncdb_bench.errors import RequestTimeoutError, UnavailableError
from asyncdb_bench.model import Part
from asyncdb_bench.operation import Operation, Params
from asyncdb_bench.strategy import Strategy
from asyncdb_bench.taskqueue.part import WorkerKnobs, worker_parts

RECONNECT_S = 0.5


class CeleryAio(Strategy[WorkerKnobs]):
    """The same workers and the same messages as `celery`, without a thread in between."""

    name = "celery_aio"
    summary = "Celery tasks published and answered on the loop by aio-pika"
    Knobs = WorkerKnobs
    packages = ("tornado", "sqlalchemy", "psycopg[binary]", "celery", "aio-pika")
    brokers = ("rabbitmq",)
    connection: Any = None
    published = 0

    async def open(self) -> None:
        """Connect, and consume one reply queue of this process."""
        import aio_pika

        from asyncdb_bench.taskqueue import app as tasks
        from asyncdb_bench.taskqueue.pending import Pending

        assert self.context.broker is not None
        self.pending = Pending()
        self.message_type = aio_pika.Message
        options = tasks.QueueOptions(self.context.broker, self.context.queue, "rpc")
        app = tasks.make_app(options, backend=tasks.backend_url(options, client=True))
        self.as_task = app.amqp.as_task_v2
        self.task_name, self.task_arguments = tasks.TASK, tasks.task_arguments
        self.unwrapped, self.stamp = tasks.unwrapped, tasks.stamp
        self.connection = await aio_pika.connect_robust(
            self.context.broker.url, timeout=5, reconnect_interval=RECONNECT_S
        )
        self.connection.close_callbacks.add(self._lost)
        self.channel = await self.connection.channel(publisher_confirms=False)
        self.reply_to = f"{self.context.queue}.reply.{uuid.uuid4().hex[:8]}"
        replies = await self.channel.declare_queue(self.reply_to, exclusive=True, auto_delete=True)
        await replies.consume(self._on_reply, no_ack=True)

    async def run(self, operation: Operation, params: Params) -> dict[str, Any]:
        """Publish the task and await its reply; the timeout covers both."""
        if not self.connection.connected.is_set():
            raise UnavailableError("no connection to the broker; trying to reconnect")
        timeout_s = self.context.timeout_s
        task_id = str(uuid.uuid4())
        future = self.pending.add(task_id)
        submitted_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(timeout_s):
                await self._publish(task_id, operation.name, dict(params))
        except TimeoutError:
            self.pending.forget(task_id)
            raise RequestTimeoutError(f"not published within {timeout_s:g} s") from None
        except Exception as error:
            self.pending.forget(task_id)
            raise UnavailableError(f"broker unavailable: {error}") from error
        left = timeout_s - (time.monotonic_ns() - submitted_ns) / 1e9
        return self.unwrapped(await self.pending.wait(task_id, future, left), submitted_ns)

    async def _publish(self, task_id: str, name: str, params: dict[str, Any]) -> None:
        import msgspec

        timeout_s = self.context.timeout_s
        arguments = self.task_arguments(name, params, timeout_s)
        task = self.as_task(task_id, self.task_name, arguments, reply_to=self.reply_to)
        message = self.message_type(
            msgspec.json.encode(task.body),
            headers=task.headers | self.stamp(),
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=task_id,
            reply_to=self.reply_to,
            expiration=timeout_s,
        )
        await self.channel.default_exchange.publish(
            message, routing_key=self.context.queue, mandatory=False
        )
        self.published += 1

    async def _on_reply(self, message: Any) -> None:
        import msgspec

        self.pending.resolve(message.correlation_id, msgspec.json.decode(message.body))

    def _lost(self, _connection: Any, error: BaseException | None = None) -> None:
        self.pending.fail_all(f"connection to the broker lost: {error}")

    async def close(self) -> None:
        """Close the connection; its reply queue goes with it."""
        if self.connection is not None:
            await self.connection.close()

    def gauges(self) -> dict[str, float]:
        """Return how many calls wait, and how many replies came too late."""
        return {"pending": len(self.pending), "late_replies": self.pending.late}

    def counters(self) -> dict[str, int]:
        """Return what became of the tasks, as far as the application knows."""
        pending = self.pending
        return {"published": self.published, "replied": pending.replied, "late": pending.late}

    @classmethod
    def budget(cls, knobs: WorkerKnobs) -> int:
        """Return a connection for each task that runs at once."""
        return knobs.workers

    @classmethod
    def limits(cls, knobs: WorkerKnobs) -> dict[str, int]:
        """Return how many tasks run at once."""
        return {"workers": knobs.workers}

    @classmethod
    def parts(cls, knobs: WorkerKnobs) -> tuple[Part, ...]:
        """Return the worker."""
        return worker_parts(knobs)
