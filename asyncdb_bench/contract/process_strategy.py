"""A base for strategies that run a blocking session in a pool of processes."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from asyncdb_bench.contract.abandoning import GENERAL, AsyncBound, Bound, bound
from asyncdb_bench.contract.knob import BUDGET, knob
from asyncdb_bench.contract.operation import Operation, Params
from asyncdb_bench.contract.strategy import Knobs, Strategy
from asyncdb_bench.errors import UnavailableError, UnsupportedError
from asyncdb_bench_attach.timing import Phases, current, report

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

    from asyncdb_bench.contract.engine import Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessKnobs(Knobs):
    """Each process has one connection."""

    workers: int = knob(
        BUDGET, unit="processes", low=1, high=200, help="processes of the pool", split=True
    )


class Whereabouts(NamedTuple):
    """Where an operation is found by another process: it cannot be pickled itself."""

    module: str
    file: str
    name: str


N = TypeVar("N", bound=ProcessKnobs)


class ProcessStrategy(Strategy[N]):
    """A session per request in one of `workers` processes; a subclass writes :meth:`run`."""

    Knobs = ProcessKnobs
    abandons: ClassVar[tuple[str, ...]] = (*GENERAL, "statement")
    packages = ("tornado", "sqlalchemy", "psycopg[binary]")
    pool: ProcessPoolExecutor | None = None
    waiting = 0

    async def open(self) -> None:
        """Start all processes, connected."""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        knobs, context = self.knobs, self.context
        places = {name: whereabouts(each) for name, each in context.operations.items()}
        # as plain knobs: a class of somebody's own file cannot be imported by the processes
        plain = Knobs(timing=knobs.timing, isolation=knobs.isolation, autocommit=knobs.autocommit)
        self.pool = ProcessPoolExecutor(
            knobs.workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(context.database_url, context.timeout_s, plain, places),
        )
        loop = asyncio.get_running_loop()
        # a process is started for each task that finds none free
        await asyncio.gather(
            *(loop.run_in_executor(self.pool, time.sleep, 0.5) for _ in range(knobs.workers))
        )

    async def in_process(self, operation: Operation, params: Params) -> Any:
        """Run an operation in a process of the pool and note its phases.

        Raises
        ------
        UnavailableError : a process of the pool has ended.
        """
        from concurrent.futures.process import BrokenProcessPool

        phases, submitted_ns = current.get(), time.monotonic_ns()
        loop = asyncio.get_running_loop()
        self.waiting += 1
        try:
            answer, told = await loop.run_in_executor(
                self.pool, _run, operation.name, dict(params), phases is not None, bound.get()
            )
        except BrokenProcessPool as error:
            raise UnavailableError(f"a process of the pool has ended: {error}") from error
        finally:
            self.waiting -= 1
        if phases is not None and told:
            phases.absorb(submitted_ns, told)
        return answer

    async def close(self) -> None:
        """End the processes."""
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def gauges(self) -> dict[str, float]:
        """Return how many requests wait for a process."""
        return {"queue_depth": max(0, self.waiting - self.knobs.workers)}

    @classmethod
    def budget(cls, knobs: N) -> int:
        """Return a connection for each process."""
        return knobs.workers

    @classmethod
    def limits(cls, knobs: N) -> dict[str, int]:
        """Return the processes."""
        return {"workers": knobs.workers}


def whereabouts(operation: Operation) -> Whereabouts:
    """Return where another process finds an operation.

    Raises
    ------
    UnsupportedError : it stands in no module under its name, as one with an injected fault does.
    """
    module = sys.modules.get(operation.__module__)
    known = getattr(module, operation.name, None)
    file = operation.steps.__code__.co_filename
    if not isinstance(known, Operation) or known.steps.__code__.co_filename != file:
        raise UnsupportedError(
            f"{operation.name!r} stands in no module under its own name, so that no other process"
            " finds it"
        )
    return Whereabouts(operation.__module__, file, operation.name)


def found(place: Whereabouts) -> Operation:
    """Return an operation in this process; the module of a file of its own is read from there."""
    if place.module not in sys.modules:
        if importlib.util.find_spec(place.module.partition(".")[0]) is not None:
            importlib.import_module(place.module)
        else:
            spec = importlib.util.spec_from_file_location(place.module, place.file)
            assert spec is not None
            assert spec.loader is not None
            module = sys.modules[place.module] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
    operation: Operation = getattr(sys.modules[place.module], place.name)
    return operation


_sessions: Sessions | None = None
_operations: dict[str, Operation] = {}


def _start(url: str, timeout_s: float, knobs: Knobs, places: Mapping[str, Whereabouts]) -> None:
    """Connect, in a process of the pool, and see to it that it ends with its parent."""
    global _sessions
    from asyncdb_bench.contract.engine import open_sessions

    threading.Thread(target=_end_with_parent, daemon=True).start()
    # whoever started the pool is told that it is broken, and says so: no traceback for each process
    logging.getLogger("concurrent.futures").addHandler(logging.NullHandler())
    _operations.update({name: found(place) for name, place in places.items()})
    _sessions = open_sessions(url, 1, timeout_s, knobs)


def _end_with_parent() -> None:
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _run(
    name: str, params: dict[str, Any], timed: bool, within: Bound | AsyncBound | None
) -> tuple[Any, Any]:
    """Run an operation in this process; return its answer and its phases."""
    assert _sessions is not None
    phases = Phases() if timed else None
    token = current.set(phases)
    # the clock of a deadline is that of all processes of a machine
    bound.set(within)
    try:
        answer = _sessions.run(_operations[name], params)
    finally:
        current.reset(token)
    return answer, phases and report(phases)
