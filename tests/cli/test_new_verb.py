"""`new`: the file that it writes passes `check`, and nothing is overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import ROOT, bench_in, without_services

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("kind", ["strategy", "scenario"])
def test_what_is_written_passes_check_as_it_stands(tmp_path: Path, kind: str) -> None:
    made = bench_in(tmp_path, "new", kind, "our_way")
    assert made.returncode == 0, made.stderr
    command = made.stdout.splitlines()[1].split()
    assert command == ["bench.py", "check", "our_way.py:OurWay"]
    text = (tmp_path / "our_way.py").read_text()
    assert "from asyncdb_bench import" in text
    assert text.count("TODO") >= 3
    (summary,) = [line for line in text.splitlines() if line.startswith("    summary = ")]
    assert "TODO" not in summary.partition("#")[0]
    assert len(text.splitlines()) <= 60
    checked = bench_in(tmp_path, *command[1:])
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "our_way.py:OurWay: conforms" in checked.stdout or "OurWay: conforms" in checked.stdout


def test_in_a_checkout_it_goes_into_the_folder_of_its_kind(tmp_path: Path) -> None:
    (tmp_path / "strategies").mkdir()
    assert bench_in(tmp_path, "new", "strategy", "mine").returncode == 0
    assert (tmp_path / "strategies" / "mine.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("thing", "mine"), "write `new strategy NAME`"),
        (("strategy", "Mine"), "'Mine' is no name"),
        (("strategy", "native"), "a strategy 'native' exists already"),
        (("scenario", "taken"), "taken.py exists already"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, arguments: tuple[str, str], says: str
) -> None:
    (tmp_path / "taken.py").write_text("mine")
    ended = bench_in(tmp_path, "new", *arguments)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert (tmp_path / "taken.py").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments", [("new", "scenario", "mine"), ("init", "mine"), ("init",), ("calibrate",)]
)
def test_a_folder_that_may_not_be_written_is_named(arguments: tuple[str, ...]) -> None:
    # not even root may write there
    done = bench_in(Path("/proc"), *arguments)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_modules_of_theirs_with_our_folders_names_are_in_nobodys_way(tmp_path: Path) -> None:
    for name in ("scenarios.py", "strategies.py"):
        (tmp_path / name).write_text("raise ValueError('somebody else')\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "asyncdb_bench", "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=without_services() | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    assert done.returncode == 0, done.stderr
    assert "native" in done.stdout
    assert "TechEmpower" in done.stdout
