"""The history: what is kept, and where its series changed."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asyncdb_bench.errors import StoreError, UsageError
from asyncdb_bench.extensions.history.change_points import all_series, backwards
from asyncdb_bench.extensions.history.history_file import History, HistoryPoint, HistoryRun
from asyncdb_bench.extensions.history.keeping import import_folder, read_history
from asyncdb_bench.records import run_folder as store
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import Step
from tests.factories import manifest
from tests.made_turns import Truth, measured_turns


def history_run(place: int, revision: str = "abc") -> HistoryRun:
    when = f"2026-{1 + place // 28:02d}-{1 + place % 28:02d}T00:00:00+00:00"
    return HistoryRun(place, f"r{place}", when, revision, False, "a machine")


def series(
    values: list[float], noise: float | None = None, figure: str = "p50_ms"
) -> list[tuple[int, HistoryPoint]]:
    scenario = "" if figure.startswith("canary") else "read"
    return [
        (place, HistoryPoint(scenario, scenario and "native", figure, value, None, noise))
        for place, value in enumerate(values)
    ]


def stepped(count: int, at: int, ratio: float, spread: float = 0.02) -> list[float]:
    rng = np.random.default_rng(4)
    return [
        float(10 * (ratio if place >= at else 1) * math.exp(rng.normal(0, spread)))
        for place in range(count)
    ]


def history_runs(count: int) -> list[HistoryRun]:
    return [history_run(place, f"rev{place // 5}") for place in range(count)]


def test_a_step_is_found_where_it_is_with_the_revisions_around_it() -> None:
    (found,) = all_series(history_runs(60), series(stepped(60, 35, 1.15)))
    (change,) = found.changes
    assert change.at == 35
    assert (change.before.revision, change.after.revision) == ("rev6", "rev7")
    assert change.ratio == pytest.approx(1.15, abs=0.03)
    assert not change.machine


def test_what_does_not_change_has_no_change_point() -> None:
    (found,) = all_series(history_runs(200), series(stepped(200, 0, 1.0, 0.05)))
    assert found.changes == ()


def test_changes_below_the_a_as_noise_are_not_told() -> None:
    values = stepped(60, 30, 1.10)
    assert all_series(history_runs(60), series(values))[0].changes
    (quiet,) = all_series(history_runs(60), series(values, noise=1.25))
    assert quiet.magnitude == pytest.approx(0.25)
    assert quiet.changes == ()


def test_where_the_canary_changes_too_it_was_the_machine() -> None:
    points = series(stepped(60, 30, 1.3)) + series(stepped(60, 31, 1.2), figure="canary_cpu_ms")
    found = {
        each.figure: each
        for each in all_series(history_runs(60), sorted(points, key=lambda p: p[0]))
    }
    assert [change.machine for change in found["p50_ms"].changes] == [True]
    assert [change.machine for change in found["canary_cpu_ms"].changes] == [False]


def test_machines_are_never_mixed() -> None:
    rows = history_runs(40)
    mixed = [
        HistoryRun(r.place, r.run_id, r.started_at, r.revision, r.dirty, f"machine {r.place % 2}")
        for r in rows
    ]
    values = [10.0 if place % 2 else 20.0 for place in range(40)]
    found = all_series(mixed, series(values))
    assert len(found) == 2
    assert all(not each.changes for each in found)


def test_a_clock_that_ran_backwards_is_told_and_the_order_kept() -> None:
    rows = [history_run(1), history_run(0)]
    assert "a clock ran backwards" in backwards(rows)[0]
    assert backwards([history_run(0), history_run(1)]) == []


def turns(p50_ms: float) -> list[Step]:
    return measured_turns({"a": Truth(p50_ms=p50_ms)}, launches=1, rounds=4)


def write_run(root: Path, run_id: str, steps: list[Step], **changes: Any) -> store.RunFolder:
    folder = store.make_run_folder(root, run_id)
    made: Manifest = manifest(("a",), run_id=run_id, **changes)
    folder.write_manifest(made)
    for each in steps:
        folder.append_step(each)
    return folder


def test_a_folder_of_runs_is_imported_and_what_is_damaged_skipped_with_a_word(
    tmp_path: Path,
) -> None:
    root = tmp_path / "results"
    for day in range(3):
        write_run(
            root, f"run{day}", turns(5 + day), started_at=f"2026-01-0{day + 1}T00:00:00+00:00"
        )
    write_run(root, "empty", [])
    (root / "partial").mkdir()
    cut = write_run(root, "cut", turns(5))
    (cut.path / "manifest.json").write_text('{"schema_version": 7, "run')
    lines = write_run(root, "lines", turns(5))
    (lines.path / "steps.jsonl").write_bytes(b"{broken\n" * 3)
    done, skipped = import_folder(root, root)
    assert done == 3
    said = "\n".join(skipped)
    for name, why in (
        ("empty", "no sound turn"),
        ("partial", "no manifest"),
        ("cut", "damaged"),
        ("lines", "altered"),
    ):
        assert any(name in line and why in line for line in skipped), said
    again, told = import_folder(root, root)
    assert again == 0
    assert sum("already" in line for line in told) == 3
    runs, found, _ = read_history(root)
    assert [run.run_id for run in runs] == ["run0", "run1", "run2"]
    assert {each.figure for each in found} >= {"p50_ms in turns", "pace_rps"}


def test_an_empty_history_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="history import"):
        read_history(tmp_path)


def test_a_history_that_is_none_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite").write_text("this is no database, and long enough to tell")
    with pytest.raises(StoreError, match="move it away"):
        History(tmp_path)
    (tmp_path / "history.sqlite").unlink()
    with sqlite3.connect(tmp_path / "history.sqlite") as later:
        later.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="version 99"):
        History(tmp_path)


def test_a_history_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    root = tmp_path / "history of ours"
    with History(root) as history:
        history.append(HistoryRun(0, "r", "2026-01-01", "abc", False, "m"), [])
    before = {each: each.read_bytes() for each in root.iterdir()}
    runs, _, _ = read_history(root)
    assert [run.run_id for run in runs] == ["r"]
    assert {each: each.read_bytes() for each in root.iterdir()} == before
    with pytest.raises(UsageError, match="history import"):
        read_history(tmp_path / "none")
    assert not (tmp_path / "none").exists(), "to look makes no folder"
