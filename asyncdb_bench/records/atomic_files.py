"""Files that are written whole or not at all, and are on disk before they have their names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from asyncdb_bench.errors import UsageError, WriteError


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
