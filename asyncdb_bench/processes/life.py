"""Whether all that a window rests on lived through it: processes watched from outside.

A process that ended, that another one took the place of, or that somebody stopped makes a window
void: what was counted in it says nothing of the variant. The kernel tells all three
(``/proc/<pid>/stat``, proc(5): state, and start time, since process ids are used again).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.processes.kernel import children, stat_fields
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.services.program import Part, telling_lines


def is_here(host: str) -> bool:
    """Return whether a host is this machine, by one of its addresses."""
    own = {each.address for found in psutil.net_if_addrs().values() for each in found}
    with contextlib.suppress(OSError):
        return {each[4][0] for each in socket.getaddrinfo(host, None)} <= own | {"127.0.0.1", "::1"}
    return False


def listeners(port: int) -> tuple[int, ...]:
    """Return the processes that listen on a port, without the children of others of them.

    Those of another account are seen by root alone; processes that share the port all count.
    """
    try:
        found = {
            each.pid
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and tuple(each.laddr)[1:] == (port,) and each.pid
        }
    except psutil.Error:
        return ()
    found.discard(os.getpid())
    parents = {}
    for pid in found:
        with contextlib.suppress(psutil.Error):
            parents[pid] = psutil.Process(pid).ppid()
    return tuple(sorted(pid for pid in found if parents.get(pid) not in found))


EVERY_S = 0.1
GAP_S = 1.0
"""Between two looks of the harness: more means that it was stopped itself."""
REAPED_S = 0.5
"""How long a parent may take to say how its child ended."""
PROC = Path("/proc")
STATE, START = 0, 19
"""Places among the fields of ``stat`` after the command's name."""
STOPPED = frozenset("Tt")
ENDED = frozenset("ZX")
NODE = "beam.smp"
"""Erlang's runtime, which RabbitMQ is."""
LASTING = ("postgres: checkpointer", "postgres: background writer", "postgres: walwriter")
"""Processes of PostgreSQL that end only when the server does, or begins anew after a crash."""


class PartLostError(ServiceError):
    """A part ended, was restarted, was stopped or fell silent: what was measured then is void.

    Parameters
    ----------
    doubts : what happened.
    shared : whether all variants of the block need the part.
    """

    def __init__(self, doubts: Sequence[Doubt], *, shared: bool) -> None:
        super().__init__("; ".join(doubt.subject for doubt in doubts))
        self.doubts = tuple(doubts)
        self.shared = shared


@dataclass(frozen=True, slots=True)
class Known:
    """A process that must live on: its start time, in the kernel's ticks, and whose it is."""

    pid: int
    start: int
    who: str
    part: Part


class LifeWatch:
    """Watches the processes of some parts, in a thread of its own while a window is open.

    Parameters
    ----------
    parts : whose roots and lasting children must live.

    Attributes
    ----------
    shared : whether what was lost last is needed by all variants.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self.known = tuple(_known(self.parts))
        self.services = tuple(each.pid for each in self.known if each.part.service)
        self.shared = False
        self._found: dict[tuple[int, DoubtKind], tuple[Known | None, str]] = {}
        self._active = threading.Event()
        self._closing = False
        self._lock = threading.Lock()
        self._oom = _killed_for_memory()
        self._last_s = 0.0
        self._thread = threading.Thread(target=self._watch, name="life", daemon=True)

    def __enter__(self) -> LifeWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._active.set()
        self._thread.join(timeout=2)

    def begin(self) -> None:
        """Begin to watch a window; what has ended before counts, too."""
        with self._lock:
            self._found.clear()
            self._last_s = time.monotonic()
            self._look()
        self._active.set()

    def end(self) -> tuple[Doubt, ...]:
        """Return what happened since :meth:`begin`; empty: all lived."""
        self._active.clear()
        with self._lock:
            self._look()
            found = dict(self._found)
        self.shared = any(known is None or known.part.shared for known, _ in found.values())
        told: dict[tuple[DoubtKind, str], Doubt] = {}
        for (_, kind), (known, text) in found.items():
            # the root of a tree says how it ended, and stands first; what was under it went with it
            whose = known.part.who if known is not None else ""
            if (kind, whose) not in told:
                told[kind, whose] = self._told(kind, known, text)
        return tuple(told.values())

    def _watch(self) -> None:
        while True:
            self._active.wait()
            if self._closing:
                return
            with self._lock:
                if self._active.is_set():
                    self._look()
            time.sleep(EVERY_S)

    def _look(self) -> None:
        now_s = time.monotonic()
        gap_s, self._last_s = now_s - self._last_s, now_s
        if gap_s > GAP_S:
            text = f"the harness itself stood still for {gap_s:.1f} s until {clock()}"
            self._found.setdefault((0, DoubtKind.HALTED), (None, text))
        for known in self.known:
            state, start = status(known.pid)
            if state in ENDED or start != known.start:
                self._note(known, DoubtKind.DIED, clock())
            elif state in STOPPED:
                self._note(known, DoubtKind.HALTED, clock())
        for known in _stopped_children(self.known):
            self._note(known, DoubtKind.HALTED, clock())

    def _note(self, known: Known, kind: DoubtKind, text: str) -> None:
        self._found.setdefault((known.pid, kind), (known, text))

    def _told(self, kind: DoubtKind, known: Known | None, when: str) -> Doubt:
        if known is None:
            return Doubt(kind, subject=when)
        if kind is DoubtKind.HALTED:
            text = f"{known.who} (pid {known.pid}) was stopped from outside at {when}"
            return Doubt(kind, subject=text)
        who, how = how_it_ended(known)
        if _killed_for_memory() > self._oom:
            how += ", and the kernel killed for memory meanwhile"
        words = telling_lines(known.part.log)
        tail = f"; its log says: {words}" if words else ""
        return Doubt(kind, subject=f"{who} {how} at {when}{tail}")


def status(pid: int) -> tuple[str, int]:
    """Return a process's state and start time; ``("X", 0)`` where there is none."""
    if fields := stat_fields(PROC / str(pid)):
        return fields[STATE], int(fields[START])
    if PROC.is_dir() and (PROC / "self").exists():
        return "X", 0
    # a system without /proc
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        state = {psutil.STATUS_STOPPED: "T", psutil.STATUS_ZOMBIE: "Z"}.get(process.status(), "S")
        return state, int(process.create_time())
    return "X", 0


def how_it_ended(known: Known) -> tuple[str, str]:
    """Return who ended, and how."""
    part = known.part
    if not part.service:
        who = f"{known.who} (pid {known.pid})"
        return who, ending(_code(part)) if known.pid == part.pid else "ended"
    code = _code(part)
    if code is None:
        return part.who, "ended its processes and began anew"
    if code < 0:
        guard = f"the guard of {part.who} (pid {part.pid})"
        return guard, f"{ending(code)}, and {part.who} with it,"
    return part.who, ending(code)


def ending(code: int | None) -> str:
    """Say how a process ended, from its exit code.

    Parameters
    ----------
    code : as :attr:`subprocess.Popen.returncode`: negative for a signal; a guard passes on its
        program's as 128 and the signal's number. None: it is not known.
    """
    if code is None:
        return "ended"
    number = -code if code < 0 else code - 128
    with contextlib.suppress(ValueError):
        if code < 0 or code > 128:
            return f"was killed by {signal.Signals(number).name}"
    return f"ended with exit code {code}"


def clock() -> str:
    """Return the time of day as messages give it."""
    return datetime.now(UTC).strftime("%H:%M:%S UTC")


def _known(parts: Sequence[Part]) -> Iterator[Known]:
    for part in parts:
        _, start = status(part.pid)
        who = f"the guard of {part.who}" if part.service else part.who
        yield Known(part.pid, start, who, part)
        try:
            below = psutil.Process(part.pid).children(recursive=True)
        except psutil.Error:
            continue
        for child in below:
            with contextlib.suppress(psutil.Error):
                if part.service and not _lasts(child, part.pid):
                    continue
                name = part.who if part.service else f"a child of {part.who}"
                yield Known(child.pid, status(child.pid)[1], name, part)


def _lasts(process: psutil.Process, guard: int) -> bool:
    """Return whether a service's process lives as long as the service."""
    if process.ppid() == guard:
        # the guard's second process is in a session of its own
        return "guard.py" not in " ".join(process.cmdline())
    if process.name() == NODE:
        # what a node starts is a copy of it until its own program is loaded
        parent = process.parent()
        return parent is None or parent.name() != NODE
    return " ".join(process.cmdline()).startswith(LASTING)


def _stopped_children(known: Sequence[Known]) -> Iterator[Known]:
    """Yield the further processes of services that somebody has stopped, PostgreSQL's backends."""
    services = [each for each in known if each.part.service]
    own = {each.pid for each in services}
    for owner in services:
        for pid in children(owner.pid):
            if pid not in own and status(pid)[0] in STOPPED:
                yield Known(pid, 0, f"a process of {owner.part.who}", owner.part)


def _code(part: Part) -> int | None:
    deadline = time.monotonic() + REAPED_S
    while (code := part.exit_code()) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return code


def _killed_for_memory() -> int:
    """Return how many processes the kernel has killed for memory since it started."""
    with contextlib.suppress(OSError, ValueError):
        for line in (PROC / "vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
