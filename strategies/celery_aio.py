"""`celery_aio`: Celery tasks published and answered on the loop itself, over AMQP (aio-pika)."""

from __future__ import annotations

from typing import Any

from asyncdb_bench import WorkerKnobs, WorkerStrategy


class CeleryAio(WorkerStrategy[WorkerKnobs]):
    """The same workers and the same messages as `celery`, without a thread in between."""

    name = "celery_aio"
    summary = "Celery tasks published and answered on the loop by aio-pika"
    packages = (*WorkerStrategy.packages, "aio-pika")
    brokers = ("rabbitmq",)

    def make_way(self, options: Any) -> Any:
        """Return aio-pika's way."""
        from asyncdb_bench.contract.celery.bridge import AioReplies

        return AioReplies(options)
