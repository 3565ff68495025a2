"""What `celery` and `celery_aio` declare alike: the worker's knobs and its process."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from asyncdb_bench.contract.knob import BUDGET, knob
from asyncdb_bench.contract.strategy import Knobs
from asyncdb_bench.records.plan import Part

POOLS = ("prefork", "threads", "gevent", "solo")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerKnobs(Knobs):
    """Knobs of the Celery worker."""

    workers: int = knob(BUDGET, unit="tasks", low=1, high=500, help="tasks that run at once")
    pool: str = knob("prefork", choices=POOLS, help="how a worker runs tasks at once")
    prefetch: int = knob(1, unit="tasks", low=1, high=1000, help="taken ahead per process")
    worker_cores: str = knob(
        "own",
        choices=("own", "shared"),
        help="own: those that --cpus gives workers; shared: the application's",
    )
    acks_late: bool = knob(False, help="acknowledge a task after it ran, not before")


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker process runs tasks: the options of the strategies' part.

    Parameters
    ----------
    pool, concurrency : how it runs tasks at once, and how many.
    prefetch, acks_late, gc_freeze : as the knobs of the same names.
    results : how results come back; ``"auto"``: as :func:`results_backend` says.
    timed : whether the phases of tasks are noted.
    isolation, autocommit : as the knobs of the same names.
    """

    pool: str
    concurrency: int
    prefetch: int
    acks_late: bool
    gc_freeze: bool
    results: str
    timed: bool
    isolation: str = "read_committed"
    autocommit: bool = False


def worker_parts(knobs: WorkerKnobs, results: str = "rpc") -> tuple[Part, ...]:
    """Return the worker's process: one group, or with `pool=solo` one for each task at once.

    Parameters
    ----------
    knobs : the worker's knobs.
    results : how results come back; ``"auto"``: as :func:`results_backend` says.
    """
    solo = knobs.pool == "solo"
    options = WorkerOptions(
        pool=knobs.pool,
        concurrency=1 if solo else knobs.workers,
        prefetch=knobs.prefetch,
        acks_late=knobs.acks_late,
        gc_freeze=knobs.gc_freeze,
        results=results,
        timed=knobs.timing > 0,
        isolation=knobs.isolation,
        autocommit=knobs.autocommit,
    )
    module = "asyncdb_bench.app.celery_worker"
    return (
        Part(
            "worker", module, msgspec.structs.asdict(options), copies=knobs.workers if solo else 1
        ),
    )


def results_backend(results: str, broker: str) -> str:
    """Return Celery's result backend; ``"auto"`` is what people use for `.get()` on that broker."""
    if results == "auto":
        return "redis" if broker == "redis" else "rpc"
    return results
