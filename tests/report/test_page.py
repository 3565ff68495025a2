"""The page: right about what it knows, harmless whatever the names are."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from asyncdb_bench import report
from asyncdb_bench.records import run_folder as store
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from tests.factories import LATE, end, manifest, step

NASTY = "<script>alert(\"x\")</script> & 'q'"


def written(
    tmp_path: Path, made: Any, steps: list[Any], ends: list[Any] | None = None
) -> tuple[str, Any]:
    folder = store.make_run_folder(tmp_path / "results", made.run_id)
    folder.write_manifest(made)
    for each in steps:
        folder.append_step(each)
    for each in ends or []:
        folder.append_trial(each)
    outcome = report.write(folder, tmp_path / "reports")
    return outcome.path.read_text(), outcome


def usual_steps(*variants: str, scenario: str = "read") -> list[Any]:
    return [
        step(name, load, p99=20 if load < 300 else 400, scenario=scenario)
        for name in variants
        for load in (100, 200, 300)
    ]


def test_a_report_is_one_file_that_asks_for_nothing(tmp_path: Path) -> None:
    page, outcome = written(tmp_path, manifest(), usual_steps("native", "executor"))
    assert page.count("<svg") == 3
    assert not re.findall(r'(?:src|href)="(?!#|data:|summary\.|junit\.xml")', page)
    assert "url(http" not in page
    assert "@import" not in page
    assert len(page) < 500_000
    assert (tmp_path / "reports" / "latest").resolve() == outcome.path.parent


def test_the_verdict_comes_first(tmp_path: Path) -> None:
    page, _ = written(tmp_path, manifest(), usual_steps("native", "executor"))
    order = [
        page.index(f'id="{name}"')
        for name in ("decision", "scenario-1", "fairness", "doubts", "environment", "guide", "raw")
    ]
    assert order == sorted(order)


def test_names_from_data_are_escaped_in_page_and_figures(tmp_path: Path) -> None:
    made = manifest((NASTY, "native"), ("read", "<b>"))
    page, _ = written(
        tmp_path, made, usual_steps(NASTY, "native") + usual_steps(NASTY, scenario="<b>")
    )
    assert page.count("<script") == 1
    assert NASTY not in page
    assert "<b>" not in page
    assert "</script>" not in page[: page.rindex("</script>")]
    assert "&lt;script&gt;" in page


def test_ids_are_unique_in_the_page_and_every_reference_has_its_target(tmp_path: Path) -> None:
    made = manifest(scenarios=("read", "slow"))
    steps = usual_steps("native", "executor") + usual_steps("native", "executor", scenario="slow")
    page, _ = written(tmp_path, made, steps)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', page))
    assert targets <= set(ids)


def test_a_variant_that_did_not_run_is_shown_with_its_reason(tmp_path: Path) -> None:
    made = manifest(("native", "celery"))
    page, _ = written(
        tmp_path, made, usual_steps("native"), [end("celery", failure="no broker here")]
    )
    assert "not run, because no broker here" in page


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    page, _ = written(tmp_path, manifest(), usual_steps("native"), [end("native")])
    assert "incomplete" in page
    assert "1 of 2 trials" in page


def test_an_invalid_step_is_named(tmp_path: Path) -> None:
    steps = [
        *usual_steps("native"),
        step("executor", 100, valid=False, reasons=(LATE,)),
    ]
    page, _ = written(tmp_path, manifest(), steps)
    assert "send lag p50 9.0 ms" in page


@pytest.mark.parametrize("steps", [[], [step("native", 100, p99=500)], [step("native", 100)]])
def test_small_runs_have_a_report(tmp_path: Path, steps: list[Any]) -> None:
    page, _ = written(tmp_path, manifest(), steps)
    assert page.rstrip().endswith("</html>")


def test_what_is_beyond_a_capacity_is_folded_and_long_lists_are_cut(tmp_path: Path) -> None:
    steps = usual_steps("native", "executor")
    drifting = [
        replace(each, steady=False, drift=2.125, step=each.step + n)
        for n, each in enumerate(steps * 4)
    ]
    page, _ = written(tmp_path, manifest(), drifting)
    doubts = page[page.index('id="doubts"') : page.index('id="environment"')]
    assert "and 10 more steps" in doubts
    assert "8 steps beyond the capacity" in doubts
    assert doubts.count("2.1 x the first's") + doubts.count("2.1 x the first&#39;s") == 24


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    page, outcome = written(tmp_path, manifest(), usual_steps("native", "executor"))
    again = report.write(
        store.RunFolder(tmp_path / "results" / manifest().run_id), tmp_path / "reports"
    )
    assert again.path == outcome.path
    assert again.path.read_text() == page


def test_the_repeat_command_asks_for_the_same_again() -> None:
    from asyncdb_bench.plan.planner import make_plan
    from asyncdb_bench.plan.profiles import read_profiles
    from asyncdb_bench.plan.request import Choices
    from asyncdb_bench.report.parts.around import repeat_command

    profiles = read_profiles()
    asked = {"strategies": "native,native,executor:threads=4", "scenarios": "slow:ms=20", "seed": 7}
    plan = make_plan(Choices("quick", **asked), profiles)  # type: ignore[arg-type]
    words = repeat_command(manifest(plan=plan, seed=7)).split()
    given = dict(zip(words[2::2], words[3::2], strict=True))
    again = Choices(
        given["--profile"], given["--strategy"], given["--scenario"], int(given["--seed"])
    )
    assert make_plan(again, profiles) == plan


def test_a_run_outside_of_git_has_a_report(tmp_path: Path) -> None:
    page, _ = written(tmp_path, manifest(git={}), usual_steps("native"))
    assert "not a git checkout" in page


def test_a_step_that_was_offered_again_counts_for_nothing_and_is_said(tmp_path: Path) -> None:
    first = step(
        "native", 100, valid=False, reasons=(Doubt(DoubtKind.STEAL, 0.4, 0.15),), repeated=True
    )
    again = replace(step("native", 100), step=101)
    page, outcome = written(tmp_path, manifest(("native",)), [first, again, step("native", 200)])
    assert "Offered again" in page
    assert "the hypervisor took 40%" in page
    assert "Invalid steps:" not in page
    assert outcome.verdicts[0].sound


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
    page, outcome = written(tmp_path, manifest((*NAMES, "native")), usual_steps(*NAMES, "native"))
    assert page.count("<script") == 1
    words = re.sub(r"<svg.*?</svg>", "", page.split("<main>")[1], flags=re.DOTALL)
    assert "49" not in words[:3000].replace("{{ 7*7 }}", "")
    assert "{{ 7*7 }}" in page
    assert "\x00" not in page
    for name in ("summary.md", "summary.csv", "junit.xml"):
        assert (outcome.path.parent / name).is_file()
    ET.fromstring((outcome.path.parent / "junit.xml").read_text())


def test_every_figure_is_whole_xml_with_words_and_data(tmp_path: Path) -> None:
    page, _ = written(tmp_path, manifest(), usual_steps("native", "executor"))
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) == 3
    for figure in figures:
        (svg,) = re.findall(r"<svg.*</svg>", figure, re.DOTALL)
        assert len(ET.fromstring(svg).get("aria-label", "")) > 20
        assert figure.count("<tr") > 2
    assert "<title>native, block 1: 200/s</title>" in page


def test_an_invalid_step_is_hatched_and_joined_to_nothing(tmp_path: Path) -> None:
    steps = [step("native", load, p99=20) for load in (100, 200)]
    bad = step("native", 400, p99=7777, valid=False, reasons=(LATE,))
    page, _ = written(tmp_path, manifest(("native",)), [*steps, bad])
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
    assert "invalid: the load generator sent late: send lag p50 9.0 ms" in latency


def test_a_scenario_shows_ties_ratios_and_who_did_not_run(tmp_path: Path) -> None:
    made = manifest(("native", "executor", "blocking", "celery"))
    steps = [
        step(name, load, p99=20 if load <= top else 400)
        for name, top in (("native", 400), ("executor", 400), ("blocking", 100))
        for load in (100, 200, 400, 800)
    ]
    _, outcome = written(tmp_path, made, steps, [end("celery", failure="no broker here")])
    (table,) = [
        each for each in outcome.document.walk() if getattr(each, "id", "") == "scenario-1-table"
    ]
    cells = {row.variant: row.cells for row in table.rows}
    assert len(table.columns) <= 6
    assert cells["native"][2].text == cells["executor"][2].text == "level"
    assert cells["blocking"][2].text == "25%"
    assert cells["celery"][1].note == "not run, because no broker here"
    (choice,) = outcome.document.sections[0].blocks[0].choices
    assert set(choice.use) == {"native", "executor"}
    assert choice.sure == "not known"
    assert "blocking 0.25 x" in choice.because


def test_a_hundred_variants_have_a_report_of_a_bearable_size(tmp_path: Path) -> None:
    names = tuple(f"native:pool={n}" for n in range(1, 101))
    page, outcome = written(tmp_path, manifest(names), usual_steps(*names))
    assert len(page) < 3_000_000
    assert len(re.findall(r"… and 8\d more", page)) >= 1
    assert len(outcome.document.compared[0].pairs) == 0
    assert "native:pool=100" in page


def test_a_run_without_one_sound_step_says_so(tmp_path: Path) -> None:
    bad = [
        step(name, load, valid=False, reasons=(LATE,))
        for name in ("native", "executor")
        for load in (100, 200)
    ]
    page, outcome = written(tmp_path, manifest(), bad)
    assert "nothing is ranked" in page or "no variant" in page
    assert not outcome.sound


@pytest.mark.parametrize("table", ["requests", "series"])
def test_a_table_cut_in_half_is_named_and_the_rest_is_reported(tmp_path: Path, table: str) -> None:
    made = manifest()
    folder = store.make_run_folder(tmp_path / "results", made.run_id)
    folder.write_manifest(made)
    for each in usual_steps("native", "executor"):
        folder.append_step(each)
    columns = {"trial": ["native-read-0"] * 9, "step": [200] * 9}
    folder.write_part(table, "a", columns)
    folder.merge_parts()
    whole = folder.path / f"{table}.parquet"
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    page = report.write(folder, tmp_path / "reports").path.read_text()
    assert f"{table}.parquet is damaged" in page
    assert "it carries 200/s" in page


def test_figures_are_written_as_files_where_asked_for(tmp_path: Path) -> None:
    made = manifest(scenarios=("read", "a/b"))
    steps = usual_steps("native", "executor") + usual_steps("native", scenario="a/b")
    _, outcome = written(tmp_path, made, steps)
    assert not (outcome.path.parent / "figures").exists()
    folder = store.RunFolder(tmp_path / "results" / made.run_id)
    report.write(folder, tmp_path / "reports", figure_files=True)
    files = sorted(path.name for path in (outcome.path.parent / "figures").iterdir())
    assert {"read.latency.png", "read.latency.svg", "a-b.where.svg"} <= set(files)
    latency = outcome.path.parent / "figures" / "read.latency.png"
    assert latency.read_bytes().startswith(b"\x89PNG")
    ET.parse(latency.with_suffix(".svg"))
