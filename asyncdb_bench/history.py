"""`history`: append runs, look for changes, show them."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from asyncdb_bench import stats, store
from asyncdb_bench.compare import read_steps
from asyncdb_bench.drift import CANARY, NightSeries, all_series, backwards, why
from asyncdb_bench.effects import CAPACITY, COMPARED, by_block, reference_load
from asyncdb_bench.errors import BenchError, StoreError, UsageError
from asyncdb_bench.machine import fingerprint_of
from asyncdb_bench.model import Manifest
from asyncdb_bench.nights import History, NightRow, Point


def append(history: History, folder: store.RunFolder) -> int:
    """Append a run to the history.

    Parameters
    ----------
    history : open.
    folder : of the run.

    Returns
    -------
    How many points it gave.

    Raises
    ------
    StoreError : the run cannot be read, is there already, or has nothing sound to tell.
    """
    manifest = folder.manifest()
    if history.has(manifest.run_id):
        raise StoreError(f"{manifest.run_id} is in the history already")
    machine = fingerprint_of(manifest)
    points = points_of(manifest, read_steps(folder), folder.gate(), history, machine)
    if not any(point.scenario for point in points):
        raise StoreError(f"{manifest.run_id} has no sound step of this checkout as it is")
    revision = str(manifest.git.get("revision", "unknown"))
    dirty = bool(manifest.git.get("dirty"))
    night = NightRow(0, manifest.run_id, manifest.started_at, revision, dirty, machine)
    history.append(night, points)
    return len(points)


def keep_run(root: Path, folder: store.RunFolder) -> str:
    """Append one run to the history; return what came of it in words.

    A night that cannot be kept is told and does not change the night's own end.
    """
    try:
        with History(root) as history:
            return f"history: {append(history, folder)} points kept in {history.path}"
    except StoreError as error:
        return f"history: not kept: {error}"


def points_of(
    manifest: Manifest,
    steps: pd.DataFrame,
    gate: Mapping[str, Any],
    history: History,
    machine: str,
) -> list[Point]:
    """Return a run's points: its capacities, its figures at one load, and its canary.

    The load is the one of the night before where it was measured again, else about half of the
    capacity. Of a gate only head counts: base is another night's.
    """
    points = [
        Point("", "", f"{CANARY}{name}", value)
        for name, value in manifest.canary.items()
        if math.isfinite(value) and value > 0
    ]
    noises = {
        (cell["scenario"], cell["strategy"], cell["figure"]["name"]): cell["look"]["noise"]
        for cell in gate.get("cells", ())
        if cell["look"]["noise"] > 1
    }
    for asked in manifest.plan.scenarios:
        for variant in manifest.plan.variants:
            if variant.elsewhere is not None or variant.fault is not None:
                continue
            rows = steps[(steps.scenario == asked.label) & (steps.variant == variant.label)]
            if rows.empty:
                continue
            before = history.last_load(machine, asked.label, variant.label)
            measured = set(rows[rows.valid].offered_rps)
            load = before if before in measured else reference_load(rows, rows)
            for figure in COMPARED:
                values = by_block(rows, figure, load, asked.objective.p99_ms)
                positive = [value for value in values.values() if value > 0]
                if positive:
                    points.append(
                        Point(
                            asked.label,
                            variant.label,
                            figure.name,
                            stats.geometric_mean(positive),
                            None if figure is CAPACITY else load,
                            noises.get((asked.label, variant.label, figure.name)),
                        )
                    )
    return points


def import_folder(path: Path, root: Path) -> tuple[int, list[str]]:
    """Append every run of a folder that is not there yet, the oldest first.

    Parameters
    ----------
    path : a run, or a folder of runs.
    root : the folder of results, where the history lies.

    Returns
    -------
    How many were appended, and a sentence for each that was not.

    Raises
    ------
    UsageError : there is no such folder, or no run in it.
    StoreError : the history cannot be written.
    """
    if not path.is_dir():
        raise UsageError(f"{path} is no folder")
    candidates = [path] if (path / "manifest.json").is_file() else sorted(path.iterdir())
    folders = [
        store.RunFolder(each) for each in candidates if each.is_dir() and not each.is_symlink()
    ]
    if not folders:
        raise UsageError(f"{path} holds no run")
    done, skipped = 0, []
    readable: list[tuple[str, store.RunFolder]] = []
    for folder in folders:
        try:
            readable.append((folder.manifest().started_at, folder))
        except BenchError as error:
            skipped.append(f"skipped {folder.run_id}: {error}")
    with History(root) as history:
        for _, folder in sorted(readable, key=lambda each: each[0]):
            try:
                append(history, folder)
                done += 1
            except (BenchError, ValueError, KeyError, TypeError) as error:
                if isinstance(error.__cause__, sqlite3.Error):
                    raise
                skipped.append(f"skipped {folder.run_id}: {error}")
    return done, skipped


def show(root: Path, reports: Path) -> Path:
    """Look for changes in the whole history, print them, and write the page.

    Raises
    ------
    UsageError : the history is empty.
    StoreError : it cannot be read.
    """
    from asyncdb_bench.report.history_page import write_history

    with History(root) as history:
        nights, points = history.nights(), history.points()
    if not nights:
        raise UsageError(f"{root / 'history.sqlite'} is empty; `history import results` fills it")
    series = all_series(nights, points)
    warnings = backwards(nights)
    _print(nights, series, warnings)
    path = write_history(nights, series, warnings, reports)
    print(f"history: {path}")  # noqa: T201 - a verb's last line
    return path


def _print(
    nights: Sequence[NightRow], series: Sequence[NightSeries], warnings: Sequence[str]
) -> None:
    from rich.table import Table
    from rich.text import Text

    from asyncdb_bench.console import wide_console

    console = wide_console()
    for warning in warnings:
        console.print(Text(f"note: {warning}", "dim"))
    table = Table(box=None, pad_edge=False)
    for name in ("series", "change", "from", "to", "why"):
        table.add_column(name)
    for each in series:
        for change in each.changes:
            table.add_row(
                Text(each.title),
                f"{change.ratio - 1:+.0%}",
                f"{change.before.started_at[:10]} {change.before.revision[:9]}",
                f"{change.after.started_at[:10]} {change.after.revision[:9]}",
                why(each, change),
            )
    machines = len({night.machine for night in nights})
    console.print(
        f"{len(nights)} nights, {len(series)} series, {machines} machine"
        f"{'' if machines == 1 else 's'}; {sum(len(each.changes) for each in series)} changes"
    )
    if table.row_count:
        console.print(table)
