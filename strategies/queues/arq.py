"""`arq`: jobs of arq, which lie in Redis with their results; handler and worker both ask."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from asyncdb_bench import KEPT_S, QueueKnobs, QueueStrategy, waiting


class Arq(QueueStrategy[QueueKnobs]):
    """What runs stays in the sorted set of what waits, and is counted as waiting."""

    name = "arq"
    summary = "an arq job per request; the handler polls for its result"
    packages = (*QueueStrategy.packages, "arq")
    Knobs = waiting("result() and the worker ask each 5 ms", "both each 0.5 s, as they are")
    apart = True
    waits_in = "ZCARD {queue}"

    async def connect(self) -> None:
        from arq import create_pool
        from arq.connections import RedisSettings

        settings = RedisSettings.from_dsn(self.carrier.url)
        self.pool = await create_pool(settings, default_queue_name=self.context.queue)
        self.closing.push_async_callback(self.pool.aclose)

    async def call(self, task: str) -> Any:
        own, timeout_s = f"{self.context.queue}:{uuid.uuid4().hex}", self.context.timeout_s
        job = await self.pool.enqueue_job("run", task, _job_id=own, _expires=timeout_s)
        return await job.result(poll_delay=self.often_s(0.5))

    async def work(self, run: Callable[[str], Any], ready: Callable[[], object]) -> None:
        from arq.worker import Worker, func

        async def take(_: Any, text: str) -> Any:
            return await run(text)

        often_s, at_once = self.often_s(0.5), self.knobs.tasks_each
        options = {"poll_delay": often_s, "max_jobs": at_once, "keep_result": KEPT_S}
        own: Any = {"queue_name": self.context.queue, "redis_pool": self.pool}
        ready()
        await Worker([func(take, name="run")], log_results=False, **own, **options).async_run()
