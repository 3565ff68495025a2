"""Checksums of a run's files, in ``SHA256SUMS``: ``sha256sum --check SHA256SUMS`` reads it, too.

It is written anew with each file that is written whole; the files that are appended to join it when
the run is over (see :mod:`asyncdb_bench.records.json_lines` for until then).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from asyncdb_bench.errors import StoreError

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
