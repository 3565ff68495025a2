"""Environments that were made for named versions: kept, checked before each use, bounded.

A folder for each, named by what it was made of. Whoever makes one holds the cache's lock, makes it
beside, and renames it: two runs do not make the same twice, and nothing half made is ever used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from asyncdb_bench.errors import StoreError, UsageError
from asyncdb_bench.text import counted

FOLDER_VARIABLE, MOST_VARIABLE = "ASYNCDB_BENCH_CACHE", "ASYNCDB_BENCH_CACHE_MB"
MOST_MB = 2000.0
NOTE = "asyncdb-bench.json"
MADE_WHILE_RUNNING = "__pycache__"
"""Compiled by whoever imports first: no part of what an environment must be."""
_in_use: dict[Path, IO[bytes]] = {}
"""Locks on environments that this process uses, held until it ends."""


@dataclass(frozen=True, slots=True)
class Note:
    """What an environment is.

    Parameters
    ----------
    asked : as it was asked for, after the ``@``.
    versions : of its distributions.
    differs : version here and there, of each distribution that is another; empty where there is
        none.
    seal : of its files' names, sizes and times.
    """

    asked: str
    versions: Mapping[str, str]
    differs: Mapping[str, tuple[str, str]]
    seal: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An environment of the cache."""

    folder: Path
    note: Note

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"


def usual_folder() -> Path:
    """Return where environments are kept if nobody says otherwise."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "asyncdb-bench" / "environments"


def most_mb() -> float:
    """Return how much the cache may hold, MB.

    Raises
    ------
    UsageError : the variable is not a positive number.
    """
    given = os.environ.get(MOST_VARIABLE, "")
    try:
        most = float(given or MOST_MB)
    except ValueError:
        most = 0.0
    if not most > 0:
        raise UsageError(f"{MOST_VARIABLE}={given} should be a number of MB above 0")
    return most


class EnvironmentCache:
    """Environments in a folder.

    Parameters
    ----------
    folder : made where it is not there; None: the usual one.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or usual_folder()).absolute()

    def lend(self, key: str, make: Callable[[Path], Note]) -> Kept:
        """Return an environment, made where it is not there or was altered; it stays until we end.

        Parameters
        ----------
        key : what it is made of, as a file's name.
        make : makes it in a folder that is not there yet.

        Raises
        ------
        StoreError : the folder cannot be written.
        """
        with self._locked():
            found = self.find(key) or self._make(key, make)
            self._hold(key)
            os.utime(self._use_of(key))
            self._prune()
        return found

    def find(self, key: str) -> Kept | None:
        """Return an environment that is there and as it was made."""
        folder = self.folder / key
        try:
            note = msgspec.json.decode((folder / NOTE).read_bytes(), type=Note)
        except (OSError, msgspec.DecodeError):
            return None
        kept = Kept(folder, note)
        return kept if kept.python.exists() and note.seal == seal(folder) else None

    def described(self) -> str:
        """Return how many environments there are, and what they take."""
        folders = self._folders()
        if not folders:
            return "none"
        size = sum(sizes_mb(folders).values())
        return f"{counted(len(folders), 'environment')}, {size:,.0f} MB of {most_mb():,.0f} MB"

    def empty(self) -> tuple[int, int]:
        """Remove all environments that no run uses; return how many, and how many are used."""
        if not self.folder.is_dir():
            return 0, 0
        with self._locked():
            folders = self._folders()
            gone = sum(self._remove(each) for each in folders)
        return gone, len(folders) - gone

    def _make(self, key: str, make: Callable[[Path], Note]) -> Kept:
        shutil.rmtree(self.folder / key, ignore_errors=True)
        partial = self.folder / f"{key}.partial"
        try:
            note = make(partial)
            (partial / NOTE).write_bytes(msgspec.json.encode(note))
            partial.rename(self.folder / key)
        except OSError as error:
            raise StoreError(f"cannot write {partial}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return Kept(self.folder / key, note)

    def _prune(self) -> None:
        """Remove those used longest ago, and by nobody now, until the others fit."""
        folders = sorted(self._folders(), key=lambda each: self._use_of(each.name).stat().st_mtime)
        sizes = sizes_mb(folders)
        left = sum(sizes.values())
        for each in folders:
            if left <= most_mb():
                return
            left -= sizes[each] * self._remove(each)

    def _remove(self, folder: Path) -> bool:
        """Remove an environment that no process uses; return whether it is gone."""
        use = self._use_of(folder.name)
        if use in _in_use:
            return False
        with use.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            shutil.rmtree(folder, ignore_errors=True)
            use.unlink(missing_ok=True)
        return True

    def _hold(self, key: str) -> None:
        """Keep others from removing an environment while this process lives."""
        use = self._use_of(key)
        if use not in _in_use or not use.exists():
            file = use.open("ab")
            fcntl.flock(file, fcntl.LOCK_SH)
            _in_use[use] = file

    def _use_of(self, key: str) -> Path:
        """Return the file whose lock says that an environment is in use, and its time when last."""
        return self.folder / f"{key}.used"

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [each.parent for each in sorted(self.folder.glob(f"*/{NOTE}"))]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the cache; what others have left half made is removed."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "lock").open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                for each in self.folder.glob("*.partial"):
                    shutil.rmtree(each, ignore_errors=True)
                yield
        except OSError as error:
            raise StoreError(
                f"the cache of environments {self.folder} cannot be used:"
                f" {error.strerror or error}; name another folder with --cache"
            ) from error


def seal(folder: Path) -> str:
    """Return a digest of an environment's files: names, sizes, times of last change.

    Parameters
    ----------
    folder : of the environment; its note and what is compiled later are left out.
    """
    import hashlib

    digest = hashlib.sha256()
    for path, entry in _entries(folder):
        about = entry.stat(follow_symlinks=False)
        digest.update(f"{path}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        if entry.name in {MADE_WHILE_RUNNING, NOTE}:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from ((f"{entry.name}/{p}", e) for p, e in _entries(Path(entry.path)))
        else:
            yield entry.name, entry


def sizes_mb(folders: list[Path]) -> dict[Path, float]:
    """Return what each folder takes, MB; a file that several share counts for the first.

    Files that lie in uv's own cache, too, are not freed with the folder, and count all the same.
    """
    seen: set[tuple[int, int]] = set()
    found = {}
    for folder in folders:
        size = 0
        for parent, names, files in os.walk(folder):
            for name in [*names, *files]:
                about = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - many
                if (about.st_dev, about.st_ino) not in seen:
                    seen.add((about.st_dev, about.st_ino))
                    size += about.st_blocks * 512
        found[folder] = size / 1e6
    return found
