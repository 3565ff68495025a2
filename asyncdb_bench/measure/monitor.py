"""What a trial's processes use, and what the database says, watched from outside."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncdb_bench.errors import ServiceError, first_line
from asyncdb_bench.processes import kernel
from asyncdb_bench.processes.place import Watch
from asyncdb_bench.records.step import Observed, Taken, Threads, Usage, Work
from asyncdb_bench.services.watching import Statistics

WATCH_EVERY_S = 0.1


class Monitor:
    """Samples processes by role, and the database's statistics in a thread of its own.

    Parameters
    ----------
    roles : for each role the process ids at the root of its tree.
    connect : opens the trial database's statistics, or None where it is not watched.
    away : those who watch other machines.
    """

    def __init__(
        self,
        roles: Mapping[str, list[int]],
        connect: Callable[[], Statistics] | None,
        away: Sequence[Watch] = (),
    ) -> None:
        self.roles = roles
        self.away = away
        self._connect = connect
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._observed: Observed | None = None
        self._statistics: Statistics | None = None
        self._problem = ""
        self._broken = ""
        self._life: tuple[int, int] | None = None
        self._more = False
        self._seen: Work | None = None
        self._before: dict[str, Spent] = {}
        self._after: dict[str, Spent] = {}
        self.used_while_paused = 0.0
        """Seconds of CPU that application and workers used between the last two windows."""
        self._thread = threading.Thread(target=self._watch, name="monitor", daemon=True)

    def __enter__(self) -> Monitor:
        if self._connect is not None:
            self._open(self._connect)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        if self._statistics is not None:
            self._statistics.close()

    @property
    def problem(self) -> str:
        """Why the database could not be watched, or not to the end; empty: it could."""
        return self._problem

    def transactions(self, *, at_the_end: bool = False) -> int | None:
        """Return how many transactions the database has committed; None where it does not tell.

        Parameters
        ----------
        at_the_end : wait until all others have disconnected, which is when they report.
        """
        with self._lock:
            found: int | None = self._ask(
                lambda statistics: statistics.transactions(wait=at_the_end)
            )
        return found

    def has_autovacuum(self) -> bool:
        """Return whether the server vacuums by itself; so where it does not tell."""
        with self._lock:
            found = self._ask(lambda statistics: statistics.has_autovacuum())
        return found is not False

    def begin(self, *, more: bool = False) -> None:
        """Begin to watch a step.

        Parameters
        ----------
        more : also what the application holds, the database's seconds and its sessions.
        """
        for watch in self.away:
            watch.begin()
        self._before = {role: self._spent(role) for role in self.roles}
        self.used_while_paused = sum(
            self._before[role].cpu_since(self._after[role])
            for role in ("app", "workers")
            if role in self._after and role in self._before
        )
        self._threads_before = self._app_threads()
        self._loopback_before = kernel.loopback_bytes()
        self._stolen_before = kernel.stolen()
        self._all_before = (time.monotonic(), self._foreign_s(self._before))
        with self._lock:
            self._more = more
            self._work_before = self._ask(lambda statistics: statistics.work(more=more))
            if self._life is None:
                self._life = self._ask(lambda statistics: statistics.life())
            self._observed = Observed()
            if more:
                self._observed.taken_before = self._taken()

    def end(self, *, memory: bool = True) -> Observed:
        """Return what was seen since :meth:`begin`.

        Parameters
        ----------
        memory : whether memory is read, which takes tens of milliseconds; else it is 0.
        """
        with self._lock:
            observed = self._observed or Observed()
            self._observed = None
            after = self._ask(lambda statistics: statistics.work(more=self._more))
            if after is not None and self._work_before is not None:
                observed.work = after - self._work_before
            life = self._ask(lambda statistics: statistics.life())
            if self._more:
                observed.taken_after = self._taken()
            observed.problem = self._problem
            observed.broken = self._broken or life_words(self._life, life)
        for role, pids in self.roles.items():
            spent, before = self._spent(role), self._before[role]
            self._after[role] = spent
            rss_mb, pss_mb = kernel.memory_mb(pids) if memory else (0.0, None)
            observed.usage[role] = Usage(
                cpu_s=spent.cpu_since(before),
                rss_mb=rss_mb,
                pss_mb=pss_mb,
                processes=spent.processes,
                switches=spent.switches_since(before),
            )
        observed.threads = self._thread_use()
        for watch in self.away:
            watch.end(observed, memory=memory)
        observed.stolen = max(observed.stolen, kernel.stolen_share(self._stolen_before))
        now_s, foreign_s = time.monotonic(), self._foreign_s(self._after)
        began_s, before_s = self._all_before
        observed.others_cores = max(0.0, (foreign_s - before_s) / max(now_s - began_s, 1e-3))
        loopback = kernel.loopback_bytes()
        if loopback is not None and self._loopback_before is not None:
            observed.loopback_bytes = loopback - self._loopback_before
        return observed

    def is_quiet(self) -> bool:
        """Return whether the database does nothing, and did nothing since this was asked last.

        So where it is not watched.
        """
        with self._lock:
            busy = self._ask(lambda statistics: statistics.connections())
            seen, self._seen = self._seen, self._ask(lambda statistics: statistics.work())
        return busy is None or (busy[1] == 0 and seen == self._seen)

    def _taken(self) -> Taken:
        """Return what the application holds."""
        opened = self._ask(lambda statistics: statistics.connections())
        threads = len(self._app_threads())
        return Taken(threads or None, opened[0] if opened is not None else None)

    def _foreign_s(self, spent: Mapping[str, Spent]) -> float:
        """Return the CPU seconds of all processes but those of the run."""
        own = time.process_time() + sum(each.run_s for each in spent.values())
        return kernel.used_s() - own

    def _spent(self, role: str) -> Spent:
        return Spent.of(self.roles[role], has_threads=role != "postgresql")

    def _app_threads(self) -> dict[int, kernel.Run]:
        """Return the threads of all application processes; a thread's id is the machine's."""
        found: dict[int, kernel.Run] = {}
        for pid in self.roles.get("app", []):
            found |= kernel.threads(pid)
        return found

    def _thread_use(self) -> Threads | None:
        """Return who ran in the applications; a loop runs in its process's first thread."""
        now, before = self._app_threads(), self._threads_before
        nothing = kernel.Run(0.0, 0.0)
        loops = [pid for pid in self.roles.get("app", []) if pid in now]
        if not loops:
            return None
        used = {tid: run.cpu_s - before.get(tid, nothing).cpu_s for tid, run in now.items()}
        waits = [now[loop].waited_s for loop in loops]
        waited = None
        if all(each is not None for each in waits):
            earlier = sum(before.get(loop, nothing).waited_s or 0.0 for loop in loops)
            waited = sum(each or 0.0 for each in waits) - earlier
        in_loops = sum(used.pop(loop) for loop in loops)
        return Threads(in_loops, sum(used.values()), waited, len(now))

    def _open(self, connect: Callable[[], Statistics]) -> None:
        try:
            self._statistics = connect()
        except Exception as error:
            self._problem = first_line(error)

    def _ask(self, what: Callable[[Statistics], Any]) -> Any:
        """Ask the statistics; what fails is told once, and then no more is asked."""
        if self._statistics is None:
            return None
        try:
            return what(self._statistics)
        except Exception as error:
            self._problem = first_line(error)
            if isinstance(error, ServiceError):
                self._broken = self._problem
            with contextlib.suppress(Exception):
                self._statistics.close()
            self._statistics = None
            return None

    def _watch(self) -> None:
        while not self._stop.wait(WATCH_EVERY_S):
            with self._lock:
                seen = self._observed
                if seen is None:
                    continue
                counted = self._ask(lambda statistics: statistics.connections())
                if counted is not None:
                    now_us = time.monotonic_ns() // 1000
                    total, active = counted
                    seen.connections.append((total, active))
                    seen.rows += [
                        (now_us, "connections", float(total)),
                        (now_us, "connections_active", float(active)),
                    ]


def life_words(before: tuple[int, int] | None, after: tuple[int, int] | None) -> str:
    """Say what happened to a database server since a trial began; empty: nothing, or not known.

    Parameters
    ----------
    before, after : see :meth:`asyncdb_bench.services.watching.Statistics.life`.
    """
    if before is None or after is None:
        return ""
    if after[0] != before[0]:
        return "the database server was restarted"
    if after[1] > before[1]:
        return f"the database server ended {after[1] - before[1]} sessions by itself or by command"
    return ""


TICK_S = 0.02
"""The processes' accounts in ticks are no finer than that."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What some trees have used so far.

    Parameters
    ----------
    ticks_s : CPU seconds by the processes' accounts, in ticks, threads that ended included.
    run_s : by the scheduler's accounts of their living threads, in nanoseconds.
    switches : context switches; None where it is not told.
    processes : how many there are.
    """

    ticks_s: float
    run_s: float
    switches: int | None
    processes: int

    @classmethod
    def of(cls, pids: list[int], *, has_threads: bool = True) -> Spent:
        """Return what some trees have used.

        Parameters
        ----------
        pids : their roots.
        has_threads : whether their processes have several threads; those of PostgreSQL have one,
            and are so many that each file that is not read counts.
        """
        tree = kernel.descendants(pids)
        if not has_threads and (run_s := kernel.main_threads_run_s(tree)):
            return cls(run_s, run_s, None, len(tree))
        return cls(kernel.ticks_s(tree), kernel.run_s(tree), kernel.switches_of(tree), len(tree))

    def cpu_since(self, before: Spent) -> float:
        """Return the CPU seconds since; the finer account, unless a thread took its away."""
        fine, coarse = self.run_s - before.run_s, self.ticks_s - before.ticks_s
        return max(0.0, fine if fine >= coarse - TICK_S else coarse)

    def switches_since(self, before: Spent) -> int | None:
        """Return the context switches since."""
        if self.switches is None or before.switches is None:
            return None
        return max(0, self.switches - before.switches)
