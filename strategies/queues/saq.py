"""`saq`: jobs of SAQ, which lie in Redis with their results, where the handler asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncdb_bench import KEPT_S, QueueKnobs, QueueStrategy, waiting


class Saq(QueueStrategy[QueueKnobs]):
    """Its worker moves a job's key from list to list, and writes the job anew at each step."""

    name = "saq"
    summary = "a SAQ job per request; the handler polls for its result"
    packages = (*QueueStrategy.packages, "saq[redis]")
    Knobs = waiting(
        "apply() asks each 5 ms",
        "it asks each 0.5 s, as it is",
        refresh="refresh() hears of it by PUBLISH, and not of what ended before it listened",
    )
    apart = True
    waits_in = "LLEN saq:{queue}:queued"

    async def connect(self) -> None:
        from saq import Queue

        self.queue = Queue.from_url(self.carrier.url, name=self.context.queue)
        self.closing.push_async_callback(self.queue.disconnect)
        await self.queue.count("queued")

    async def call(self, task: str) -> Any:
        timeout_s = self.context.timeout_s
        given: dict[str, Any] = {"text": task, "ttl": KEPT_S, "timeout": timeout_s}
        if self.knobs.wait != "refresh":
            return await self.queue.apply("run", poll_interval=self.often_s(0.5), **given)
        job = await self.queue.enqueue("run", **given)
        await job.refresh(timeout_s)
        return job.result

    async def work(self, run: Callable[[str], Any], ready: Callable[[], object]) -> None:
        from saq import Worker

        async def take(_: Any, *, text: str) -> Any:
            return await run(text)

        ready()
        at_once = self.knobs.tasks_each
        await Worker(self.queue, [("run", take)], concurrency=at_once).start()
