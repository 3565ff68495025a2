"""`report`: again from disk, in the browser, as files, several side by side; damage is told."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command_line import ROOT, Bench, without_services

pytestmark = pytest.mark.e2e

Finished = tuple[Bench, subprocess.CompletedProcess[str]]
REFERENCE = ROOT / "results" / "reference"


@pytest.fixture
def stored(tmp_path: Path) -> Bench:
    """The committed run, copied: as one of many in a folder of results."""
    made = Bench(tmp_path)
    shutil.copytree(REFERENCE, made.results / "reference")
    return made


def test_reports_are_written_again_with_their_figures_and_opened(
    finished: Finished, stored: Bench, tmp_path: Path
) -> None:
    latest = (finished[0].results / "latest").resolve()
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o755)
    done = stored(
        "report",
        "reference",
        str(latest),
        "--open",
        "--figures",
        environment={"BROWSER": f"{browser} %s"},
    )
    assert done.returncode == 0, done.stderr
    assert "side by side: bench.py compare reference" in done.stdout
    page = stored.reports / latest.name / "index.html"
    assert seen.read_text().strip() == page.as_uri()
    made = {path.name for path in (stored.reports / "reference" / "figures").iterdir()}
    assert {"read.latency.png", "read.latency.svg", "slow.course.png", "mixed.where.svg"} <= made
    summary = (stored.reports / "reference" / "summary.md").read_text()
    assert "| your requests | use | because |" in summary
    assert "| one quick query | executor |" in summary


def words_of(page: str) -> str:
    """Return a page without its figures, whose last digits are a platform's own."""
    return re.sub(r"<svg .*?</svg>", "", page, flags=re.DOTALL)


def test_the_committed_report_is_what_its_data_say(stored: Bench) -> None:
    """Where it fails: `bench.py report reference` writes it again from its data."""
    assert stored("report", "reference").returncode == 0
    for name in ("index.html", "document.json", "summary.md", "summary.csv", "junit.xml"):
        made = (stored.reports / "reference" / name).read_text()
        assert words_of(made) == words_of((ROOT / "reports" / "reference" / name).read_text()), name


def test_a_table_cut_in_half_is_told_and_an_unknown_schema_is_refused(stored: Bench) -> None:
    folder = stored.results / "reference"
    manifest = folder / "manifest.json"
    # before sums were kept: a sealed run whose table is cut is refused
    (folder / "SHA256SUMS").unlink()
    manifest.write_text(
        manifest.read_text().replace('"schema_version": 6', '"schema_version": 4', 1)
    )
    whole = folder / "requests.parquet"
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert stored("report", "reference").returncode == 0
    page = (stored.reports / "reference" / "index.html").read_text()
    assert "requests.parquet is damaged" in page
    manifest.write_text(
        manifest.read_text().replace('"schema_version": 4', '"schema_version": 99', 1)
    )
    done = stored("report", "reference")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "has schema 99, this version reads 2 to 6" in done.stderr


TURNS = ("turns", "pace", "p99", "left", "▸ native", "▸ executor")
LADDER = ("ladder: p99 by load", "loop lag p99", "left", "/1 trials", "·")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        pytest.param(("native,executor",), TURNS, id="turns"),
        pytest.param(("native", "--ladder"), LADDER, id="ladder", marks=pytest.mark.long),
    ],
)
def test_a_terminal_sees_what_is_measured(
    bench: Bench, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    ours, theirs = pty.openpty()
    command = bench.command("run", "--profile", "smoke", "--strategy", *arguments)
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=theirs,
        stderr=theirs,
        env=without_services() | {"TERM": "xterm", "COLUMNS": "120"},
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        assert process.wait(60) in {0, 4}
    os.close(ours)
    text = shown.decode(errors="replace")
    for part in parts:
        assert part in text, part
    if parts is LADDER:
        assert any(bar in text for bar in "▁▂▃▄▅▆▇█×")
