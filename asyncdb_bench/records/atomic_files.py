"""Files that are written whole or not at all, and are on disk before they have their names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from asyncdb_bench.errors import StoreError, UsageError, WriteError
from asyncdb_bench.records.json_lines import Appender, read_lines


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
