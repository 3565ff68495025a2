"""A process that frees what stays stopped when the harness was killed.

``python -m asyncdb_bench.trial.turns.warden``. Each line of standard input is a JSON list of
process ids. When standard input ends, the harness is gone: whatever is on the latest list, and all
that it started, is killed. A stopped process cannot see by itself that its parent has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

PROC = Path("/proc")


class Warden:
    """The harness's side: tells the process whom to free.

    A context manager; leaving it ends the process, which then frees no one.
    """

    def __enter__(self) -> Warden:
        self._popen = subprocess.Popen(
            [sys.executable, "-S", "-E", str(Path(__file__))],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.watch(())
        stdin = self._stdin()
        with contextlib.suppress(OSError):
            stdin.close()
        try:
            self._popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._popen.pid

    def watch(self, pids: Iterable[int]) -> None:
        """Say whose end matters from now on, all processes of the running block."""
        stdin = self._stdin()
        with contextlib.suppress(OSError):
            stdin.write(json.dumps(list(pids)).encode() + b"\n")
            stdin.flush()

    def _stdin(self) -> IO[bytes]:
        assert self._popen.stdin is not None
        return self._popen.stdin


def with_children(pids: Sequence[int]) -> list[int]:
    """Return some processes and all that descend from them, parents first."""
    parents: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found = list(dict.fromkeys(pids))
    for pid in found:
        found += [child for child in parents.get(pid, ()) if child not in found]
    return found


def main() -> None:
    """Read until the harness is gone, then kill what it left."""
    left: list[int] = []
    for line in sys.stdin.buffer:
        left = json.loads(line)
    for pid in with_children(left):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
