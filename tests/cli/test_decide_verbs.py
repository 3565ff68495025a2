"""compare, gate --against and history, by the command line, on stored runs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from asyncdb_bench.records import run_folder as store
from asyncdb_bench.records.step import Step
from asyncdb_bench.regression.gate_calibration import BEGIN, END
from tests.command_line import Bench
from tests.factories import manifest
from tests.regression.test_effects import climbs
from tests.regression.test_error_rate_schedule import measured, with_delay

pytestmark = [pytest.mark.e2e, pytest.mark.patient]


def write_run(bench: Bench, run_id: str, steps: list[Step], **changes: Any) -> Path:
    folder = store.make_run_folder(bench.results, run_id)
    variants = tuple(dict.fromkeys(each.variant for each in steps))
    folder.write_manifest(manifest(variants, run_id=run_id, **changes))
    for each in steps:
        folder.append_step(each)
    return folder.path


def test_two_runs_are_compared_and_the_page_written(bench: Bench) -> None:
    write_run(bench, "one", [*climbs("a", 5), *climbs("b", 7)])
    write_run(bench, "two", [*climbs("a", 8), *climbs("b", 7)])
    ended = bench("compare", "one", "two")
    assert ended.returncode == 0, ended.stderr
    assert "slower" in ended.stdout
    assert "tie within 5%" in ended.stdout
    page = Path(ended.stdout.strip().splitlines()[-1].partition(": ")[2])
    assert "not interleaved" in page.read_text()
    within = bench("compare", "one/a", "b", "--run", "one")
    assert within.returncode == 0, within.stderr
    assert "slower" in within.stdout


def test_several_are_compared_with_the_first_in_one_page(bench: Bench) -> None:
    write_run(bench, "one", [*climbs("a", 5), *climbs("b", 7), *climbs("c", 5.01)])
    ended = bench("compare", "a", "b", "c", "--run", "one")
    assert ended.returncode == 0, ended.stderr
    page = Path(ended.stdout.strip().splitlines()[-1].partition(": ")[2]).read_text()
    assert page.count("<h2") >= 2
    assert "one/b" in page
    assert "one/c" in page
    assert "slower" in ended.stdout
    assert "tie within 5%" in ended.stdout


def test_other_machines_are_compared_with_a_loud_warning(bench: Bench) -> None:
    write_run(bench, "one", climbs("a", 5))
    write_run(bench, "two", climbs("a", 5), machine={**manifest().machine, "cpu": "faster"})
    ended = bench("compare", "one", "two")
    assert ended.returncode == 0
    assert "WARNING: DIFFERENT MACHINES: cpu" in ended.stdout


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (("one", "nowhere"), "neither a run under"),
        (("one", "one"), "compared with itself"),
        (("one", "other"), "nothing to compare"),
        (("one", "one/zebra"), "no variant 'zebra'"),
        (("one", "cut"), "damaged"),
        (("one", "old"), "schema 1"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(
    bench: Bench, asked: tuple[str, str], why: str
) -> None:
    write_run(bench, "one", climbs("a", 5))
    write_run(bench, "other", climbs("z", 5))
    cut = write_run(bench, "cut", climbs("a", 5)) / "manifest.json"
    cut.write_bytes(cut.read_bytes()[:200])
    write_run(bench, "old", climbs("a", 5), schema_version=1)
    ended = bench("compare", *asked)
    assert ended.returncode == 2, ended.stdout
    assert why in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_stored_run_that_got_worse_ends_with_one(bench: Bench, tmp_path: Path) -> None:
    write_run(bench, "one", climbs("a", 5))
    write_run(bench, "two", climbs("a", 8))
    junit = tmp_path / "junit.xml"
    ended = bench("gate", "two", "--against", "one", "--junit", str(junit))
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "gate: regress" in ended.stdout
    suite = ET.parse(junit).getroot().find("testsuite")
    assert suite is not None
    assert suite.get("failures") != "0"


def test_a_stored_run_that_did_not_get_worse_passes(bench: Bench) -> None:
    write_run(bench, "one", climbs("a", 5))
    write_run(bench, "two", climbs("a", 5.01))
    ended = bench("gate", "two", "--against", "one")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "gate: pass" in ended.stdout


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"machine": {**manifest().machine, "cores": 64}}, "DIFFERENT MACHINES"),
        ({"blocks": 1}, "one block"),
        ({"valid": False}, "no block has a sound"),
    ],
)
def test_what_cannot_be_decided_ends_with_four_and_says_why(
    bench: Bench, changes: dict[str, Any], why: str
) -> None:
    machine = {"machine": changes.pop("machine")} if "machine" in changes else {}
    write_run(bench, "one", climbs("a", 5))
    write_run(bench, "two", climbs("a", 8, **changes), **machine)
    ended = bench("gate", "two", "--against", "one")
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert why in " ".join(ended.stdout.split())


def test_the_job_summary_of_a_workflow_gets_the_table(bench: Bench, tmp_path: Path) -> None:
    write_run(bench, "one", climbs("a", 5))
    write_run(bench, "two", climbs("a", 5.01))
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    collected = {"GITHUB_STEP_SUMMARY": str(summary)}
    ended = bench("gate", "two", "--against", "one", environment=collected)
    assert ended.returncode == 0
    assert summary.read_text().startswith("before\n## ✅ Performance gate: pass")


def test_a_gate_needs_one_thing_to_measure_against(bench: Bench) -> None:
    for asked in ((), ("--base", "HEAD", "--against", "one")):
        ended = bench("gate", *asked)
        assert ended.returncode == 2
        assert "either --base REVISION" in ended.stderr
    ended = bench("gate", "--base", "no-such-revision")
    assert ended.returncode == 2
    assert "no-such-revision" in ended.stderr


def test_runs_are_imported_and_shown(bench: Bench) -> None:
    for day in range(1, 15):
        write_run(
            bench,
            f"run{day:02d}",
            climbs("a", 5 if day < 8 else 8),
            started_at=f"2026-02-{day:02d}T01:00:00+00:00",
            git={"revision": f"rev{day}", "dirty": False},
            canary={"cpu_ms": 10.0 + day % 2 / 10, "loopback_us": 20.0},
        )
    ended = bench("history", "import")
    assert ended.returncode == 0, ended.stderr
    assert "imported 14 runs" in ended.stdout
    shown = bench("history")
    assert shown.returncode == 0, shown.stderr
    assert "rev7" in shown.stdout
    assert "rev8" in shown.stdout
    assert (bench.reports / "history" / "index.html").is_file()
    wrong = bench("history", "forget")
    assert wrong.returncode == 2


def test_a_gates_error_rates_are_evaluated_from_disk_alone(bench: Bench, tmp_path: Path) -> None:
    schedule, _, results = measured(with_delay, 12)
    folder = store.make_run_folder(bench.results, "rates")
    folder.write_manifest(replace(manifest(run_id="rates"), plan=schedule.plan))
    for each in results.steps:
        folder.append_step(each)
    page = tmp_path / "page.md"
    begin, end = BEGIN.format("read"), END.format("read")
    page.write_text(f"above\n{begin}\nold\n{end}\nbelow\n")
    ended = bench("calibrate", "--gate", "--of", "rates", "--write", str(page))
    assert ended.returncode == 0, ended.stderr
    assert "no change (A/A)" in ended.stdout
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    assert re.search(r"\| p50 \| [\d.]+ ms of delay in the operation \|", text)
    assert re.search(r"\| pace \| no change \(A/A\) \| [\d.]+ \| [6-9] \|", text), (
        "4 to 6 of 12 blocks each"
    )
    assert "old" not in text


def test_a_ladder_and_turns_are_not_compared_and_that_is_said(bench: Bench) -> None:
    schedule, _, results = measured(with_delay, 4)
    name = schedule.copies[0].label
    turns = [step for step in results.steps if step.variant == name and step.purpose == "measure"]
    write_run(bench, "turns", turns)
    write_run(bench, "ladder", climbs(name, 5))
    ended = bench("compare", "ladder", "turns")
    assert ended.returncode == 2
    assert "ladder climbed a ladder, the other took turns" in ended.stderr
