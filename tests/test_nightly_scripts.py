"""The night's scripts: what makes a job red, and which revision is measured against."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from asyncdb_bench.plan.registry import CHECKOUT

SCRIPTS = CHECKOUT / "scripts"


def nightly(
    folder: Path, code: int, minutes: str = "60", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the night with a Python whose gate ends with a code."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n[ "$2" != gate ] || exit {code}\n')
    python.chmod(0o755)
    return subprocess.run(
        ["sh", str(SCRIPTS / "nightly.sh"), str(python), "abc", minutes, "--scenario", "read"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]} | environment,
    )


@pytest.mark.parametrize(("gate", "night"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 0), (130, 130)])
def test_a_night_is_red_only_where_something_got_worse_or_broke(
    tmp_path: Path, gate: int, night: int
) -> None:
    ended = nightly(tmp_path, gate)
    assert ended.returncode == night
    assert ("::warning" in ended.stdout) == (gate == 4)
    calls = (tmp_path / "calls").read_text()
    assert "gate --profile nightly --base abc --time-budget 3600" in calls
    assert "--scenario read" in calls
    assert "history show" in calls


def test_the_gates_own_code_is_there_for_those_who_want_it(tmp_path: Path) -> None:
    assert nightly(tmp_path, 4, STRICT="1").returncode == 4


@pytest.mark.parametrize("minutes", ["", "0", "soon", "1.5"])
def test_minutes_that_are_none_are_refused(tmp_path: Path, minutes: str) -> None:
    ended = nightly(tmp_path, 0, minutes)
    assert ended.returncode == 2
    assert not (tmp_path / "calls").exists()


def git(folder: Path, *arguments: str, day: int = 1) -> str:
    when = f"2026-03-{day:02d}T12:00:00+00:00"
    return subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when},
    ).stdout.strip()


def base(folder: Path, asked: str = "") -> str:
    said = subprocess.run(
        ["sh", str(SCRIPTS / "base.sh"), asked],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.strip().removeprefix("base=")


def test_the_base_is_the_newest_revision_of_the_day_before(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    made = []
    for day in (1, 2, 4, 4):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", f"day {day}", day=day)
        made.append(git(tmp_path, "rev-parse", "HEAD"))
    assert base(tmp_path) == made[1]
    assert base(tmp_path, made[0]) == made[0]
    git(tmp_path, "checkout", "-q", made[0])
    assert base(tmp_path) == made[0], "the first of all is measured against itself"
