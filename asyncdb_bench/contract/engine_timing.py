"""Timing of a SQLAlchemy engine: checkout, statements and commit go into the request's phases.

The dialect's and the pool's own calls are wrapped rather than events listened to: the first
listener on an engine sends every statement through SQLAlchemy's dispatch, which took 5 to 10 % of a
request (``benchmarks/phases_cost.py``), and no event tells when a commit has been answered.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from asyncdb_bench.contract.timing import current


def watch(engine: Any) -> None:
    """Note the time of every checkout, statement, commit and rollback, and of held connections.

    Parameters
    ----------
    engine : SQLAlchemy's, blocking or async; somebody else's, perhaps.
    """
    target = getattr(engine, "sync_engine", engine)
    _watch_pool(target.pool)
    dialect: Any = target.dialect
    for name in ("do_execute", "do_executemany", "do_execute_no_params"):
        setattr(dialect, name, _timed(getattr(dialect, name)))
    for name in ("do_commit", "do_rollback"):
        setattr(dialect, name, _timed(getattr(dialect, name), ends=True))


def _watch_pool(pool: Any) -> Any:
    """Note how long checkouts take, and since when connections are held; return the pool."""
    connect, recreate = pool.connect, pool.recreate

    def timed() -> Any:
        phases = current.get()
        if phases is None:
            return connect()
        asked = monotonic_ns()
        try:
            return connect()
        finally:
            phases.holds_since = monotonic_ns()
            phases.pool += phases.holds_since - asked

    pool.connect = timed
    # what dispose() puts in its place
    pool.recreate = lambda: _watch_pool(recreate())
    return pool


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
            if ends:
                # a session that outlives requests holds its connection from their beginning on
                phases.held += now - (phases.holds_since or phases.began)
                phases.holds_since = now

    return timed
