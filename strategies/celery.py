"""`celery`: tasks for a Celery worker over the broker, awaited in one of three ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asyncdb_bench import WorkerKnobs, WorkerStrategy, knob


@dataclass(frozen=True, slots=True, kw_only=True)
class CeleryKnobs(WorkerKnobs):
    """The worker's knobs, and how the handler waits."""

    wait: str = knob(
        "callback",
        choices=("callback", "thread", "poll"),
        help="callback: replies resolve futures; thread: sends and .get()s on threads (rpc replies"
        " to the sending thread alone); poll: asks ready(), publishes on the loop (two naive ways)",
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


class Celery(WorkerStrategy[CeleryKnobs]):
    """What tornado-celery's `callback` did, on Celery 5 and Tornado 6."""

    name = "celery"
    summary = "a Celery task per request; the loop is told of the result"
    Knobs = CeleryKnobs

    def make_way(self, options: Any) -> Any:
        """Return how tasks are sent and awaited, as `wait` says."""
        from asyncdb_bench.contract.celery import bridge
        from asyncdb_bench.contract.celery import result_backends as result_waits

        if self.knobs.wait == "callback":
            return bridge.Bridge(options)
        if self.knobs.wait == "poll":
            return result_waits.WaitByPolling(options)
        return result_waits.WaitOnThreads(options, self.knobs.threads)

    @classmethod
    def results(cls, knobs: CeleryKnobs) -> str:
        """Return the result backend; a callback needs none but replies unless told otherwise."""
        callback = knobs.results == "auto" and knobs.wait == "callback"
        return "rpc" if callback else knobs.results

    @classmethod
    def limits(cls, knobs: CeleryKnobs) -> dict[str, int]:
        """Return the workers, and the threads that wait for their results."""
        threads = {"threads": knobs.threads} if knobs.wait == "thread" else {}
        return super().limits(knobs) | threads
