"""Results on disk: written once, step by step, readable after any interruption."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from asyncdb_bench.errors import StoreError
from asyncdb_bench.records import run_folder as store
from asyncdb_bench.records.run import SCHEMA_VERSION
from asyncdb_bench.records.step import PHASES, TASK_STAMPS, request_columns
from tests.factories import end, manifest, step


@pytest.fixture
def folder(tmp_path: Path) -> store.RunFolder:
    return store.make_run_folder(tmp_path, "run-1")


def test_what_is_written_is_read_back(folder: store.RunFolder) -> None:
    folder.write_manifest(manifest())
    folder.append_step(step())
    folder.append_step(step(offered=200))
    folder.append_trial(end())
    assert folder.manifest() == manifest()
    assert folder.steps() == [step(), step(offered=200)]
    assert folder.trials() == [end()]


def test_a_line_that_was_cut_off_is_left_out(folder: store.RunFolder) -> None:
    folder.append_step(step())
    folder.append_step(step(offered=200))
    path = folder.path / "steps.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    assert folder.steps() == [step()]


def test_a_damaged_line_in_the_middle_is_named(folder: store.RunFolder) -> None:
    folder.append_step(step())
    folder.append_step(step())
    path = folder.path / "steps.jsonl"
    path.write_bytes(b"{broken\n" + path.read_bytes())
    with pytest.raises(StoreError, match=r"steps\.jsonl:1 was altered"):
        folder.steps()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("not json", "is damaged"),
        ("[]", "is damaged"),
        ('{"schema_version": 99}', f"has schema 99, this version reads {SCHEMA_VERSION}"),
        (f'{{"schema_version": {SCHEMA_VERSION}}}', "has no checksum"),
    ],
)
def test_a_manifest_that_cannot_be_read_says_why(
    folder: store.RunFolder, content: str, says: str
) -> None:
    (folder.path / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match=says):
        folder.manifest()


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a run"):
        store.RunFolder(tmp_path).manifest()


def columns(value: int, count: int = 3) -> dict[str, Any]:
    return {"trial": ["t"] * count, "done_us": np.full(count, value, np.int64)}


def test_parts_are_readable_before_and_after_they_are_merged(folder: store.RunFolder) -> None:
    folder.add_rows("requests", columns(1))
    folder.add_rows("requests", columns(2))
    folder.flush_rows()
    folder.add_rows("requests", columns(3))
    folder.flush_rows()
    before = [piece["done_us"].to_pylist() for piece in folder.tables("requests", ["done_us"])]
    folder.merge_parts()
    after = [piece["done_us"].to_pylist() for piece in folder.tables("requests", ["done_us"])]
    assert before == after == [[1, 1, 1, 2, 2, 2], [3, 3, 3]]
    assert (folder.path / "requests.parquet").is_file()
    assert not (folder.path / "requests.parts").exists()
    assert not (folder.path / "series.parquet").exists()


def test_a_half_written_part_is_not_read(folder: store.RunFolder) -> None:
    folder.add_rows("requests", columns(1))
    folder.flush_rows()
    (folder.path / "requests.parts" / "000001.partial").write_bytes(b"half")
    assert len(list(folder.tables("requests", ["done_us"]))) == 1


def test_a_damaged_table_is_named(folder: store.RunFolder) -> None:
    (folder.path / "requests.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(StoreError, match=r"requests\.parquet is damaged"):
        list(folder.tables("requests", ["done_us"]))


def test_request_columns_keep_microseconds_and_leave_out_what_did_not_happen(
    tmp_path: Path,
) -> None:
    scratch = tmp_path / "step.npz"
    phases: dict[str, Any] = {f"{name}_us": np.array([12, -1]) for name in PHASES}
    phases |= {f"{name}_ns": np.array([3_000_000, 0]) for name in TASK_STAMPS}
    np.savez(
        scratch,
        intended_ns=np.array([1_000_400, 2_000_600]),
        sent_ns=np.array([1_100_000, 0]),
        done_ns=np.array([5_000_000, 0]),
        status=np.array([200, 0], np.int16),
        outcome=np.array([1, 0], np.int8),
        operation=np.array([1, 0], np.int8),
        **phases,
    )
    made = request_columns("t000", 2, ["read", "slow"], scratch, np.array([4000, -1]))
    assert made["intended_us"].to_pylist() == [1000, 2001]
    assert made["sent_us"].to_pylist() == [1100, None]
    assert made["done_us"].to_pylist() == [5000, None]
    assert made["operation"].to_pylist() == ["slow", "read"]
    assert made["latency_us"].to_pylist() == [4000, None]
    assert made["database_us"].to_pylist() == [12, None]
    assert made["received_us"].to_pylist() == [3000, None]
    assert made["trial"].to_pylist() == ["t000", "t000"]


def test_latest_points_at_the_newest_that_can_be_read(tmp_path: Path) -> None:
    for name in ("run-1", "run-2"):
        store.make_run_folder(tmp_path, name).write_manifest(manifest())
    store.make_run_folder(tmp_path, "run-3")
    assert (tmp_path / "latest").resolve().name == "run-2"
    assert store.open_run(tmp_path, "latest").run_id == "run-2"


def test_an_unknown_run_lists_those_that_are_there(folder: store.RunFolder) -> None:
    folder.write_manifest(manifest())
    with pytest.raises(StoreError, match="there: run-1"):
        store.open_run(folder.path.parent, "run-9")


def test_too_little_space_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StoreError, match="has 10 MB free, a run wants 300 MB"):
        store.make_run_folder(tmp_path, "run-1")
    assert not (tmp_path / "run-1").exists()


def test_a_full_disk_while_measuring_says_what_is_kept(
    folder: store.RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    folder.add_rows("requests", columns(1))
    with pytest.raises(
        StoreError, match="No space left on device; what was measured before is kept"
    ):
        folder.flush_rows()


def test_json_is_for_people_too(folder: store.RunFolder) -> None:
    folder.write_summary([{"variant": "native"}])
    text = (folder.path / "summary.json").read_text()
    assert json.loads(text) == [{"variant": "native"}]
    assert text.count("\n") > 2
