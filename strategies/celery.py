"""`celery`: tasks for a Celery worker over the broker, awaited in one of three ways."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncdb_bench.errors import RequestTimeoutError
from asyncdb_bench.knob import knob
from asyncdb_bench.model import Part
from asyncdb_bench.operation import Operation, Params
from asyncdb_bench.strategy import Strategy
from asyncdb_bench.taskqueue.part import WorkerKnobs, results_backend, worker_parts

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from asyncdb_bench.taskqueue.bridge import Bridge

POLL_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class CeleryKnobs(WorkerKnobs):
    """The worker's knobs, and how the handler waits."""

    wait: str = knob(
        "callback",
        choices=("callback", "thread", "poll"),
        help="callback: replies resolve futures; thread: .get() on threads; poll: asks ready(),"
        " and publishes on the loop (the two naive ways, kept with their flaws)",
    )
    results: str = knob(
        "auto",
        choices=("auto", "rpc", "redis", "amqp"),
        help="result backend; amqp: one queue per task (RabbitMQ), as in 2017; auto: rpc, and redis"
        " where wait is not callback over Redis",
    )
    threads: int = knob(
        32, unit="threads", low=1, high=1000, help="threads of wait=thread", split=True
    )

    @property
    def backend(self) -> str:
        """The result backend; a callback needs none but replies unless told otherwise."""
        return "rpc" if self.results == "auto" and self.wait == "callback" else self.results


class Celery(Strategy[CeleryKnobs]):
    """What tornado-celery's `callback` did, on Celery 5 and Tornado 6."""

    name = "celery"
    summary = "a Celery task per request; the loop is told of the result"
    Knobs = CeleryKnobs
    packages = ("tornado", "sqlalchemy", "psycopg[binary]", "celery")
    brokers = ("rabbitmq", "redis")
    bridge: Bridge | None = None
    executor: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Connect to the broker, in threads where the loop must not wait."""
        from concurrent.futures import ThreadPoolExecutor

        from asyncdb_bench.taskqueue import app as tasks
        from asyncdb_bench.taskqueue.bridge import Bridge

        assert self.context.broker is not None
        callback = self.knobs.wait == "callback"
        options = tasks.QueueOptions(
            broker=self.context.broker,
            queue=self.context.queue,
            results=results_backend(self.knobs.backend, self.context.broker.kind),
            acks_late=self.knobs.acks_late,
            timeout_s=self.context.timeout_s,
            store=self.context.store,
        )
        app = tasks.make_app(options, backend=tasks.backend_url(options, client=callback))
        self.task = tasks.task_of(app)
        self.task_arguments = tasks.task_arguments
        self.unwrapped = tasks.unwrapped
        if callback:
            self.bridge = Bridge(app, options)
            await self.bridge.open()
        elif self.knobs.wait == "thread":
            self.executor = ThreadPoolExecutor(self.knobs.threads, thread_name_prefix="celery-get")

    async def run(self, operation: Operation, params: Params) -> dict[str, Any]:
        """Send the operation to a worker and wait for its answer as `wait` says."""
        if self.bridge is not None:
            return await self.bridge.call(operation.name, dict(params))
        submitted_ns = time.monotonic_ns()
        arguments = self.task_arguments(operation.name, dict(params), self.context.timeout_s)
        if self.executor is not None:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self.executor, self._get, arguments)
            return self.unwrapped(found, submitted_ns)
        result = self._send(arguments)
        async with asyncio.timeout(self.context.timeout_s):
            while not result.ready():
                await asyncio.sleep(POLL_S)
        return self.unwrapped(self._result(result), submitted_ns)

    async def close(self) -> None:
        """End the threads."""
        if self.bridge is not None:
            await self.bridge.close()
        if self.executor is not None:
            self.executor.shutdown(wait=False, cancel_futures=True)

    def gauges(self) -> dict[str, float]:
        """Return how many calls wait, and how many replies came too late."""
        if self.bridge is None:
            return {}
        return {
            "pending": len(self.bridge.pending),
            "outbox_depth": self.bridge.outbox_depth,
            "late_replies": self.bridge.pending.late,
        }

    def counters(self) -> dict[str, int]:
        """Return what became of the tasks, as far as the application knows."""
        if self.bridge is None:
            return {}
        pending = self.bridge.pending
        return {
            "published": self.bridge.published,
            "replied": pending.replied,
            "late": pending.late,
        }

    def _send(self, arguments: Any) -> Any:
        return self.task.apply_async(arguments, expiration=self.context.timeout_s)

    def _get(self, arguments: Any) -> dict[str, Any]:
        from celery.exceptions import TimeoutError as ResultTimeoutError

        result = self._send(arguments)
        try:
            result.get(timeout=self.context.timeout_s, propagate=False)
        except ResultTimeoutError as error:
            raise RequestTimeoutError(f"no result: {error}") from error
        return self._result(result)

    def _result(self, result: Any) -> dict[str, Any]:
        from asyncdb_bench.taskqueue.pending import RemoteError

        if not result.successful():
            raise RemoteError(repr(result.result))
        found: dict[str, Any] = result.result
        return found

    @classmethod
    def budget(cls, knobs: CeleryKnobs) -> int:
        """Return a connection for each task that runs at once."""
        return knobs.workers

    @classmethod
    def limits(cls, knobs: CeleryKnobs) -> dict[str, int]:
        """Return how many tasks run at once, and the threads that wait for their results."""
        waiting = {"threads": knobs.threads} if knobs.wait == "thread" else {}
        return {"workers": knobs.workers} | waiting

    @classmethod
    def parts(cls, knobs: CeleryKnobs) -> tuple[Part, ...]:
        """Return the worker."""
        return worker_parts(knobs, knobs.backend)

    @classmethod
    def brokers_for(cls, knobs: CeleryKnobs) -> tuple[str, ...]:
        """Return RabbitMQ alone where each task has a queue."""
        return ("rabbitmq",) if knobs.results == "amqp" else cls.brokers

    @classmethod
    def needs_store(cls, knobs: CeleryKnobs) -> bool:
        """Say whether Redis keeps the results."""
        return knobs.results == "redis"
