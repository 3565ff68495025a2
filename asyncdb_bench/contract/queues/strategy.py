"""A base for strategies on task queues beside Celery; a subclass names its library's calls."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, make_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from asyncdb_bench.contract.knob import BUDGET, knob, values_of
from asyncdb_bench.contract.operation import Operation, Params
from asyncdb_bench.contract.remote import LIMIT
from asyncdb_bench.contract.strategy import Context, Knobs, Strategy
from asyncdb_bench.errors import (
    KnobError,
    RequestTimeoutError,
    UnavailableError,
    described,
    first_line,
)
from asyncdb_bench.records.plan import Broker, Part

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

THREADS = 32
"""That wait for results where a library blocks, as `celery:wait=thread` has."""
OPEN_S = 10
AGAIN_S = 0.2
KEPT_S = 60
"""How long a result is kept, where a library can be told."""
SOON_S = 0.005
"""What a library that asks again and again is told to wait between."""


def waits(tuned: str, plain: str, **others: str) -> Any:
    """Declare the knob `wait`: what the handler does for each value, the best way first."""
    ways = {"tuned": tuned, "plain": plain, **others}
    said = "; ".join(f"{name}: {what}" for name, what in ways.items())
    return knob("tuned", choices=tuple(ways), help=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueKnobs(Knobs):
    """Knobs of a task queue's worker."""

    workers: int = knob(BUDGET, unit="tasks", low=1, high=500, help="tasks that run at once")
    worker_processes: int = knob(
        1, unit="processes", low=1, high=64, help="worker processes, which share the tasks out"
    )
    worker_cores: str = knob(
        "own",
        choices=("own", "shared"),
        help="own: those that --cpus gives workers; shared: the application's",
    )
    wait: str = waits("as fast as the library can", "as its first example does")

    over = "redis"
    """What carries the tasks; a knob where there is a choice."""

    @property
    def tasks_each(self) -> int:
        """How many tasks a worker process runs at once."""
        return self.workers // self.worker_processes


def waiting(tuned: str, plain: str, **others: str) -> type[QueueKnobs]:
    """Return knobs whose `wait` is as :func:`waits` makes it."""
    own = ("wait", str, waits(tuned, plain, **others))
    made: type[QueueKnobs] = make_dataclass(
        "Knobs", [own], bases=(QueueKnobs,), frozen=True, slots=True, kw_only=True
    )
    return made


Q = TypeVar("Q", bound=QueueKnobs)


class QueueStrategy(Strategy[Q]):
    """Each request is a task; a worker process holds the database connections.

    The library's own calls are in :meth:`connect`, :meth:`call`, and on the worker's side in
    :meth:`work`; both sides read `context` and `knobs`. A task is a text, and so
    is its reply, which also says how an operation failed: what a library makes of an exception
    itself does not matter.
    """

    Knobs = QueueKnobs
    packages: ClassVar[tuple[str, ...]] = ("tornado", "sqlalchemy[asyncio]", "asyncpg")
    brokers: ClassVar[tuple[str, ...]] = ("redis",)
    on_threads: ClassVar[bool] = False
    """Whether the library runs tasks on threads; usually it does on a loop."""
    in_worker = False
    """Whether it is opened in a worker's process."""

    def __init__(self, knobs: Q, context: Context) -> None:
        super().__init__(knobs, context)
        self.closing = AsyncExitStack()
        self.waiting = 0
        self._threads: ThreadPoolExecutor | None = None
        self.depth: Callable[[], int] | None = None
        """Tells how many tasks wait, where no broker that the harness watches keeps them."""

    @abstractmethod
    async def connect(self) -> None:
        """Connect, on the application's loop or a worker's (:attr:`in_worker`).

        What is opened is told to :attr:`closing`, e.g. by its `push_async_callback`.
        """

    @abstractmethod
    async def call(self, task: str) -> str | bytes:
        """Send a task and wait for its reply; cancelled after the request's timeout."""

    @abstractmethod
    async def work(self, run: Callable[[str], Any], ready: Callable[[], object]) -> None:
        """Serve tasks in a worker's process, connected, until it is told to end by SIGTERM.

        Parameters
        ----------
        run : what a task is given to and whose reply is its result: a coroutine function, or with
            :attr:`on_threads` a plain one.
        ready : called once tasks are taken.
        """

    async def open(self) -> None:
        """Connect to the queue."""
        import asyncio

        try:
            async with asyncio.timeout(OPEN_S):
                await self.connect()
        except Exception as error:
            raise UnavailableError(
                f"{self.name} cannot use its queue: {first_line(error)}"
            ) from error

    async def run(self, operation: Operation, params: Params) -> Any:
        """Send the operation to a worker and wait for its answer."""
        import asyncio

        from asyncdb_bench.contract.queues.texts import answer_of, task_text

        if self.waiting >= LIMIT:
            raise UnavailableError(f"{LIMIT} tasks wait for their result already")
        timeout_s = self.context.timeout_s
        submitted_ns = time.monotonic_ns()
        task = task_text(operation.name, operation.plain(params), timeout_s)
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self.call(task)
        except TimeoutError:
            raise RequestTimeoutError(f"no result from a worker within {timeout_s:g} s") from None
        except Exception as error:
            raise UnavailableError(f"{self.name}: {described(error)}") from error
        finally:
            self.waiting -= 1
        if not isinstance(reply, str | bytes):
            raise UnavailableError(f"{self.name} brought no result")
        return answer_of(reply, submitted_ns)

    async def close(self) -> None:
        """Disconnect, the last first."""
        await self.closing.aclose()

    def gauges(self) -> dict[str, float]:
        """Return how many calls wait for their result, and how many tasks to begin, if known."""
        depth = {"queue_depth": self.depth()} if self.depth is not None else {}
        return {"pending": self.waiting, **depth}

    async def on_thread(self, call: Callable[..., Any], *given: Any) -> Any:
        """Have one of :data:`THREADS` threads make a call that blocks; return what it returns."""
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=self.name)
            # after what such calls use has been closed, which ends them
            self.closing.callback(self._threads.shutdown)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *given)

    def often_s(self, usual_s: float) -> float:
        """Return how long a library that asks again and again waits between, its default if plain.

        Parameters
        ----------
        usual_s : that default.
        """
        return SOON_S if self.knobs.wait == "tuned" else usual_s

    @staticmethod
    def told_to_end() -> asyncio.Event:
        """Return what is set at SIGTERM, for libraries that leave that to who runs them."""
        import asyncio
        import signal

        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        return told

    async def serve_again(self, serve: Callable[[asyncio.Event], Awaitable[object]]) -> None:
        """Have a library serve until SIGTERM, and anew where it fails, as its own command does.

        Parameters
        ----------
        serve : does until what it is given is set.
        """
        import asyncio
        import logging

        told = self.told_to_end()
        while not told.is_set():
            try:
                await serve(told)
            except Exception:
                logging.exception("%s goes on", self.name)
                await asyncio.sleep(AGAIN_S)

    @property
    def carrier(self) -> Broker:
        """What carries the tasks."""
        assert self.context.broker is not None
        return self.context.broker

    @property
    def store(self) -> Broker:
        """The Redis that keeps results: what carries the tasks, where that is one."""
        return self.context.store or self.carrier

    @classmethod
    def budget(cls, knobs: Q) -> int:
        """Return a connection for each task that runs at once."""
        return knobs.tasks_each * knobs.worker_processes

    @classmethod
    def limits(cls, knobs: Q) -> dict[str, int]:
        """Return how many tasks run at once, and how many threads wait for them, where they do."""
        threads = {"threads": THREADS} if cls.on_threads and knobs.wait == "tuned" else {}
        return {"workers": cls.budget(knobs), **threads}

    @classmethod
    def refusal(cls, knobs: Q, operations: Iterable[Operation]) -> str:
        """Return what is not installed, and how to install it."""
        from importlib.metadata import PackageNotFoundError, distribution

        try:
            for each in cls.packages:
                distribution(each.partition("[")[0])
        except PackageNotFoundError as error:
            how = (
                "python -m asyncdb_bench.plan.apart"
                if cls.apart
                else ("pip install 'asyncdb-bench[queues]'")
            )
            return f"{error.name} is not installed: {how}"
        return ""

    @classmethod
    def brokers_for(cls, knobs: Q) -> tuple[str, ...]:
        """Return what carries the tasks."""
        return cls.brokers if knobs.over == "redis" else (knobs.over,)

    @classmethod
    def needs_store(cls, knobs: Q) -> bool:
        """Return whether Redis carries tasks or keeps results."""
        return "redis" in cls.brokers

    @classmethod
    def parts(cls, knobs: Q) -> tuple[Part, ...]:
        """Return the worker processes.

        Raises
        ------
        KnobError : there are more of them than tasks.
        """
        if knobs.tasks_each < 1:
            raise KnobError(
                f"{cls.name}: worker_processes={knobs.worker_processes} are more than"
                f" workers={knobs.workers}"
            )
        options = {"strategy": _asked_as(cls), "knobs": values_of(knobs)}
        module = "asyncdb_bench.app.queue_worker"
        return (Part("worker", module, options, knobs.worker_processes),)


def _asked_as(cls: type[Any]) -> str:
    """Return by which name the worker finds a strategy: its own, or its file's."""
    import sys

    if not cls.__module__.startswith("asyncdb_bench_plugin_"):
        return str(cls.name)
    return f"{sys.modules[cls.__module__].__file__}:{cls.__name__}"
