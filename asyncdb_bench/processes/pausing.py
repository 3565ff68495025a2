"""Stopping the processes of a variant while others have their turn, and seeing that they stand.

SIGSTOP cannot be caught, and a stopped process uses no CPU time; its sockets stay open, and what
comes in waits in the kernel. Where it is refused (a debugger, a container, another user) the
variant takes its turns with its processes running, and that is said.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from asyncdb_bench.processes import kernel

STANDS_S = 1.0
"""How long a stopped process may take until the kernel says that it stands."""
STANDING = frozenset("TtZX")
"""States of ``/proc/<pid>/stat`` (proc(5)): stopped, traced, and those that have ended."""


class Stoppable:
    """The processes of one variant.

    Parameters
    ----------
    roots : process ids; their children belong to them.
    """

    def __init__(self, roots: Sequence[int]) -> None:
        self.roots = tuple(roots)
        self.pids = self._tree()
        self.stopped = False
        self.refusal = ""

    def stop(self) -> None:
        """Stop all; afterwards :attr:`refusal` says why one runs on, or nothing."""
        self.refusal = ""
        stopped: set[int] = set()
        # a parent first, so that it starts no more; then again, for those that it had just started
        self.pids = self._tree()
        while left := set(self.pids) - stopped:
            for pid in self.pids:
                if pid in left:
                    self._signal(pid, signal.SIGSTOP)
            stopped |= left
            self.pids = self._tree()
        self.stopped = True
        if not self.refusal:
            self._see_that_they_stand()

    def resume(self) -> None:
        """Let all go on; those that have ended are left out."""
        for pid in self.pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        self.stopped = False

    def _tree(self) -> tuple[int, ...]:
        return tuple(kernel.descendants(self.roots))

    def _signal(self, pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
        except OSError as error:
            self.refusal = f"pid {pid} cannot be stopped: {error.strerror}"

    def _see_that_they_stand(self) -> None:
        deadline = time.monotonic() + STANDS_S
        running = list(self.pids)
        while running and time.monotonic() < deadline:
            running = [pid for pid in running if _state(pid) not in STANDING]
            if running:
                time.sleep(0.001)
        if running:
            self.refusal = (
                f"pid {running[0]} was sent SIGSTOP and runs on (state {_state(running[0])})"
            )


def _state(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    try:
        # a system without /proc
        return {psutil.STATUS_STOPPED: "T", psutil.STATUS_ZOMBIE: "Z"}.get(
            psutil.Process(pid).status(), "R"
        )
    except psutil.Error:
        return "X"
