"""What the application does with requests that nobody waits for, before it asks the strategy.

By the strategy's knob ``abandon``; what works in the database is in
:mod:`asyncdb_bench.contract.abandoning`. With ``run`` nothing here runs but a few additions.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

from asyncdb_bench.contract.abandoning import Deadline, bound, deadline
from asyncdb_bench.contract.operation import Operation, Params
from asyncdb_bench.contract.route import REQUEST_TIMEOUT
from asyncdb_bench.contract.strategy import Strategy
from asyncdb_bench.errors import RefusedError, RequestTimeoutError
from asyncdb_bench_attach.timing import current

CANCELLED_ON_LEAVING = frozenset({"cancel", "query", "refuse", "expire"})
GRACE_S = 1.0
"""With ``statement`` the server ends the query, and the handler waits this much longer for it."""
WAITING = 4
"""Requests that wait for each that is served, with ``refuse``: so none waits much longer than four
others take, and a closed loop of five users for each connection is not refused."""
RETRY_AFTER_S = 1


class Admission:
    """How one application process lets its requests in, and what it gave up.

    Parameters
    ----------
    strategy : whose knob ``abandon`` says how.

    Attributes
    ----------
    run : runs an operation: the strategy's own, or behind a bound on what is let in.
    cancels : whether a handler is cancelled when its client leaves.
    under_way : requests that are being answered.
    left : requests whose client left.
    left_running : those that still run, and what was let in and is awaited by nobody.
    timed_out, refused : requests that were answered so.
    """

    def __init__(self, strategy: Strategy[Any]) -> None:
        self._kind = kind = strategy.knobs.abandon
        self._strategy_run = strategy.run
        self.cancels = kind in CANCELLED_ON_LEAVING
        self.under_way = self.left = self.left_running = self.timed_out = self.refused = 0
        self.run = strategy.run
        if kind in {"wait", "statement", "refuse"}:
            served = served_at_once(strategy)
            self._free = asyncio.Semaphore(served)
            self._waiting, self._most = 0, served * WAITING
            self.run = self._refusing if kind == "refuse" else self._waiting_in_time

    def limit_s(self, timeout_s: float) -> float | None:
        """Return after how many seconds the handler is cancelled; None: it is not.

        Parameters
        ----------
        timeout_s : the request's own time-out.
        """
        if self._kind in {"wait", "statement", "expire"}:
            deadline.set(time.monotonic() + timeout_s)
        if self._kind == "wait":
            return None
        return timeout_s + GRACE_S if self._kind == "statement" else timeout_s

    def gauges(self) -> dict[str, float]:
        """Return how many requests nobody waited for, and how many of them still run."""
        return {
            "abandoned_left": self.left,
            "abandoned_timed_out": self.timed_out,
            "abandoned_refused": self.refused,
            "abandoned_running": self.left_running,
        }

    async def _waiting_in_time(self, operation: Operation, params: Params) -> Any:
        """Run an operation when its turn has come, which its time-out bounds.

        Raises
        ------
        RequestTimeoutError : it did not come in time.
        """
        at_s = deadline.get()
        began_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(at_s - time.monotonic()):
                await self._free.acquire()
        except TimeoutError:
            waited_s = (time.monotonic_ns() - began_ns) / 1e9
            raise RequestTimeoutError(f"no connection came free in {waited_s:.3g} s") from None
        _note_wait(began_ns)
        if self._kind == "statement":
            bound.set(Deadline(at_s))
        try:
            return await self._strategy_run(operation, params)
        finally:
            self._free.release()

    async def _refusing(self, operation: Operation, params: Params) -> Any:
        """Run an operation to its end, or refuse it.

        What was let in ends, also where nobody waits for it: until then it takes its place.

        Raises
        ------
        RefusedError : too many wait already.
        """
        if self._free.locked() and self._waiting >= self._most:
            self.refused += 1
            raise RefusedError(f"{self._waiting} requests wait already")
        began_ns = time.monotonic_ns()
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        _note_wait(began_ns)
        work = asyncio.ensure_future(self._strategy_run(operation, params))
        work.add_done_callback(self._done)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self.left_running += 1
            work.add_done_callback(self._ended)
            raise

    def _ended(self, _: asyncio.Future[Any]) -> None:
        self.left_running -= 1

    def _done(self, work: asyncio.Future[Any]) -> None:
        self._free.release()
        # who was answered long ago is not told how it ended
        _ = work.cancelled() or work.exception()


def _note_wait(began_ns: int) -> None:
    phases = current.get()
    if phases is not None:
        phases.pool += time.monotonic_ns() - began_ns


def served_at_once(strategy: Strategy[Any]) -> int:
    """Return how many requests a strategy serves at once in one process."""
    knobs = strategy.knobs
    limits = dict(strategy.limits(knobs))
    limits.pop("handler", None)
    if "workers" in limits and "workers" not in _split(knobs):
        # workers of their own serve all processes of the application
        limits["workers"] = math.ceil(limits["workers"] / knobs.processes)
    return max(1, min(limits.values(), default=strategy.budget(knobs)))


def _split(knobs: Any) -> set[str]:
    from asyncdb_bench.contract.knob import knobs_of

    return {each.name for each in knobs_of(type(knobs)).values() if each.split}


def own_timeout_s(said: str | None, usual_s: float) -> float:
    """Return a request's time-out, seconds: its own, at most the application's.

    Parameters
    ----------
    said : value of its header; None: it has none.
    usual_s : the application's.

    Raises
    ------
    ValueError : no number of milliseconds above 0.
    """
    if said is None:
        return usual_s
    try:
        own_s = float(said) / 1000
    except ValueError:
        own_s = 0.0
    if not 0 < own_s < math.inf:
        raise ValueError(f"{REQUEST_TIMEOUT}: {said[:40]!r} is no number of milliseconds above 0")
    return min(own_s, usual_s)
