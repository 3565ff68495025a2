"""The contract of a strategy: a way for a handler to reach the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from asyncdb_bench.contract.abandoning import CHOICES, GENERAL
from asyncdb_bench.contract.knob import knob
from asyncdb_bench.contract.operation import Operation, Params
from asyncdb_bench.records.plan import Broker, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """Knobs that every strategy has; a strategy adds its own by inheriting from this."""

    uvloop: bool = knob(False, help="run the application on uvloop instead of asyncio's own loop")
    gc_freeze: bool = knob(
        True, help="take what start-up made out of garbage collection (gc.freeze): shorter pauses"
    )
    processes: int = knob(
        1,
        unit="processes",
        low=1,
        high=64,
        help="application processes on one port (SO_REUSEPORT), which share pool and threads",
    )
    timing: float = knob(
        1.0, low=0, high=1, help="share of the requests whose phases are noted (Server-Timing)"
    )
    isolation: str = knob(
        "read_committed",
        choices=("read_committed", "repeatable_read", "serializable"),
        help="isolation level of transactions",
    )
    autocommit: bool = knob(False, help="run what only reads without BEGIN and COMMIT")
    abandon: str = knob(
        "run",
        choices=CHOICES,
        help="when nobody waits for the answer any more, see docs/abandoned.md: let it run, cancel"
        " the handler or its query, have the server time it out; or bound the wait, refuse what"
        " would wait long, let messages expire",
    )


@dataclass(frozen=True, slots=True)
class Context:
    """What a strategy is given to work with.

    Parameters
    ----------
    database_url : ``postgresql://…`` without a driver.
    operations : the scenario's operations by name.
    broker : the broker, where the strategy declares that it needs one.
    queue : name of the task queue, unique to the trial.
    timeout_s : after how long the application gives up a request.
    store : a Redis for results, where the strategy declares that it needs one.
    """

    database_url: str
    operations: Mapping[str, Operation]
    broker: Broker | None = None
    queue: str = "asyncdb-bench"
    timeout_s: float = 10.0
    store: Broker | None = None


K = TypeVar("K", bound=Knobs)


LIMITS = ("handler", "threads", "workers", "connections")
"""What :meth:`Strategy.limits` may name."""


class Strategy(ABC, Generic[K]):
    """A way for a handler to reach the database.

    Subclasses set the class attributes, write :meth:`run`, and :meth:`open` and :meth:`close`
    where there is something to open. Heavy libraries are imported in :meth:`open`, not at the
    top of the file: `bench.py list` imports every strategy.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Knobs: ClassVar[type[Knobs]] = Knobs
    packages: ClassVar[tuple[str, ...]] = ("tornado",)
    """What an application that goes this way installs, as pip reads it."""
    brokers: ClassVar[tuple[str, ...]] = ()
    """Kinds of broker it works over (``"rabbitmq"``, ``"redis"``); empty where it needs none."""
    abandons: ClassVar[tuple[str, ...]] = GENERAL
    """What it can do with a request that nobody waits for: values of the knob `abandon`."""
    waits_in: ClassVar[str] = "LLEN {queue}:{queue}"
    """The Redis command that counts the tasks that wait; usually Celery's key with its prefix."""
    apart: ClassVar[bool] = False
    """Whether its packages exclude ours: it runs from an environment of their own."""

    def __init__(self, knobs: K, context: Context) -> None:
        self.knobs = knobs
        self.context = context

    async def open(self) -> None:
        """Get ready, on the loop, before the first request; fill pools here."""

    @abstractmethod
    async def run(self, operation: Operation, params: Params) -> Any:
        """Run one operation in one transaction and return its answer.

        Raises
        ------
        UnavailableError : pool or queue exhausted, or a service gone (answered as 503).
        RequestTimeoutError : the answer did not come in time (answered as 504).
        """

    async def close(self) -> None:
        """Give everything back; also called after an :meth:`open` that failed half-way."""

    def gauges(self) -> dict[str, float]:
        """Return what can be read at no cost: depth of hidden queues, pool in use."""
        return {}

    @classmethod
    @abstractmethod
    def budget(cls, knobs: K) -> int:
        """Return how many database connections it may use at once."""

    @classmethod
    def limits(cls, knobs: K) -> dict[str, int]:
        """Return how many requests each of its resources serves at once.

        By the names ``handler`` (the processes, where a loop waits for the database itself),
        ``threads``, ``workers`` and ``connections``; those that it has. From them and the time
        that a request occupies each follows the capacity that it can have at most.
        """
        return {}

    @classmethod
    def refusal(cls, knobs: K, operations: Iterable[Operation]) -> str:
        """Return why it cannot run some operations; empty: it can."""
        return ""

    @classmethod
    def brokers_for(cls, knobs: K) -> tuple[str, ...]:
        """Return the kinds of broker that it works over with these knobs."""
        return cls.brokers

    @classmethod
    def needs_store(cls, knobs: K) -> bool:
        """Return whether it needs a Redis for results, whatever the broker is."""
        return False

    @classmethod
    def parts(cls, knobs: K) -> tuple[Part, ...]:
        """Return the extra processes that it needs beside the application."""
        return ()
