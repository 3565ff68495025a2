"""`run` of an overload: two strategies at a small size, interrupted, and asked for in vain."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from asyncdb_bench.records.plan import Overload
from asyncdb_bench.report.exports import read_json
from tests.command_line import Bench
from tests.waiting import eventually

pytestmark = pytest.mark.e2e
SMALL = "overload:before=0.5:length=0.5:after=0.5:patience=200"
ASKED = ("run", "--strategy", "native,executor", "--profile", "overload", "--rtt", "0")
PATIENCE_S = 180


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_run_tells_the_goodput_of_each_way(bench: Bench) -> None:
    done = bench(*ASKED, "--scenario", SMALL, "--rounds", "1")
    # 4: with one round little is known, and on a busy machine a turn may not begin calm
    assert done.returncode in {0, 4}, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    turns = [each for each in bench.lines("steps") if each["turn"]["kind"] == "overload"]
    assert {each["variant"] for each in turns} == {"native", "executor"}
    shape = Overload(2, 0.5, 0.5, 0.5).shape
    for each in turns:
        ledger = dict(each["ledger"])
        assert ledger.pop("scheduled") == sum(ledger.values())
        found = each["overload"]
        for name, segment in zip(("before", "during", "after"), shape, strict=True):
            due = found["pace_rps"] / 2 * segment.factor * segment.seconds
            assert found[name]["due"] == pytest.approx(due, abs=1)
            assert found[name]["right"] + found[name]["left"] <= found[name]["due"]
        assert sum(found["answered"]) >= found["before"]["right"]
        assert found["for_nobody"] >= 0
        assert found["taken_after"]["connections"] <= 8
    assert all(each["turn"]["connections"] == 0 for each in turns)
    document = read_json((bench.reports / "latest" / "document.json").resolve().read_text())
    blocks = {getattr(each, "id", "") for each in document.walk()}
    valid = [each for each in turns if each["valid"]]
    assert {"scenario-1-overload"} <= blocks
    assert ("scenario-1-overload-course" in blocks) == bool(valid)
    summary = json.loads((bench.latest / "summary.json").read_text())
    (row,) = [each for each in summary if each["variant"] == "native"]
    assert (row["goodput_share"] is None) == (not any(e["variant"] == "native" for e in valid))


def test_ctrl_c_between_two_ways_keeps_what_was_measured(bench: Bench) -> None:
    running = bench.start(*ASKED, "--scenario", "overload:before=0.5:after=0.5:length=0.5")
    path = bench.results / "latest" / "steps.jsonl"

    def begun() -> bool:
        lines = path.read_text().splitlines() if path.is_file() else []
        return any(json.loads(each)["turn"]["kind"] == "overload" for each in lines)

    try:
        assert eventually(begun, PATIENCE_S)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=PATIENCE_S)
    finally:
        running.kill()
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert (bench.reports / "latest" / "index.html").is_file()


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        ("overload:patience=5", "patience=5 ms is over before a request is done (10 ms in the"),
        ("overload:timeout=9", "timeout=9 ms is over before a request is done (10 ms in the"),
        ("overload:timeout=9000", "longer than the application's general one of 5 s"),
        ("overload:factor=0.5", "factor"),
    ],
)
def test_what_nobody_would_wait_for_is_refused_early(bench: Bench, scenario: str, why: str) -> None:
    done = bench("plan", "--scenario", scenario, "--strategy", "native")
    assert done.returncode == 2, done.stdout
    assert why in " ".join((done.stdout + done.stderr).split())
