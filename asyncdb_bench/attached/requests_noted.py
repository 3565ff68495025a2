"""The request that runs in a context, as an attached application knows it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from random import random
from time import monotonic_ns
from typing import Any

from asyncdb_bench.contract.timing import Phases, current


class Noted:
    """A request: what it is called, and how many units of work in the database it had.

    Parameters
    ----------
    name : returns what it is called: its method and its handler or route. Paths are not kept:
        names and keys may stand in them.
    """

    __slots__ = ("name", "units")

    def __init__(self, name: Callable[[], str]) -> None:
        self.name = name
        self.units = 0


request: ContextVar[Noted | None] = ContextVar("asyncdb_bench_request", default=None)
tracings = 0
"""How many tracings are under way: they want each request's name."""

EVERY_NS = 8_000_000
"""A request's phases are noted this often on average, so that this takes some 0.5 % of a core."""


class Sample:
    """Which requests have their phases noted: all while they are few, some by chance of many.

    By chance, since the first of those that arrive together waits otherwise than the last.
    """

    def __init__(self) -> None:
        self._left = self._gap = 1
        self._since_ns = monotonic_ns()
        self._each_ns = float(EVERY_NS)

    def begin(self, name: Callable[[Any], str], of: Any) -> Phases | None:
        """Note that a request begins in this context.

        Parameters
        ----------
        name : returns what a request is called; see :class:`Noted`.
        of : the request, as `name` takes it.

        Returns
        -------
        Its phases, where they are noted.
        """
        if tracings:
            request.set(Noted(lambda: name(of)))
        self._left -= 1
        if self._left > 0:
            if current.get() is not None:
                # some servers have one context for all requests of a connection
                current.set(None)
            return None
        phases = Phases()
        # what came after a pause says no more of the rate than that there is room for each
        passed_ns = min(EVERY_NS, (phases.began - self._since_ns) / self._gap)
        self._since_ns = phases.began
        self._each_ns += (passed_ns - self._each_ns) / 8
        self._left = self._gap = 1 + round(2 * random() * (EVERY_NS / self._each_ns - 1))
        current.set(phases)
        return phases
