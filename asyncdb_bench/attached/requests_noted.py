"""The request that runs in a context, as an attached application knows it."""

from __future__ import annotations

import re
from contextvars import ContextVar

from asyncdb_bench.contract.timing import Phases, current

_NUMBERS = re.compile(r"(?<=/)(?:\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27})(?=/|$)")


class Noted:
    """A request: what it is called, and what its units of work in the database were.

    Parameters
    ----------
    name : method and path, numbers and UUIDs left out.
    """

    __slots__ = ("name", "units")

    def __init__(self, name: str) -> None:
        self.name = name
        self.units = 0


request: ContextVar[Noted | None] = ContextVar("asyncdb_bench_request", default=None)


def begin(method: str, path: str) -> Phases:
    """Note that a request begins in this context."""
    phases = Phases()
    current.set(phases)
    request.set(Noted(f"{method} {_NUMBERS.sub('{n}', path.partition('?')[0])}"))
    return phases
