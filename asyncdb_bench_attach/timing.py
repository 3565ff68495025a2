"""Where a request's time went: phases on one clock, noted as it passes, carried in Server-Timing.

The application starts a :class:`Phases` for each sampled request and makes it the context's
current one; what the request passes (a thread's queue, a pool, the database driver, a worker) adds
its nanoseconds. Times are CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from random import random
from time import monotonic_ns
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

two_clocks = False
"""Whether workers read another clock than the application: how long it is then known only of both
ways together."""
HEADER = "Server-Timing"
_TIMING = re.compile(
    r'handler;desc="(\d+)";dur=([\d.]+), queue;dur=([\d.]+), pool;dur=([\d.]+),'
    r" database;dur=([\d.]+), reply;dur=([\d.]+), held;dur=([\d.]+), run;dur=([\d.]+)"
    r'(?:, task;desc="(\d+) (\d+) (\d+)")?'
)


class Phases:
    """The phases of one request, nanoseconds.

    Attributes
    ----------
    began : when the handler began, CLOCK_MONOTONIC.
    queue : waiting for a thread, or in the broker and the worker for a task to begin.
    pool : waiting for a database connection.
    database : in the driver: statements and commit.
    reply : from the end of the work in a thread or worker until the handler went on.
    held : a database connection was checked out (overlaps `database` and Python).
    run : a thread or worker was occupied (overlaps likewise); 0 where neither is used.
    holds_since : when a connection was checked out that is still held; 0: none was.
    ended : when a thread was done with the work that was handed over; 0: none was.
    task : when its task was published, received and begun, where there is one.
    """

    __slots__ = (
        *("began", "database", "ended", "held", "holds_since"),
        *("pool", "queue", "reply", "run", "task"),
    )

    def __init__(self) -> None:
        self.began = monotonic_ns()
        self.queue = self.pool = self.database = self.reply = self.held = self.run = 0
        self.holds_since = self.ended = 0
        self.task: tuple[int, int, int] | None = None

    def header(self) -> str:
        """Return the value of ``Server-Timing`` (W3C Server Timing): milliseconds.

        `handler` is the whole of the handler until now; its description is when it began, by which
        a client on the same machine tells the way there from the way back.
        """
        total = monotonic_ns() - self.began
        task = ', task;desc="{} {} {}"'.format(*self.task) if self.task else ""
        return (
            f'handler;desc="{self.began}";dur={total / 1e6:.3f}, queue;dur={self.queue / 1e6:.3f},'
            f" pool;dur={self.pool / 1e6:.3f}, database;dur={self.database / 1e6:.3f},"
            f" reply;dur={self.reply / 1e6:.3f}, held;dur={self.held / 1e6:.3f},"
            f" run;dur={self.run / 1e6:.3f}{task}"
        )

    def absorb(self, submitted_ns: int, told: Sequence[int]) -> None:
        """Take over what a worker noted of a task.

        Parameters
        ----------
        submitted_ns : when the task was handed over.
        told : the worker's :func:`report`. Where its clock is another machine's, the way there
            and back counts as queue.
        """
        began, ended, pool, database, held, published, received = told
        now = monotonic_ns()
        if not two_clocks and submitted_ns <= began <= ended <= now:
            self.queue += began - submitted_ns
            self.reply += now - ended
            if published and received:
                self.task = (published, received, began)
        else:
            self.queue += max(0, now - submitted_ns - (ended - began))
        self.pool += pool
        self.database += database
        self.held += held
        self.run += ended - began

    def fold(self, parts: Sequence[Phases]) -> None:
        """Take over what was noted of reads that ran at once.

        Parameters
        ----------
        parts : of each read. The longest is what the request waited for; connections and threads
            were occupied by all.
        """
        if not parts:
            return
        longest = max(parts, key=lambda each: each.queue + each.pool + each.database + each.reply)
        for name in ("queue", "pool", "database", "reply"):
            setattr(self, name, getattr(self, name) + getattr(longest, name))
        self.held += sum(each.held for each in parts)
        self.run += sum(each.run for each in parts)


current: ContextVar[Phases | None] = ContextVar("phases", default=None)
"""The phases of the request that runs in this context; None where it is not sampled."""


def report(phases: Phases, published_ns: int = 0, received_ns: int = 0) -> list[int]:
    """Return what a worker noted, to be sent to the application: nanoseconds.

    Parameters
    ----------
    phases : of the task.
    published_ns, received_ns : of its message; 0: not known.
    """
    own = [phases.began, monotonic_ns(), phases.pool, phases.database, phases.held]
    return [*own, published_ns, received_ns]


def hand_over(call: Callable[..., T]) -> Callable[..., T]:
    """Return a call that may start in another thread and notes the time until it does.

    A thread has a context of its own, so the request's phases go with the call. Follow it with
    :func:`taken_back` when its result has arrived.
    """
    phases = current.get()
    if phases is None:
        return call
    return partial(_arrive, phases, monotonic_ns(), call)


def _arrive(
    phases: Phases, submitted_ns: int, call: Callable[..., T], *args: Any, **options: Any
) -> T:
    began = monotonic_ns()
    phases.queue += began - submitted_ns
    token = current.set(phases)
    try:
        return call(*args, **options)
    finally:
        current.reset(token)
        phases.ended = monotonic_ns()
        phases.run += phases.ended - began


def taken_back() -> None:
    """Note that the handler goes on with the result of what it handed over."""
    phases = current.get()
    if phases is not None and phases.ended:
        phases.reply += monotonic_ns() - phases.ended


class ServerTiming(NamedTuple):
    """A ``Server-Timing`` header as the client reads it: microseconds, `began_ns` excepted."""

    began_ns: int
    handler_us: float
    queue_us: float
    pool_us: float
    database_us: float
    reply_us: float
    held_us: float
    run_us: float
    task: tuple[int, int, int] | None = None


def parse(header: str) -> ServerTiming | None:
    """Read a header that :meth:`Phases.header` made; None where it is not one."""
    found = _TIMING.fullmatch(header)
    if found is None:
        return None
    began, *durations, published, received, started = found.groups()
    task = (int(published), int(received), int(started)) if started else None
    return ServerTiming._make([int(began), *(float(each) * 1000 for each in durations), task])


@dataclass(slots=True)
class Noted:
    """A request: what it is called, and how many units of work in the database it had.

    Parameters
    ----------
    name : returns what it is called: its method and its handler or route. Paths are not kept:
        names and keys may stand in them.
    """

    name: Callable[[], str]
    units: int = 0


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


def watch(engine: Any) -> None:
    """Note the time of every checkout, statement, commit and rollback, and of held connections.

    The dialect's and the pool's own calls are wrapped rather than events listened to: the first
    listener on an engine sends every statement through SQLAlchemy's dispatch, which took 5 to 10 %
    of a request (``benchmarks/phases_cost.py``), and no event tells when a commit was answered.

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
