"""Many runs in one history: append them, look for changes."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from asyncdb_bench.analysis import statistics
from asyncdb_bench.errors import BenchError, StoreError, UsageError
from asyncdb_bench.records import run_folder as store
from asyncdb_bench.records.history_file import History, HistoryPoint, HistoryRun
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.regression.change_points import CANARY, FigureSeries, all_series, backwards
from asyncdb_bench.regression.effects import (
    LOADLESS,
    Figure,
    by_block,
    figures_of,
    reference_load,
    took_turns,
)
from asyncdb_bench.regression.sides import measured_steps
from asyncdb_bench.trial.host import fingerprint_of


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
    points = points_of(manifest, measured_steps(folder), folder.gate(), history, machine)
    if not any(point.scenario for point in points):
        raise StoreError(f"{manifest.run_id} has no sound step of this checkout as it is")
    revision = str(manifest.git.get("revision", "unknown"))
    dirty = bool(manifest.git.get("dirty"))
    run = HistoryRun(0, manifest.run_id, manifest.started_at, revision, dirty, machine)
    history.append(run, points)
    return len(points)


def keep_run(root: Path, folder: store.RunFolder) -> str:
    """Append one run to the history; return what came of it in words.

    A run that cannot be kept is told and does not change the run's own end.
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
) -> list[HistoryPoint]:
    """Return a run's points: its capacities, its figures at one load, and its canary.

    The load is the one of the run before where it was measured again, else about half of the
    capacity. Of a gate only head counts: base is another revision's.
    """
    points = [
        HistoryPoint("", "", f"{CANARY}{name}", value)
        for name, value in manifest.canary.items()
        if math.isfinite(value) and value > 0
    ]
    noises = {
        (each["scenario"], each["strategy"], each["figure"]["name"]): each["interim"]["noise"]
        for each in gate.get("decisions", ())
        if each["interim"]["noise"] > 1
    }
    for scenario in manifest.plan.scenarios:
        for variant in manifest.plan.variants:
            if variant.elsewhere is not None or variant.fault is not None:
                continue
            rows = steps[(steps.scenario == scenario.label) & (steps.variant == variant.label)]
            if rows.empty:
                continue
            before = history.last_load(machine, scenario.series, variant.label)
            measured = set(rows[rows.valid].offered_rps)
            load = before if before in measured else reference_load(rows, rows)
            for figure in figures_of(rows):
                values = by_block(rows, figure, load, scenario.objective.p99_ms)
                positive = [value for value in values.values() if value > 0]
                if positive:
                    points.append(
                        HistoryPoint(
                            scenario.series,
                            variant.label,
                            series_name(figure, rows),
                            statistics.geometric_mean(positive),
                            None if figure in LOADLESS else load,
                            noises.get((scenario.label, variant.label, figure.name)),
                        )
                    )
    return points


def series_name(figure: Figure, rows: pd.DataFrame) -> str:
    """Return the series that a figure belongs to: a percentile of turns is not one of a ladder."""
    if took_turns(rows) and figure not in LOADLESS:
        return f"{figure.name} in turns"
    return figure.name


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
        history.verify()
        for _, folder in sorted(readable, key=lambda each: each[0]):
            try:
                append(history, folder)
                done += 1
            except (BenchError, ValueError, KeyError, TypeError) as error:
                if isinstance(error.__cause__, sqlite3.Error):
                    raise
                skipped.append(f"skipped {folder.run_id}: {error}")
    return done, skipped


def read_history(
    root: Path,
) -> tuple[list[HistoryRun], list[FigureSeries], list[str]]:
    """Return the runs of the history, every series with its change points, and warnings.

    Parameters
    ----------
    root : the folder of results.

    Raises
    ------
    UsageError : the history is empty.
    StoreError : it cannot be read.
    """
    with History(root) as history:
        history.verify()
        runs, points = history.runs(), history.points()
    if not runs:
        raise UsageError(f"{root / 'history.sqlite'} is empty; `history import results` fills it")
    return runs, all_series(runs, points), backwards(runs)
