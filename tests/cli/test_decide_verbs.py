"""compare, gate --against and history, by the command line, on stored runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from asyncdb_bench.records.step import Step
from tests.cli.inside import Inside
from tests.factories import LATE, manifest, turn
from tests.made_turns import Truth, measured_turns
from tests.report.made import climbed


def turns(**paces: float) -> list[Step]:
    """Return turns of variants by their paces."""
    return measured_turns({name: Truth(pace) for name, pace in paces.items()}, rounds=30)


def page_of(stdout: str) -> str:
    return Path(stdout.strip().splitlines()[-1].partition(": ")[2]).read_text()


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_two_runs_are_compared_and_the_page_written(inside: Inside) -> None:
    inside.store("one", turns(a=1000, b=700))
    inside.store("two", turns(a=800, b=700))
    ended = inside("compare", "one", "two")
    assert ended.returncode == 0, ended.stderr
    assert "worse" in ended.stdout
    assert "the same within" in ended.stdout
    assert "not interleaved" in one_line(ended.stdout)
    assert "not interleaved" in page_of(ended.stdout)


def test_turns_that_were_not_sound_are_counted(inside: Inside) -> None:
    unsound = [replace(each, valid=False) for each in turns(b=1000)[1:7]]
    inside.store("one", [*turns(a=1000), turns(b=1000)[0], *unsound])
    ended = inside("compare", "one/a", "one/b")
    assert ended.returncode == 0, ended.stderr
    assert "one, read · b: 6 of 7 turns were not sound and are in no figure" in ended.stdout
    assert "· a:" not in ended.stdout


def test_several_variants_of_a_run_are_compared_with_the_first_in_one_page(inside: Inside) -> None:
    inside.store("one", turns(a=1000, b=700, c=1001))
    ended = inside("compare", "one/a", "b", "c", "--run", "one")
    assert ended.returncode == 0, ended.stderr
    assert "not interleaved" not in ended.stdout
    assert "read: one/b against one/a" in ended.stdout
    page = page_of(ended.stdout)
    assert page.count("<h2") >= 2
    assert "one/b" in page
    assert "one/c" in page


def test_other_machines_are_compared_with_a_loud_warning(inside: Inside) -> None:
    inside.store("one", turns(a=1000))
    inside.store("two", turns(a=1000), machine={**manifest().machine, "cpu": "faster"})
    ended = inside("compare", "one", "two")
    assert ended.returncode == 0
    assert "DIFFERENT MACHINES: cpu" in ended.stdout


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (("one", "nowhere"), "neither a run under"),
        (("one", "one"), "compared with itself"),
        (("one", "other"), "nothing to compare"),
        (("one", "one/zebra"), "no variant 'zebra'"),
        (("one", "cut"), "damaged"),
        (("one", "old"), "has schema 6, this version reads 7"),
        (("one", "ladder"), "ladder climbed a ladder, the other took turns"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(
    inside: Inside, asked: tuple[str, str], why: str
) -> None:
    few = [turn("a", 100, number=n) for n in range(3)]
    inside.store("one", few)
    inside.store("other", [turn("z", 100)])
    inside.store("ladder", climbed("a"))
    cut = inside.store("cut", few) / "manifest.json"
    cut.write_bytes(cut.read_bytes()[:200])
    inside.store("old", few, schema_version=6)
    ended = inside("compare", *asked)
    assert ended.returncode == 2, ended.stdout
    assert why in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("pace", "code", "said", "failures"), [(700, 1, "worse", 1), (1001, 0, "the same", 0)]
)
def test_a_stored_run_is_judged_against_another(
    inside: Inside,
    monkeypatch: pytest.MonkeyPatch,
    pace: float,
    code: int,
    said: str,
    failures: int,
) -> None:
    # of many launches: the freeze of a few could not be told
    before = measured_turns({"a": Truth(1000)}, launches=12, rounds=10)
    after = measured_turns({"a": Truth(pace)}, launches=12, rounds=10, seed=2)
    inside.store("one", before)
    inside.store("two", after)
    junit, summary = inside.folder / "junit.xml", inside.folder / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    ended = inside("gate", "two", "--against", "one", "--junit", str(junit))
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert f"gate: {said}" in ended.stdout
    assert "a fresh launch" not in ended.stdout, "nothing was measured"
    suite = ET.parse(junit).getroot().find("testsuite")
    assert suite is not None
    assert suite.get("failures") == str(failures)
    assert summary.read_text().startswith("before\n## ")
    assert f"Performance gate: {said}" in summary.read_text()


@pytest.mark.parametrize(
    ("changes", "machine", "why"),
    [
        ({}, {"cores": 64}, "DIFFERENT MACHINES"),
        ({"rounds": 1, "launches": 1}, {}, "too few rounds"),
        ({"rounds": 3, "launches": 1}, {}, "give it more time"),
    ],
)
def test_what_cannot_be_decided_ends_with_four_and_says_why(
    inside: Inside, changes: dict[str, Any], machine: dict[str, Any], why: str
) -> None:
    inside.store("one", turns(a=1000))
    after = measured_turns({"a": Truth(1000)}, **changes)
    inside.store("two", after, machine={**manifest().machine, **machine})
    ended = inside("gate", "two", "--against", "one")
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert why in one_line(ended.stdout)


def test_a_run_of_which_nothing_was_sound_cannot_be_judged(inside: Inside) -> None:
    inside.store("one", turns(a=1000))
    inside.store("two", [turn("a", 900, number=n, valid=False, reasons=(LATE,)) for n in range(4)])
    ended = inside("gate", "two", "--against", "one")
    assert ended.returncode == 2
    assert "nothing to compare: read: no turn of a" in ended.stderr


def test_a_gate_needs_one_thing_to_measure_against(inside: Inside) -> None:
    for asked in ((), ("--base", "HEAD", "--against", "one")):
        ended = inside("gate", *asked)
        assert ended.returncode == 2
        assert "give one of --base REVISION and --base-env VERSIONS" in ended.stderr
    ended = inside("gate", "--base", "no-such-revision")
    assert ended.returncode == 2
    assert "no-such-revision" in ended.stderr


def test_without_the_history_no_run_is_kept_in_it(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncdb_bench.extensions.added", lambda _: {})
    ended = inside("gate", "--base", "HEAD", "--history")
    assert ended.returncode == 2
    assert "--history needs asyncdb_bench/extensions/history" in ended.stderr


def test_runs_are_imported_and_shown(inside: Inside) -> None:
    for day in range(1, 15):
        inside.store(
            f"run{day:02d}",
            measured_turns({"a": Truth(1000 if day < 8 else 700)}, launches=1, rounds=3, seed=day),
            started_at=f"2026-02-{day:02d}T01:00:00+00:00",
            git={"revision": f"rev{day}", "dirty": False},
            canary={"cpu_ms": 10.0 + day % 2 / 10, "loopback_us": 20.0},
        )
    ended = inside("history", "import")
    assert ended.returncode == 0, ended.stderr
    assert "imported 14 runs" in ended.stdout
    shown = inside("history")
    assert shown.returncode == 0, shown.stderr
    assert "rev7" in shown.stdout
    assert "rev8" in shown.stdout
    assert (inside.reports / "history" / "index.html").is_file()
    assert inside("history", "forget").returncode == 2
