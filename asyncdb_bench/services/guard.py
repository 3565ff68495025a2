"""Runs a program that is not ours and ends it when the harness is gone.

``python guard.py -- program arguments…``. Standard library only, so that it starts in a few
milliseconds. The first line of standard input are the options in JSON; afterwards it is a pipe
that the harness holds: when it ends, the harness is gone (or asks for the end), and the program is
told to stop, then killed with its group, and its folders are removed.

A guard that is killed takes the program with it: a second process, forked before anything else,
holds a pipe that ends with the guard, and then does the same. (``PR_SET_PDEATHSIG`` would reach
the program alone, not what it has started, and leave its folders.)

Options: ``stop_signal`` (number), ``grace_s``, ``user`` (uid) and ``group`` (gid) to run as,
``cwd`` to run in, ``log`` (file), ``remove`` (folders), ``cluster`` (PostgreSQL's data folder,
whose segment of shared memory is removed, too).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any

IPC_RMID = 0
SHMID_LINE = 7
"""The line of ``postmaster.pid`` that names the segment: key and id (miscinit.c of PostgreSQL)."""

ATTACHED = 6
"""The column of ``/proc/sysvipc/shm`` that counts processes."""
WAIT_S, LONGEST_WAITS = 0.01, 1000


def main() -> int:
    """Run the program until it ends by itself or standard input does."""
    options: dict[str, Any] = json.loads(_line())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    second, told = _fork_second(options)
    identity: dict[str, Any] = {}
    if "user" in options:
        identity = {"user": options["user"], "group": options["group"], "extra_groups": []}
    guarded = Guarded()
    threading.Thread(target=_listen_to_parent, args=(guarded, options), daemon=True).start()
    while True:
        with open(options["log"], "ab") as log:  # noqa: PTH123 - pathlib would slow the start
            program = subprocess.Popen(
                sys.argv[2:],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                restore_signals=True,
                cwd=options.get("cwd"),
                **identity,
            )
        guarded.program = program
        os.write(told, b"%d\n" % program.pid)
        guarded.started.set()
        code = program.wait()
        segment = _segment(options)
        _kill_group(program.pid)
        if not guarded.restart:
            break
        guarded.restart = False
        _wait_for_segment(segment)
    _remove(options, segment)
    with contextlib.suppress(OSError):
        os.write(told, b"done\n")
        os.waitpid(second, 0)
    return code if code >= 0 else 128 - code


class Guarded:
    """The program that runs now, and whether it shall run again when it ends."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.restart = False
        self.program: Any = None


def _line() -> bytes:
    """Read one line of standard input, and nothing behind it."""
    found = b""
    while not found.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise SystemExit(0)
        found += byte
    return found


def _fork_second(options: dict[str, Any]) -> tuple[int, int]:
    """Fork the process that cleans up if this one is killed; return its id, and where it reads."""
    read, write = os.pipe()
    if pid := os.fork():
        os.close(read)
        return pid, write
    os.setsid()
    os.close(write)
    os.close(0)
    told, group, segment = b"", 0, None
    while data := os.read(read, 4096):
        told += data
        *lines, told = told.split(b"\n")
        if b"done" in lines:
            os._exit(0)
        group = int(lines[-1]) if lines else group
    segment = _segment(options)
    if group:
        _kill_group(group)
    _remove(options, segment)
    os._exit(0)


def _listen_to_parent(guarded: Guarded, options: dict[str, Any]) -> None:
    """Kill and start again on a line from the parent; end when it has gone."""
    guarded.started.wait()
    while os.read(0, 4096):
        guarded.restart = True
        _kill_group(guarded.program.pid)
    guarded.restart = False
    program = guarded.program
    with contextlib.suppress(ProcessLookupError):
        program.send_signal(options["stop_signal"])
        # one that somebody has stopped would never hear of it
        program.send_signal(signal.SIGCONT)
    threading.Event().wait(options["grace_s"])
    _kill_group(program.pid)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _segment(options: dict[str, Any]) -> int | None:
    """Return the id of the shared memory that a killed PostgreSQL leaves behind."""
    try:
        with open(options["cluster"] + "/postmaster.pid") as file:  # noqa: PTH123 - as above
            return int(file.read().splitlines()[SHMID_LINE - 1].split()[1])
    except (KeyError, OSError, IndexError, ValueError):
        return None


def _wait_for_segment(segment: int | None) -> None:
    """Wait until no process is attached to a segment of shared memory: else no server starts anew.

    PostgreSQL's connections are in process groups of their own, and end a moment after it.
    """
    for _ in range(LONGEST_WAITS):
        if not _attached(segment):
            return
        threading.Event().wait(WAIT_S)


def _attached(segment: int | None) -> int:
    """Return how many processes are attached to a segment, by ``/proc/sysvipc/shm`` (proc(5))."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        with open("/proc/sysvipc/shm") as file:  # noqa: PTH123 - as above
            rows = [line.split() for line in file.read().splitlines()[1:]]
        return sum(int(row[ATTACHED]) for row in rows if int(row[1]) == segment)
    return 0


def _remove(options: dict[str, Any], segment: int | None) -> None:
    if segment is not None:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).shmctl(segment, IPC_RMID, None)
    for folder in options.get("remove", []):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
