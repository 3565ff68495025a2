"""Timing of a SQLAlchemy engine: checkout, statements and commit go into the request's phases.

The dialect's own hooks are wrapped rather than events listened to: the first listener on an engine
sends every statement through SQLAlchemy's dispatch, which took 5 to 10 % of a request
(``benchmarks/phases_cost.py``), and no event tells when a commit has been answered.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection, QueuePool

from asyncdb_bench.contract.timing import current


class TimedPool(QueuePool):
    """Notes how long a checkout took, and since when the connection is held."""

    def connect(self) -> PoolProxiedConnection:
        """Check a connection out."""
        phases = current.get()
        if phases is None:
            return super().connect()
        asked = monotonic_ns()
        connection = super().connect()
        phases.holds_since = monotonic_ns()
        phases.pool += phases.holds_since - asked
        return connection


class TimedAsyncPool(TimedPool, AsyncAdaptedQueuePool):
    """Likewise for an async engine."""


def watch(engine: Engine) -> None:
    """Note the time of every statement, commit and rollback of an engine, and of held connections.

    Parameters
    ----------
    engine : of :class:`TimedPool`; of an async engine its `sync_engine`.
    """
    dialect: Any = engine.dialect
    for name in ("do_execute", "do_executemany", "do_execute_no_params"):
        setattr(dialect, name, _timed(getattr(dialect, name)))
    for name in ("do_commit", "do_rollback"):
        setattr(dialect, name, _timed(getattr(dialect, name), ends=True))


def _timed(call: Callable[..., None], *, ends: bool = False) -> Callable[..., None]:
    """Return a call that notes its time.

    Parameters
    ----------
    call : of the dialect.
    ends : whether it ends a transaction, after which the connection goes back to the pool.
    """

    def timed(*args: Any) -> None:
        phases = current.get()
        if phases is None:
            return call(*args)
        began = monotonic_ns()
        try:
            return call(*args)
        finally:
            now = monotonic_ns()
            phases.database += now - began
            if ends and phases.holds_since:
                phases.held += now - phases.holds_since
                phases.holds_since = now

    return timed
