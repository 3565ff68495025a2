"""Files of JSON lines that are only appended to; each line's check covers all before it.

A line's last key is ``check``: the first 16 hexadecimal digits of the SHA-256 of the check before
it and of the line without its own (a hash chain). A changed, missing, doubled or moved line is
found, and named, also in a file that nobody had the time to seal.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from asyncdb_bench.errors import StoreError

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
