"""Many runs in one history: append them, look for changes."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncdb_bench.analysis.findings import ScenarioFindings
from asyncdb_bench.analysis.inference import CAPACITY, CPU, METRICS, PACE, Metric
from asyncdb_bench.errors import BenchError, StoreError, UsageError
from asyncdb_bench.extensions.history.change_points import (
    CANARY,
    FigureSeries,
    all_series,
    backwards,
)
from asyncdb_bench.extensions.history.history_file import History, HistoryPoint, HistoryRun
from asyncdb_bench.processes.host import fingerprint_of
from asyncdb_bench.records import run_folder as store
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.report.write import analysed


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
    found = {each.scenario: each.findings for each in analysed(folder).comparisons}
    points = points_of(manifest, found, folder.gate())
    if not any(point.scenario for point in points):
        raise StoreError(f"{manifest.run_id} has no sound turn of this checkout as it is")
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
    manifest: Manifest, found: Mapping[str, ScenarioFindings], gate: Mapping[str, Any]
) -> list[HistoryPoint]:
    """Return a run's points: each figure of each variant, and the machine's canary.

    Of a gate only head counts: base is another revision's.

    Parameters
    ----------
    manifest : of the run.
    found : by scenario.
    gate : its decisions, where it was a gate: by how much base differed from itself.
    """
    points = [
        HistoryPoint("", "", f"{CANARY}{name}", value)
        for name, value in manifest.canary.items()
        if math.isfinite(value) and value > 0
    ]
    noises = {
        (each["scenario"], each["strategy"], each["metric"]["name"]): 1 + each["judged"]["slack"]
        for each in gate.get("decisions", ())
        if each["judged"]["slack"] > 0
    }
    own = [v for v in manifest.plan.variants if v.elsewhere is None and v.fault is None]
    for scenario in manifest.plan.scenarios:
        findings = found[scenario.label]
        for variant in own:
            for metric in METRICS:
                if metric is CAPACITY and findings.main is not CAPACITY:
                    continue
                value = findings.tables[metric.name].values.get(variant.label)
                if value is not None and value > 0:
                    of_load = bool(metric.quantile) or (metric is CPU and findings.main is CAPACITY)
                    points.append(
                        HistoryPoint(
                            scenario.series,
                            variant.label,
                            series_name(metric, findings),
                            value,
                            findings.common_rps if of_load else None,
                            noises.get((scenario.label, variant.label, metric.name)),
                        )
                    )
    return points


def series_name(metric: Metric, found: ScenarioFindings) -> str:
    """Return the series that a figure belongs to: turns and ladders have their own."""
    if found.main is CAPACITY or metric is PACE:
        return metric.name
    return "cpu_ms_net" if metric is CPU else f"{metric.name} in turns"


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
        history.read()
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
    with History(root, read_only=True) as history:
        runs, points = history.read()
    if not runs:
        raise UsageError(f"{root / 'history.sqlite'} is empty; `history import results` fills it")
    return runs, all_series(runs, points), backwards(runs)
