"""A process that ends what a harness that was killed leaves behind.

``python -m asyncdb_bench.processes.cleanup``. Each line of standard input is a JSON list of
process ids, a folder, or an object that :mod:`asyncdb_bench.services.sweep` understands; ``null``
says that all is well. When standard input ends, the harness is gone: whatever is on the latest
list, and all that it started, is killed, the folder is removed, and what the object names. A
stopped process cannot see by itself that its parent has ended, and no one else would drop databases
on a server that is not ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any


def wait_until_ended(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for a process; return whether it ended in time."""
    try:
        process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process group and reap its leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)


PROC = Path("/proc")
LAST_S = 4.0
"""How long those that are not stopped take to end by themselves when the harness has gone."""


class Cleanup:
    """The harness's side: tells the process whom to free.

    A context manager; leaving it ends the process, which then frees no one.
    """

    def __enter__(self) -> Cleanup:
        # the process itself runs this file alone, without the package
        from asyncdb_bench.plan.other_checkout import environment
        from asyncdb_bench.processes.child import temporary_folder

        self._popen = subprocess.Popen(
            [sys.executable, "-S", "-E", str(Path(__file__))],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env=environment(),
        )
        self._tell(json.dumps(str(temporary_folder())).encode())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        from asyncdb_bench.processes.child import remove_temporary_folder

        remove_temporary_folder()
        self.watch(())
        self._tell(b"null")
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
        self._tell(json.dumps(list(pids)).encode())

    def sweep(self, order: bytes) -> None:
        """Say what else is to be removed, a :class:`asyncdb_bench.services.sweep.Sweep` in JSON."""
        self._tell(order)

    def _tell(self, line: bytes) -> None:
        stdin = self._stdin()
        with contextlib.suppress(OSError):
            stdin.write(line + b"\n")
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
    order: Any = None
    folder = ""
    for line in sys.stdin.buffer:
        told = json.loads(line)
        if isinstance(told, list):
            left = told
        elif isinstance(told, str):
            folder = told
        else:
            order, folder = told, folder if told else ""
    for pid in with_children(left):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    if folder:
        # some of those that were told to end may still be at it
        time.sleep(LAST_S)
        shutil.rmtree(folder, ignore_errors=True)
    if order is not None:
        command = [sys.executable, "-m", "asyncdb_bench.services.sweep"]
        subprocess.run(command, input=json.dumps(order).encode(), check=False, timeout=60)


if __name__ == "__main__":
    main()
