"""A walk as a user types it, with tiny packages built on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import Bench
from tests.tiny_index import TinyIndex

pytestmark = pytest.mark.e2e
ASKED = ("versions", "tiny-one", "--strategy", "native:pool=2", "--scenario", "read:rows=1000")


@pytest.fixture
def index(tmp_path: Path) -> TinyIndex:
    made = TinyIndex(tmp_path / "index")
    made.add("tiny-one", "0.9", needs=("tiny-nowhere",))
    made.add("tiny-one", "1.0")
    made.add("tiny-one", "1.1")
    return made


def test_a_walk_is_measured_told_and_gone_on_with(bench: Bench, index: TinyIndex) -> None:
    how = ("--from", "0.9", "--runs", "1", "--time-budget", "14", "--blocks", "1", "--rounds", "4")
    done = bench(*ASKED, *how, environment=index.environment)
    assert done.returncode in {0, 4}, done.stdout + done.stderr
    assert "yanked releases, pre-releases" in done.stdout
    assert "run 1 of 1 at most: 2 variants" in done.stdout
    (folder,) = bench.reports.glob("versions-tiny-one-*")
    told = json.loads((folder / "versions.json").read_text())
    assert told["releases"] == ["0.9", "1.0", "1.1"]
    assert "tiny-nowhere" in told["lines"][0]["not_run"]["0.9"]
    (beside,) = told["lines"][0]["beside_newest"]
    assert beside["release"] == "1.0"
    assert beside["pace_rps"]["ratio"] > 0
    assert "not run, because uv" in (folder / "index.html").read_text()
    again = bench(*ASKED, *how, "--offline", environment=index.environment)
    assert again.returncode == done.returncode
    assert "at most" not in again.stdout, "what was measured is kept"
    assert json.loads((folder / "versions.json").read_text()) == told


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "say which releases"),
        (("--from", "one"), "no version"),
        (("--last", "2", "--target", "http://127.0.0.1:1"), "strategies alone"),
        (("--last", "2", "--strategy", "native@../x"), "puts the versions behind"),
    ],
)
def test_what_is_asked_for_wrongly_is_refused(
    bench: Bench, index: TinyIndex, arguments: tuple[str, ...], says: str
) -> None:
    done = bench(*ASKED, *arguments, environment=index.environment)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
