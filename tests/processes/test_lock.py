"""The machine's lock: one run at a time, and both know when there were two."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asyncdb_bench.errors import StoreError
from asyncdb_bench.processes.lock import MachineLock

HOLD = """
import sys
from pathlib import Path
from asyncdb_bench.processes.lock import MachineLock
lock = MachineLock(["run", "--profile", "nightly"], Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def other(folder: Path) -> subprocess.Popen[str]:
    """Hold the machine, or come while it is held, from another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_alone(tmp_path: Path) -> None:
    with MachineLock(["run"], tmp_path) as lock:
        assert lock.holder is None
        assert lock.other_run() == ""


def test_the_second_is_told_who_holds_it_and_since_when(tmp_path: Path) -> None:
    process = other(tmp_path)
    with MachineLock(["run"], tmp_path) as lock:
        assert lock.holder is not None
        assert lock.holder.pid == process.pid
        assert f"pid {process.pid} (" in lock.other_run()
        assert "since 20" in lock.other_run()
        assert "bench.py run --profile nightly" in lock.other_run()
        process.kill()
        process.wait()
        # the step during which the other ended was not measured alone; the next one is
        assert lock.other_run() != ""
        assert lock.other_run() == ""
        assert lock.holder is None


def test_the_first_learns_of_another_also_when_it_has_gone(tmp_path: Path) -> None:
    with MachineLock(["run"], tmp_path) as lock:
        process = other(tmp_path)
        assert f"pid {process.pid} (" in lock.other_run()
        assert lock.other_run() != "", "it is still there"
        process.kill()
        process.wait()
        assert lock.other_run() == ""
        shortly = other(tmp_path)
        shortly.kill()
        shortly.wait()
        assert f"pid {shortly.pid} (" in lock.other_run()
        assert lock.other_run() == ""


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    process = other(tmp_path)
    process.kill()
    process.wait()
    with MachineLock(["run"], tmp_path) as lock:
        assert lock.holder is None


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="ASYNCDB_BENCH_LOCK_DIR"):
        MachineLock(["run"], tmp_path / "missing")


def test_the_folder_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCDB_BENCH_LOCK_DIR", str(tmp_path))
    with MachineLock(["run"]):
        assert (tmp_path / "asyncdb-bench.lock").exists()
        assert (tmp_path / "asyncdb-bench.lock").stat().st_mode & 0o777 == 0o666
