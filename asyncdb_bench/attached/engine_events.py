"""Phases of an engine that is somebody else's: by SQLAlchemy's events, and its pool's `connect`."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from asyncdb_bench.contract.timing import current


def note_times(engine: Any) -> None:
    """Note the time of checkouts, statements and held connections in the request's phases.

    A pool that the engine makes anew (`dispose`) is not timed any more. Commits have no event that
    tells when they were answered: they count as Python.

    Parameters
    ----------
    engine : SQLAlchemy's, blocking or async.
    """
    from sqlalchemy import event

    target = getattr(engine, "sync_engine", engine)
    target.pool.connect = _timed(target.pool.connect)
    event.listen(target, "before_cursor_execute", _before)
    event.listen(target, "after_cursor_execute", _after)
    event.listen(target, "checkout", _out)
    event.listen(target, "checkin", _in)


def _timed(connect: Callable[[], Any]) -> Callable[[], Any]:
    def timed() -> Any:
        phases = current.get()
        began = monotonic_ns()
        try:
            return connect()
        finally:
            if phases is not None:
                phases.pool += monotonic_ns() - began

    return timed


def _before(
    _connection: Any, _cursor: Any, _text: str, _values: Any, context: Any, _: bool
) -> None:
    context._asyncdb_bench_began = monotonic_ns()


def _after(_connection: Any, _cursor: Any, _text: str, _values: Any, context: Any, _: bool) -> None:
    phases = current.get()
    if phases is not None:
        phases.database += monotonic_ns() - context._asyncdb_bench_began


def _out(_connection: Any, record: Any, _proxy: Any) -> None:
    record.info["asyncdb_bench_held"] = monotonic_ns()


def _in(_connection: Any, record: Any) -> None:
    phases, since = current.get(), record.info.pop("asyncdb_bench_held", None)
    if phases is not None and since is not None:
        # what was held before the request is not its own
        phases.held += monotonic_ns() - max(since, phases.began)
