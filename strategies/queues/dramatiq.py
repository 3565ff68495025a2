"""`dramatiq`: messages in Redis; the worker's threads run them, the handler's wait for results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asyncdb_bench import KEPT_S, QueueKnobs, QueueStrategy, waiting


class Dramatiq(QueueStrategy[QueueKnobs]):
    """With `max_retries=0`: what is tried again has no result until its last try."""

    name = "dramatiq"
    summary = "a dramatiq message per request; a thread waits for its result"
    packages = ("tornado", "sqlalchemy", "psycopg[binary]", "dramatiq[redis]")
    Knobs = waiting("threads block in get_result()", "the loop asks get_result() each 0.1 s")
    on_threads = True
    waits_in = "LLEN {queue}:tasks"

    async def connect(self) -> None:
        import redis
        from dramatiq.brokers.redis import RedisBroker
        from dramatiq.results import Results
        from dramatiq.results.backends import RedisBackend

        own = {"namespace": self.context.queue}
        self.broker = RedisBroker(url=self.carrier.url, **own)
        # redis-py's 5 s would cut a longer wait short
        client: Any = redis.Redis.from_url(self.store.url, socket_timeout=None)
        self.kept = RedisBackend(client=client, use_namespace_prefix_keys=True, **own)
        self.broker.add_middleware(Results(backend=self.kept, result_ttl=KEPT_S * 1000))
        self.broker.declare_queue("tasks")
        self.closing.callback(lambda: (self.broker.close(), client.close()))

    async def call(self, task: str) -> Any:
        from dramatiq import Message, results

        sent = Message("tasks", "run", (task,), {}, {})
        await self.on_thread(self.broker.enqueue, sent)
        options = {"backend": self.kept, "timeout": int(self.context.timeout_s * 1000)}
        if self.knobs.wait == "tuned":
            return await self.on_thread(lambda: sent.get_result(block=True, **options))
        while True:
            try:
                return sent.get_result(**options)
            except results.ResultMissing:
                await asyncio.sleep(0.1)

    async def work(self, run: Callable[[str], Any], ready: Callable[[], object]) -> None:
        import dramatiq

        options = {"queue_name": "tasks", "max_retries": 0, "store_results": True}
        dramatiq.actor(run, actor_name="run", broker=self.broker, **options)
        worker = dramatiq.Worker(self.broker, worker_threads=self.knobs.tasks_each)
        worker.start()
        ready()
        await self.told_to_end().wait()
        worker.stop()
