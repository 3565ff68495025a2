"""Where a request's time went: phases on one clock, noted as it passes, carried in Server-Timing.

The application starts a :class:`Phases` for each sampled request and makes it the context's
current one; what the request passes (a thread's queue, a pool, the database driver, a worker) adds
its nanoseconds. Times are CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

two_clocks = False
"""Whether workers read another clock than the application: how long it is then known only of both
ways together."""
SERVER_PHASES = ("queue", "pool", "database", "reply", "python")
"""What the application tells of itself; `python` is what the others leave of the handler's time."""
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
    task : :data:`TASK_STAMPS` of its task, where there is one.
    """

    __slots__ = (
        "began",
        "database",
        "ended",
        "held",
        "holds_since",
        "pool",
        "queue",
        "reply",
        "run",
        "task",
    )

    def __init__(self) -> None:
        self.began = time.monotonic_ns()
        self.queue = self.pool = self.database = self.reply = self.held = self.run = 0
        self.holds_since = self.ended = 0
        self.task: tuple[int, int, int] | None = None

    def header(self) -> str:
        """Return the value of ``Server-Timing`` (W3C Server Timing): milliseconds.

        `handler` is the whole of the handler until now; its description is when it began, by which
        a client on the same machine tells the way there from the way back.
        """
        total = time.monotonic_ns() - self.began
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
        now = time.monotonic_ns()
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
    own = [phases.began, time.monotonic_ns(), phases.pool, phases.database, phases.held]
    return [*own, published_ns, received_ns]


def hand_over(call: Callable[..., T]) -> Callable[..., T]:
    """Return a call that may start in another thread and notes the time until it does.

    A thread has a context of its own, so the request's phases go with the call. Follow it with
    :func:`taken_back` when its result has arrived.
    """
    phases = current.get()
    if phases is None:
        return call
    return partial(_arrive, phases, time.monotonic_ns(), call)


def _arrive(
    phases: Phases, submitted_ns: int, call: Callable[..., T], *args: Any, **options: Any
) -> T:
    began = time.monotonic_ns()
    phases.queue += began - submitted_ns
    token = current.set(phases)
    try:
        return call(*args, **options)
    finally:
        current.reset(token)
        phases.ended = time.monotonic_ns()
        phases.run += phases.ended - began


def taken_back() -> None:
    """Note that the handler goes on with the result of what it handed over."""
    phases = current.get()
    if phases is not None and phases.ended:
        phases.reply += time.monotonic_ns() - phases.ended


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
