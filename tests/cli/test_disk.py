"""A disk that fails in the middle of a run: said within a step, all is kept, exit code 3."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command_line import ROOT, without_services

pytestmark = pytest.mark.e2e
SIZE = "400m"
INODES = 300
PATIENCE_S = 300.0
"""A machine may be busy with other work."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    options = f"size={SIZE},nr_inodes={INODES}"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip("no right to mount a file system here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def fill(place: Path, _: Path) -> None:
    with contextlib.suppress(OSError), (place / "filler").open("wb") as file:
        while True:
            file.write(bytes(2**20))
            file.flush()


def fill_inodes(place: Path, _: Path) -> None:
    with contextlib.suppress(OSError):
        for number in range(10 * INODES):
            (place / f"filler{number}").touch()


def make_read_only(_: Path, run: Path) -> None:
    # as a file system that the kernel has made read-only after an error: what is open stays open
    subprocess.run(["chattr", "+i", str(run / "steps.jsonl"), str(run)], check=True)


def remove(_: Path, run: Path) -> None:
    shutil.rmtree(run)


def struck_run(place: Path, strike: Callable[[Path, Path], None]) -> tuple[int, str, Path]:
    """Start a run with its results there, strike after its first steps, and wait for its end."""
    results = place / "results"
    process = subprocess.Popen(
        [
            *(sys.executable, "bench.py", "run", "--profile", "smoke", "--rounds", "8"),
            *("--strategy", "native,executor", "--scenario", "read"),
            *("--results", str(results), "--reports", str(place / "reports")),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=without_services(),
    )
    deadline = time.monotonic() + PATIENCE_S
    lines = 0
    while lines < 4 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
        files = list(results.glob("2*/steps.jsonl"))
        lines = len(files[0].read_bytes().splitlines()) if files else 0
    run = files[0].parent
    strike(place, run)
    output, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output, run


@pytest.mark.parametrize(
    ("strike", "why"),
    [
        (fill, "No space left on device"),
        pytest.param(fill_inodes, "No space left on device", marks=pytest.mark.long),
    ],
)
def test_a_disk_that_fails_ends_the_run_and_what_was_written_can_be_reported(
    strike: Callable[[Path, Path], None], why: str, disk: Path, tmp_path: Path
) -> None:
    code, output, run = struck_run(disk, strike)
    assert code == 3, output
    assert why in output
    assert "what was measured before is kept" in output
    assert "Traceback" not in output
    lines = (run / "steps.jsonl").read_bytes().splitlines()
    assert len(lines) >= 4
    assert all(json.loads(line)["ledger"] for line in lines[:4])
    assert len(lines) < 20, "it went on without being able to write"
    for filler in disk.glob("filler*"):
        filler.unlink()
    made = subprocess.run(
        [
            *(sys.executable, "bench.py", "report", str(run)),
            *("--results", str(tmp_path), "--reports", str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode in (0, 4), made.stderr
    assert "report: " in made.stdout


def test_a_folder_that_is_removed_ends_the_run(tmp_path: Path) -> None:
    code, output, _ = struck_run(tmp_path, remove)
    assert code == 3, output
    assert "No such file or directory" in output
    assert "Traceback" not in output


@pytest.mark.long
def test_a_folder_that_turns_read_only_ends_the_run(tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.touch()
    if subprocess.run(["chattr", "+i", str(probe)], check=False).returncode != 0:
        pytest.skip("no right to make files immutable here")
    subprocess.run(["chattr", "-i", str(probe)], check=True)
    code, output, run = struck_run(tmp_path, make_read_only)
    subprocess.run(["chattr", "-i", str(run), str(run / "steps.jsonl")], check=True)
    assert code == 3, output
    assert "Operation not permitted" in output
    assert "Traceback" not in output
    assert len((run / "steps.jsonl").read_bytes().splitlines()) >= 4
