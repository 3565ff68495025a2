"""The request that runs in a context, as an attached application knows it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

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


def begin(name: Callable[[], str]) -> Phases:
    """Note that a request begins in this context."""
    phases = Phases()
    current.set(phases)
    request.set(Noted(name))
    return phases
