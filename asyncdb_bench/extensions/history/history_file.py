"""The history on disk: ``results/history.sqlite``, appended to and never changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from asyncdb_bench.errors import StoreError

VERSION = 2
TABLES = """
CREATE TABLE IF NOT EXISTS nights (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL UNIQUE,
    started_at TEXT NOT NULL,
    revision TEXT NOT NULL,
    dirty INTEGER NOT NULL,
    machine TEXT NOT NULL,
    sum TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS points (
    place INTEGER NOT NULL REFERENCES nights (place),
    scenario TEXT NOT NULL,
    variant TEXT NOT NULL,
    figure TEXT NOT NULL,
    value REAL NOT NULL,
    offered_rps REAL,
    noise REAL
);
CREATE INDEX IF NOT EXISTS of_night ON points (place);
"""
NAME = "history.sqlite"
ALL_NIGHTS = (
    "SELECT place, run_id, started_at, revision, dirty, machine, sum FROM nights ORDER BY place"
)
ALL_POINTS = (
    "SELECT place, scenario, variant, figure, value, offered_rps, noise FROM points ORDER BY rowid"
)


def sum_of(night: Sequence[Any], points: Iterable[Sequence[Any]]) -> str:
    """Return the checksum of a run and its points, in the order in which they were appended."""
    text = json.dumps([list(night), *map(list, points)])
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One figure of one run.

    Parameters
    ----------
    scenario, variant : labels; empty for the canary.
    figure : column of the steps' table, ``capacity_rps``, or ``canary_…``.
    value : in the figure's unit.
    offered_rps : at which load; None for a capacity and the canary.
    noise : ratio that the same run's A/A stayed within; None: there was none.
    """

    scenario: str
    variant: str
    figure: str
    value: float
    offered_rps: float | None = None
    noise: float | None = None


@dataclass(frozen=True, slots=True)
class HistoryRun:
    """One run in the history; `place` is the order in which runs were appended."""

    place: int
    run_id: str
    started_at: str
    revision: str
    dirty: bool
    machine: str


class History:
    """The history's file.

    Parameters
    ----------
    root : the folder of results.
    read_only : work on a copy in memory: the file, and its folder, may be read-only.

    Raises
    ------
    StoreError : it cannot be opened, or was written by another version.
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self.path = root / NAME
        with self._storing():
            self.connection = self._copy() if read_only else self._opened(root)
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            if version not in {0, VERSION}:
                raise StoreError(
                    f"{self.path} has version {version}, this one reads {VERSION}; update, or move"
                    " the file away and import the runs anew"
                )
            self.connection.executescript(TABLES)
            self.connection.execute(f"PRAGMA user_version = {VERSION}")

    def _opened(self, root: Path) -> sqlite3.Connection:
        root.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(self.path)

    def _copy(self) -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:")
        if self.path.is_file():
            place = f"{self.path.resolve().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(place, uri=True)) as found:
                found.backup(copy)
        return copy

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.connection.close()

    @contextlib.contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            denied = isinstance(error, OSError) or re.search("readonly|unable to open", str(error))
            what = "name a --results that you may write" if denied else "move it away"
            raise StoreError(f"{self.path}: {error}; {what} to start a new one") from error

    def has(self, run_id: str) -> bool:
        """Return whether a run is in it."""
        with self._storing():
            asked = "SELECT 1 FROM nights WHERE run_id = ?"
            return self.connection.execute(asked, (run_id,)).fetchone() is not None

    def append(self, run: HistoryRun, points: list[HistoryPoint]) -> None:
        """Append a run, whole or not at all; its `place` is given by the file."""
        kept = [each for each in points if math.isfinite(each.value)]
        night = (run.run_id, run.started_at, run.revision, int(run.dirty), run.machine)
        with self._storing(), self.connection as connection:
            cursor = connection.execute(
                "INSERT INTO nights (run_id, started_at, revision, dirty, machine, sum)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (*night, sum_of(night, map(_row, kept))),
            )
            connection.executemany(
                "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(cursor.lastrowid, *_row(each)) for each in kept],
            )

    def read(self) -> tuple[list[HistoryRun], list[tuple[int, HistoryPoint]]]:
        """Return the runs in the order in which they were appended, and points by run's place.

        Raises
        ------
        StoreError : a run is not as it was appended, or the file is damaged; it is named.
        """
        with self._storing():
            nights = self.connection.execute(ALL_NIGHTS).fetchall()
            rows = self.connection.execute(ALL_POINTS).fetchall()
        points: dict[int, list[Sequence[Any]]] = defaultdict(list)
        for place, *point in rows:
            points[place].append(point)
        for place, *night, value in nights:
            if sum_of(night, points.pop(place, [])) != value:
                raise StoreError(
                    f"{self.path}: {night[0]} was altered after it was appended; move the file"
                    " away and import the runs anew"
                )
        if points:
            raise StoreError(f"{self.path}: a run is missing; move it away to start a new one")
        runs = [HistoryRun(*night) for *night, _ in nights]
        return runs, [(place, HistoryPoint(*point)) for place, *point in rows]


def _row(point: HistoryPoint) -> tuple[Any, ...]:
    *labels, value, offered_rps, noise = astuple(point)
    # as they are read again, which the checksum is of
    return (*labels, *(None if n is None else float(n) for n in (value, offered_rps, noise)))
