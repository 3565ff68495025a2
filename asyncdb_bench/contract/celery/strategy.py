"""A base for strategies that send tasks to Celery workers; a subclass says how it waits."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from asyncdb_bench.contract.abandoning import GENERAL
from asyncdb_bench.contract.knob import BUDGET, knob, values_of
from asyncdb_bench.contract.operation import Operation, Params
from asyncdb_bench.contract.strategy import Knobs, Strategy
from asyncdb_bench.records.plan import Part

if TYPE_CHECKING:
    from asyncdb_bench.contract.celery.celery_app import QueueOptions


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


def worker_parts(knobs: WorkerKnobs, results: str = "rpc") -> tuple[Part, ...]:
    """Return the worker's process: one group, or with `pool=solo` one for each task at once.

    Parameters
    ----------
    knobs : the worker's knobs.
    results : how results come back; ``"auto"``: as :func:`results_backend` says.
    """
    options = {"knobs": values_of(knobs), "results": results}
    copies = knobs.workers if knobs.pool == "solo" else 1
    return (Part("worker", "asyncdb_bench.app.celery_worker", options, copies),)


def results_backend(results: str, broker: str) -> str:
    """Return Celery's result backend; ``"auto"`` is what people use for `.get()` on that broker."""
    if results == "auto":
        return "redis" if broker == "redis" else "rpc"
    return results


W = TypeVar("W", bound=WorkerKnobs)


class Way:
    """How a task is sent and its result awaited."""

    async def open(self) -> None:
        """Connect.

        Raises
        ------
        UnavailableError : the broker does not answer.
        """

    async def call(self, name: str, params: dict[str, Any]) -> Any:
        """Run an operation on a worker and return its answer; raises as `Strategy.run`."""
        raise NotImplementedError

    async def close(self) -> None:
        """Give everything back; also after an `open` that failed half-way."""

    def gauges(self) -> dict[str, float]:
        """Return what can be read at no cost."""
        return {}


class WorkerStrategy(Strategy[W]):
    """Each request is a task; the workers hold the database connections."""

    Knobs = WorkerKnobs
    abandons: ClassVar[tuple[str, ...]] = (*GENERAL, "statement", "expire")
    packages: ClassVar[tuple[str, ...]] = ("tornado", "sqlalchemy", "psycopg[binary]", "celery")
    brokers: ClassVar[tuple[str, ...]] = ("rabbitmq", "redis")
    way: Way | None = None

    @abstractmethod
    def make_way(self, options: QueueOptions) -> Way:
        """Make what sends tasks and waits for them, not yet open."""

    @classmethod
    def results(cls, knobs: W) -> str:
        """Return how results come back: ``"rpc"``, ``"redis"``, ``"amqp"`` or ``"auto"``."""
        return "rpc"

    async def open(self) -> None:
        """Connect to the broker."""
        from asyncdb_bench.contract.celery import celery_app as tasks

        assert self.context.broker is not None
        options = tasks.QueueOptions(
            broker=self.context.broker,
            queue=self.context.queue,
            results=results_backend(self.results(self.knobs), self.context.broker.kind),
            acks_late=self.knobs.acks_late,
            timeout_s=self.context.timeout_s,
            store=self.context.store,
        )
        self.way = self.make_way(options)
        await self.way.open()

    async def run(self, operation: Operation, params: Params) -> Any:
        """Send the operation to a worker and wait for its answer."""
        assert self.way is not None
        return await self.way.call(operation.name, operation.plain(params))

    async def close(self) -> None:
        """Disconnect."""
        if self.way is not None:
            await self.way.close()

    def gauges(self) -> dict[str, float]:
        """Return what the way can tell: how many calls wait, replies that came too late."""
        return self.way.gauges() if self.way is not None else {}

    @classmethod
    def budget(cls, knobs: W) -> int:
        """Return a connection for each task that runs at once."""
        return knobs.workers

    @classmethod
    def limits(cls, knobs: W) -> dict[str, int]:
        """Return how many tasks run at once."""
        return {"workers": knobs.workers}

    @classmethod
    def brokers_for(cls, knobs: W) -> tuple[str, ...]:
        """Return RabbitMQ alone where each task has a queue for its result."""
        return ("rabbitmq",) if cls.results(knobs) == "amqp" else cls.brokers

    @classmethod
    def needs_store(cls, knobs: W) -> bool:
        """Return whether Redis keeps the results."""
        return cls.results(knobs) == "redis"

    @classmethod
    def parts(cls, knobs: W) -> tuple[Part, ...]:
        """Return the worker."""
        return worker_parts(knobs, cls.results(knobs))
