"""What a trial's processes use, and which database connections are open, watched from outside."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from asyncdb_bench.model import Usage

CONNECTIONS_EVERY_S = 0.1
ACTIVITY = (
    "SELECT count(*), count(*) FILTER (WHERE state = 'active') FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)


@dataclass
class Observed:
    """What was seen during one step."""

    usage: dict[str, Usage] = field(default_factory=dict)
    connections_peak: int | None = None
    connections_active_peak: int | None = None
    rows: list[tuple[int, str, float]] = field(default_factory=list)


class Monitor:
    """Samples processes by role and the database's connections in a thread of its own.

    Parameters
    ----------
    roles : for each role the process ids at the root of its tree.
    connect : opens a connection to the trial's database, or None where it cannot be watched.
    """

    def __init__(self, roles: Mapping[str, list[int]], connect: Callable[[], Any] | None) -> None:
        self.roles = roles
        self._connect = connect
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._observed: Observed | None = None
        self._thread = threading.Thread(target=self._watch, name="monitor", daemon=True)

    def __enter__(self) -> Monitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def begin(self) -> None:
        """Begin to watch a step."""
        self._before = {role: cpu_s(pids) for role, pids in self.roles.items()}
        with self._lock:
            self._observed = Observed()

    def end(self) -> Observed:
        """Return what was seen since :meth:`begin`."""
        with self._lock:
            observed = self._observed or Observed()
            self._observed = None
        for role, pids in self.roles.items():
            used = max(0.0, cpu_s(pids) - self._before[role])
            rss_mb, pss_mb = memory_mb(pids)
            observed.usage[role] = Usage(used, rss_mb, pss_mb, len(tree(pids)))
        return observed

    def _watch(self) -> None:
        with contextlib.ExitStack() as stack:
            connection = None
            if self._connect is not None:
                with contextlib.suppress(Exception):
                    connection = stack.enter_context(contextlib.closing(self._connect()))
            while not self._stop.wait(CONNECTIONS_EVERY_S):
                if self._observed is not None and connection is not None:
                    connection = self._count_connections(connection)

    def _count_connections(self, connection: Any) -> Any:
        try:
            total, active = connection.execute(ACTIVITY).fetchone()
        except Exception:
            return None
        with self._lock:
            seen = self._observed
            if seen is not None:
                now_us = time.monotonic_ns() // 1000
                seen.rows += [
                    (now_us, "connections", float(total)),
                    (now_us, "connections_active", float(active)),
                ]
                seen.connections_peak = max(seen.connections_peak or 0, total)
                seen.connections_active_peak = max(seen.connections_active_peak or 0, active)
        return connection


def tree(pids: list[int]) -> list[psutil.Process]:
    """Return the living processes of some trees."""
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(pid)
            found += [root, *root.children(recursive=True)]
    return found


def cpu_s(pids: list[int]) -> float:
    """Return the CPU seconds that some trees have used, children that ended included."""
    total = 0.0
    for process in tree(pids):
        with contextlib.suppress(psutil.Error):
            used = process.cpu_times()
            total += used.user + used.system
    return total


def memory_mb(pids: list[int]) -> tuple[float, float | None]:
    """Return the memory of some trees in MB.

    Returns
    -------
    Resident size (a page shared by several processes counts in each), and proportional size (it
    is shared out among them), None where the kernel does not tell.
    """
    rss, pss = 0, 0
    for process in tree(pids):
        with contextlib.suppress(psutil.Error):
            rss += process.memory_info().rss
            pss += getattr(process.memory_full_info(), "pss", 0)
    return rss / 1e6, pss / 1e6 if pss else None
