"""One run at a time on a machine: an exclusive lock, with who holds it and since when.

Two runs at once measure one another. The first holds the lock; a second one writes itself into a
file beside it, so that both know: the steps of either that passed while the other ran are not
sound. The kernel releases a lock when its holder ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from asyncdb_bench.errors import StoreError
from asyncdb_bench.text import PROGRAM, visible

MODE = 0o666


class Holder(msgspec.Struct, frozen=True):
    """A run: its process, user and command."""

    pid: int
    user: str
    since: str
    command: str

    def __str__(self) -> str:
        # any account of the machine may write what is read here
        return visible(f"pid {self.pid} ({self.user}) since {self.since}: {self.command}"[:500])


def this_run(command: Sequence[str]) -> Holder:
    """Return the run of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Holder(os.getpid(), user, now, f"{PROGRAM} " + " ".join(command))


class MachineLock:
    """Holds the lock for a run, or notes the run beside it where another one holds it.

    Parameters
    ----------
    command : how the run was asked for.
    folder : where the lock lies; the same for all runs of a machine. Default:
        ``ASYNCDB_BENCH_LOCK_DIR``, else the system's folder for temporary files.

    Raises
    ------
    StoreError : the lock cannot be opened.
    """

    def __init__(self, command: Sequence[str], folder: Path | None = None) -> None:
        given = os.environ.get("ASYNCDB_BENCH_LOCK_DIR", "")
        folder = folder or Path(given or tempfile.gettempdir())
        self._own = this_run(command)
        self._lock = _open(folder / "asyncdb-bench.lock")
        self._others = _open(folder / "asyncdb-bench.others")
        self._seen = 0
        self.holder: Holder | None = None
        self._acquire()

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()
        self._others.close()

    def __enter__(self) -> MachineLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def other_run(self) -> str:
        """Return which other run was there since the last call; empty: none.

        A run that does not hold the lock takes it where its holder has ended: from the next call
        on it is alone.
        """
        if self.holder is not None:
            holder = str(self.holder)
            self._acquire()
            return holder
        size = os.fstat(self._others.fileno()).st_size
        came = size > self._seen
        if came or self._has_other():
            self._others.seek(0)
            lines = self._others.read(size).splitlines()
            self._seen = size
            with contextlib.suppress(msgspec.DecodeError, IndexError):
                return str(msgspec.json.decode(lines[-1], type=Holder))
            return "unknown"
        return ""

    def _acquire(self) -> None:
        if _locked(self._lock, fcntl.LOCK_EX):
            self._lock.truncate(0)
            self._lock.seek(0)
            self._lock.write(msgspec.json.encode(self._own))
            self._lock.flush()
            self.holder = None
            fcntl.flock(self._others, fcntl.LOCK_UN)
            self._seen = os.fstat(self._others.fileno()).st_size
            return
        first = self.holder is None
        self._lock.seek(0)
        try:
            self.holder = msgspec.json.decode(self._lock.read(), type=Holder)
        except msgspec.DecodeError:
            self.holder = Holder(0, "unknown", "unknown", "unknown")
        if first:
            _locked(self._others, fcntl.LOCK_SH)
            self._others.seek(0, os.SEEK_END)
            self._others.write(msgspec.json.encode(self._own) + b"\n")
            self._others.flush()

    def _has_other(self) -> bool:
        """Return whether another run is there now."""
        if _locked(self._others, fcntl.LOCK_EX):
            fcntl.flock(self._others, fcntl.LOCK_UN)
            return False
        return True


def _open(path: Path) -> IO[bytes]:
    # a link that somebody has put there could lead anywhere
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        try:
            # a file of another account may not be opened with O_CREAT (fs.protected_regular)
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            descriptor = os.open(path, flags | os.O_CREAT, MODE)
        file = os.fdopen(descriptor, "r+b")
    except OSError as error:
        raise StoreError(
            f"cannot open the machine's lock {path}: {error.strerror};"
            " set ASYNCDB_BENCH_LOCK_DIR to a folder that all runs may write to"
        ) from error
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, MODE)
    return file


def _locked(file: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
