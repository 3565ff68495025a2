"""`report`: again from disk, in the browser, as files, several side by side; damage is told."""

from __future__ import annotations

import os
import pty
import subprocess

import pytest

from tests.cli.inside import Inside
from tests.command_line import ROOT, Bench
from tests.made_turns import measured_turns
from tests.report.made import USUAL


def test_reports_are_written_again_with_their_figures_and_opened(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        inside.store(name, measured_turns(USUAL))
    opened: list[str] = []

    def show(uri: str) -> bool:
        opened.append(uri)
        return True

    monkeypatch.setattr("webbrowser.open", show)
    done = inside("report", "one", "two", "--open", "--figures")
    assert done.returncode == 0, done.stderr
    assert "side by side: bench.py compare one two" in done.stdout
    assert "Use executor." in done.stdout
    assert opened == [(inside.reports / "two" / "index.html").as_uri()]
    made = {path.name for path in (inside.reports / "one" / "figures").iterdir()}
    assert {"read.latency.png", "read.latency.svg", "read.where.svg"} <= made
    summary = (inside.reports / "one" / "summary.md").read_text()
    assert "| your requests | use | because |" in summary


def test_an_unknown_schema_is_refused_in_a_line(inside: Inside) -> None:
    inside.store("one", measured_turns(USUAL, rounds=1), schema_version=99)
    done = inside("report", "one")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "has schema 99, this version reads 7" in done.stderr


@pytest.mark.e2e
def test_a_terminal_sees_what_is_measured(bench: Bench) -> None:
    ours, theirs = pty.openpty()
    command = bench.command("run", "--profile", "smoke", "--strategy", "native,executor")
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=theirs,
        stderr=theirs,
        env=bench.environment | {"TERM": "xterm", "COLUMNS": "120"},
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
        assert process.wait(120) in {0, 4}
    os.close(ours)
    text = shown.decode(errors="replace")
    for part in ("beside the best", "left", "native", "executor", "best", "launch 1: 2 variants"):
        assert part in text, part
