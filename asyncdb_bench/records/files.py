"""Files of JSON lines that are only appended to; each line's check covers all before it.

A line's last key is ``check``: the first 16 hexadecimal digits of the SHA-256 of the check before
it and of the line without its own (a hash chain). A changed, missing, doubled or moved line is
found, and named, also in a file that nobody had the time to seal.

It is written anew with each file that is written whole; the files that are appended to join it when
the run is over (see :mod:`asyncdb_bench.records.files` for until then).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from asyncdb_bench.errors import StoreError, UsageError, WriteError

SYNC_S = 1.0
CHECK = re.compile(rb',"check":"([0-9a-f]{16})"}$')


def checked(encoded: bytes, before: str) -> tuple[bytes, str]:
    """Return a line with its check, and the check.

    Parameters
    ----------
    encoded : a JSON object with at least one key.
    before : the check of the line before; empty: it is the first.
    """
    check = hashlib.sha256(before.encode() + encoded).hexdigest()[:16]
    return encoded[:-1] + b',"check":"' + check.encode() + b'"}', check


class Appender:
    """Appends records to files of lines.

    Each is with the system when the call returns, so that a kill of this process loses none, and
    on disk within a second (fsync(2) takes longer than what lies between two turns may).
    """

    def __init__(self) -> None:
        self._last: dict[Path, str] = {}
        self._synced_s = 0.0

    def append(self, path: Path, row: Any) -> None:
        """Append a record.

        Raises
        ------
        OSError : it cannot be written.
        """
        before = self._last[path] if path in self._last else last_check(path)
        line, check = checked(msgspec.json.encode(row), before)
        with path.open("ab") as file:
            file.write(line + b"\n")
            file.flush()
            if time.monotonic() - self._synced_s > SYNC_S:
                os.fsync(file.fileno())
                self._synced_s = time.monotonic()
        self._last[path] = check


def last_check(path: Path) -> str:
    """Return the check of a file's last line; empty where it has none."""
    if not path.is_file():
        return ""
    last = path.read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
    found = CHECK.search(last)
    return found[1].decode() if found else ""


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield a file's lines with their numbers, without their checks; none where there is no file.

    Raises
    ------
    StoreError : a line was altered. A last line that was cut off is left out.
    """
    if not path.is_file():
        return
    before = ""
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = CHECK.search(line)
        if not found and number == len(lines):
            return
        bare = line[: found.start()] + b"}" if found else line
        if not found or checked(bare, before)[0] != line:
            raise StoreError(
                f"{path}:{number} was altered after it was written, or one before it is"
                " missing; restore the file, or measure anew"
            )
        before = found[1].decode()
        yield number, bare


SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  (\S+)")


def sums_of(folder: Path) -> dict[str, str]:
    """Return the checksums that stand in a folder, by file; empty where there is no such file.

    Raises
    ------
    StoreError : it is damaged.
    """
    path = folder / SUMS
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    found = {}
    for number, line in enumerate(lines, 1):
        match = LINE.fullmatch(line)
        if match is None or match[2] in found:
            raise StoreError(f"{path}:{number} was altered: it is no line of a checksum")
        found[match[2]] = match[1]
    return found


def with_files(folder: Path, names: Iterable[str]) -> str:
    """Return the text of ``SHA256SUMS`` with the files of these names that there are."""
    sums = sums_of(folder)
    for name in names:
        if (folder / name).is_file():
            sums[name] = digest(folder / name)
    return "".join(f"{value}  {name}\n" for name, value in sorted(sums.items()))


def altered(folder: Path, names: Iterable[str]) -> list[str]:
    """Return what is not as it was sealed, in words; empty: all is.

    Parameters
    ----------
    folder : of the run.
    names : files that a sealed run has sums for, where they exist.
    """
    sums = sums_of(folder)
    found = []
    for name, value in sums.items():
        path = folder / name
        if not path.is_file():
            found.append(f"{path} is missing, {SUMS} has it")
        elif digest(path) != value:
            found.append(f"{path} was altered after the run: it is not what {SUMS} says")
    found += [
        f"{folder / name} has no checksum in {SUMS}"
        for name in names
        if name not in sums and (folder / name).exists()
    ]
    return found


def digest(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises
    ------
    StoreError : it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error


def replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and have it on disk before its name changes."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    sync(partial)
    partial.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file or folder on disk (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what keeps a file from being written into an error for people.

    Raises
    ------
    WriteError : it could not be written.
    """
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"cannot write {path}: {error.strerror or error}; what was measured before is kept"
        ) from error


def append_text(path: Path, text: str) -> None:
    """Append to a text file, with the folders that it needs.

    Raises
    ------
    StoreError : not writable, or no space.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)


def write_new(path: Path, text: str) -> None:
    """Write a file that a user asked for, with the folders that it needs.

    Raises
    ------
    UsageError : it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}; name a folder that you may write, or"
            " go to one"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, with the folders that it needs.

    What UTF-8 cannot carry (a lone surrogate in a name) is replaced.

    Raises
    ------
    StoreError : not writable, or no space.
    """
    write_bytes(path, text.encode("utf-8", "replace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, with the folders that it needs.

    Raises
    ------
    StoreError : not writable, or no space.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, content)


NAME = "launch_spreads.jsonl"
LATEST = 40
"""Runs that are looked back on: a machine, and what runs on it, changes."""


@dataclass(frozen=True, slots=True)
class LaunchSpread:
    """How launches of one kind strayed by one metric.

    Parameters
    ----------
    variance : of a variant's logarithm from launch to launch, what its rounds explain taken off.
    freedom : degrees of freedom.
    """

    variance: float
    freedom: float


Seen = Mapping[str, LaunchSpread]
"""By metric and kind of variant, see :func:`asyncdb_bench.analysis.inference.key_of`."""


class _Line(msgspec.Struct):
    run_id: str
    machine: str
    spreads: dict[str, LaunchSpread]


def append_launches(root: Path, run_id: str, machine: str, spreads: Seen) -> None:
    """Append what a run has shown.

    Parameters
    ----------
    root : the folder of results.
    run_id, machine : of the run, and the machine's fingerprint.
    spreads : what was seen.
    """
    if spreads:
        Appender().append(root / NAME, _Line(run_id, machine, dict(spreads)))


def read_launches(root: Path, machine: str) -> dict[str, LaunchSpread]:
    """Return what earlier runs on a machine have shown, put together; nothing where it is damaged.

    Parameters
    ----------
    root : the folder of results.
    machine : its fingerprint.
    """
    try:
        lines = [msgspec.json.decode(line, type=_Line) for _, line in read_lines(root / NAME)]
    except (StoreError, msgspec.DecodeError, OSError):
        return {}
    found: dict[str, LaunchSpread] = {}
    for line in [each for each in lines if each.machine == machine][-LATEST:]:
        for key, new in line.spreads.items():
            old = found.get(key, LaunchSpread(0.0, 0.0))
            freedom = old.freedom + new.freedom
            if freedom > 0:
                total = old.variance * old.freedom + new.variance * new.freedom
                found[key] = LaunchSpread(total / freedom, freedom)
    return found
