"""The page: right about what it knows, harmless whatever the names are."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.report.parts.environment import repeat_command
from asyncdb_bench.report.write import write
from tests.factories import LATE, end, manifest, step, turn
from tests.report.made import (
    NASTY,
    USUAL,
    at_loads,
    climbed,
    decision_of,
    of_truths,
    reported,
    stored,
    table,
)


def page_of(*args: Any) -> str:
    return reported(*args).path.read_text()


def test_a_report_is_one_whole_file_that_asks_for_nothing_and_is_the_same_again(
    tmp_path: Path,
) -> None:
    outcome = of_truths(tmp_path, USUAL)
    page = outcome.path.read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:|summary\.|junit\.xml")', page)
    assert "url(http" not in page
    assert "@import" not in page
    assert len(page) < 500_000
    assert (tmp_path / "reports" / "latest").resolve() == outcome.path.parent
    order = [
        page.index(f'id="{name}"')
        for name in ("decision", "scenario-1", "fairness", "doubts", "environment", "guide", "raw")
    ]
    assert order == sorted(order)
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) >= 3
    for figure in figures:
        (svg,) = re.findall(r"<svg.*</svg>", figure, re.DOTALL)
        assert len(ET.fromstring(svg).get("aria-label", "")) > 20
        assert figure.count("<tr") > 2
    (tmp_path / "again").mkdir()
    again = of_truths(tmp_path / "again", USUAL)
    assert again.path.read_text() == page


NAMES = (
    NASTY,
    "two\nlines\tand\x00nul",
    "\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "]]> -->{{ 7*7 }}",
    "$x^2$ & \\frac",
    "javascript:alert(1)",
    "long" * 60,
)


def test_any_name_gives_a_page_that_is_whole_and_harmless(tmp_path: Path) -> None:
    made = manifest((*NAMES, "native"), ("read", "<b>"))
    steps = at_loads(*NAMES, "native") + at_loads(NASTY, scenario="<b>")
    outcome = reported(tmp_path, made, steps)
    page = outcome.path.read_text()
    assert page.count("<script") == 1
    assert "</script>" not in page[: page.rindex("</script>")]
    assert NASTY not in page
    assert "&lt;script&gt;" in page
    assert "<b>" not in page
    assert "{{ 7*7 }}" in page
    assert "\x00" not in page
    for name in ("summary.md", "summary.csv", "junit.xml"):
        assert (outcome.path.parent / name).is_file()
    ET.fromstring((outcome.path.parent / "junit.xml").read_text())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', page)) <= set(ids)


def test_what_did_not_run_what_was_cut_short_and_what_is_invalid_are_named(tmp_path: Path) -> None:
    steps = [*at_loads("native"), turn("executor", 100, valid=False, reasons=(LATE,))]
    made = manifest(("native", "executor", "celery"), git={})
    page = page_of(tmp_path, made, steps, [end("native"), end("celery", failure="no broker here")])
    assert "not run, because no broker here" in page
    assert "incomplete" in page
    assert "1 of 3 trials" in page
    assert "send lag p50 9.0 ms" in page
    assert "not a git checkout" in page


def test_what_was_not_watched_and_who_is_missing_are_on_the_first_screen(tmp_path: Path) -> None:
    steps = [turn("native", 100, connections_peak=None), turn("native", 101, connections_peak=None)]
    unwatched = Doubt(DoubtKind.UNWATCHED, subject="permission denied for view")
    ends = [end("native", notes=(unwatched,)), end("celery", failure="no broker here")]
    outcome = reported(tmp_path, manifest(("native", "celery")), steps, ends)
    first = str(next(each for each in outcome.document.sections if each.id == "decision"))
    assert "celery: not run, because no broker here" in first
    assert "The database could not be watched (permission denied for view)" in first
    page = outcome.path.read_text()
    assert "equal and counted" not in page
    assert "budgets declared and not counted" in page


@pytest.mark.parametrize("steps", [[], [step("native", 100, p99=500)], [turn("native", 100)]])
def test_small_runs_have_a_report(tmp_path: Path, steps: list[Any]) -> None:
    assert page_of(tmp_path, manifest(), steps).rstrip().endswith("</html>")


def test_a_run_without_one_sound_turn_ranks_nothing(tmp_path: Path) -> None:
    bad = [
        turn(name, 100, number=n, valid=False, reasons=(LATE,))
        for name in ("native", "executor")
        for n in range(3)
    ]
    outcome = reported(tmp_path, manifest(), bad)
    assert not outcome.sound
    assert "no answer" in outcome.path.read_text()


def test_what_is_beyond_a_capacity_is_counted_and_long_lists_are_cut(tmp_path: Path) -> None:
    drifting = [
        replace(each, steady=False, drift=2.125, step=each.step + n)
        for n, each in enumerate(climbed("native", "executor") * 4)
    ]
    page = page_of(tmp_path, manifest(), drifting)
    doubts = page[page.index('id="doubts"') : page.index('id="environment"')]
    assert "and 10 more" in doubts
    assert "8 steps beyond the capacity" in doubts


def test_the_repeat_command_asks_for_the_same_again() -> None:
    profiles = read_profiles()
    asked = {"strategies": "native,native,executor:threads=4", "scenarios": "slow:ms=20", "seed": 7}
    plan = make_plan(Choices("quick", **asked), profiles)  # type: ignore[arg-type]
    words = repeat_command(manifest(plan=plan, seed=7)).split()
    given = dict(zip(words[2::2], words[3::2], strict=True))
    again = Choices(
        given["--profile"], given["--strategy"], given["--scenario"], int(given["--seed"])
    )
    assert make_plan(again, profiles) == plan


def test_an_invalid_step_is_hatched_and_joined_to_nothing(tmp_path: Path) -> None:
    steps = [step("native", load, p99=20) for load in (100, 200)]
    bad = step("native", 400, p99=7777, valid=False, reasons=(LATE,))
    page = page_of(tmp_path, manifest(("native",)), [*steps, bad])
    latency = next(f for f in re.findall(r"<figure.*?</figure>", page, re.DOTALL) if "knee" in f)
    assert (
        "INVALID: native at 400/s: p99 7,777 ms: the load generator sent late: send lag p50 9.0 ms"
        in latency
    )
    titles = re.findall(r"<title>(native at[^<]*)", latency)
    # p99, p50 and, in the panel below, loop lag, of two loads
    assert len(titles) == 6
    assert not any("400/s" in title for title in titles)
    assert "<pattern" in latency


def test_a_ladder_shows_capacities_ratios_and_who_did_not_run(tmp_path: Path) -> None:
    made = manifest(("native", "executor", "blocking", "celery"))
    steps = [
        step(name, load, p99=20 if load <= top else 400, block=launch)
        for name, top in (("native", 400), ("executor", 400), ("blocking", 100))
        for load in (100, 200, 400, 800)
        for launch in range(3)
    ]
    outcome = reported(tmp_path, made, steps, [end("celery", failure="no broker here")])
    found = table(outcome, "scenario-1-table")
    cells = {row.variant: row.cells for row in found.rows}
    assert len(found.columns) <= 6
    assert cells["celery"][1].note == "not run, because no broker here"
    assert cells["blocking"][2].note == "worse"
    assert cells["executor"][2].note == "not known", "two rungs apart is all that is known"
    (choice,) = decision_of(outcome).choices
    assert choice.use == ()
    assert "(blocking slower)" in choice.answer


def test_a_hundred_variants_have_a_report_of_a_bearable_size(tmp_path: Path) -> None:
    names = tuple(f"native:pool={n}" for n in range(1, 101))
    steps = [turn(name, 100 + n, number=r) for r in range(2) for n, name in enumerate(names)]
    outcome = reported(tmp_path, manifest(names), steps)
    page = outcome.path.read_text()
    assert len(page) < 3_000_000
    assert "more" in page
    assert outcome.document.compared[0].pairs == {}
    assert "native:pool=100" in page


@pytest.mark.parametrize("name", ["requests", "series"])
def test_a_table_cut_in_half_is_named_and_the_rest_is_reported(tmp_path: Path, name: str) -> None:
    steps = climbed("native", "executor")
    folder = stored(tmp_path, manifest(), steps)
    rows = {"trial": [steps[1].trial] * 9, "step": [steps[1].step] * 9}
    folder.add_rows(name, rows)
    folder.flush_rows()
    folder.merge_parts()
    whole = folder.path / f"{name}.parquet"
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    page = write(folder, tmp_path / "reports").path.read_text()
    assert f"{name}.parquet is damaged" in page
    assert "200/s" in page


def test_figures_are_written_as_files_where_asked_for(tmp_path: Path) -> None:
    made = manifest(scenarios=("read", "a/b"))
    folder = stored(tmp_path, made, at_loads("native") + at_loads("native", scenario="a/b"))
    outcome = write(folder, tmp_path / "reports")
    assert not (outcome.path.parent / "figures").exists()
    write(folder, tmp_path / "reports", figure_files=True)
    figures = outcome.path.parent / "figures"
    files = {path.name for path in figures.iterdir()}
    assert {"read.latency.png", "read.latency.svg", "a-b.where.svg"} <= files
    assert (figures / "read.latency.png").read_bytes().startswith(b"\x89PNG")
    ET.parse(figures / "read.latency.svg")
