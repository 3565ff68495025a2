"""An overload in the report: its row of the decision, its figure, its tables; also half of one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.step import Outage
from asyncdb_bench.report.document import Decision, Figure, Table
from asyncdb_bench.report.exports import summary_rows
from asyncdb_bench.report.sides import contrasts
from asyncdb_bench.report.write import Written
from tests.analysis.test_overload import OVERLOAD, POOR, STEADY, overload_turn
from tests.factories import manifest, paces
from tests.report.made import reported, without_figures

LONG = "native:pool=8,isolation=repeatable_read,autocommit=true,abandon=statement"


def made(root: Path, ways: Mapping[str, Sequence[float]], run_id: str = "r1") -> Written:
    """Report paces, and an overload of each way for each of its values."""
    plan = manifest(tuple(ways), ("beyond",), run_id=run_id)
    (asked,) = plan.plan.scenarios
    asked = replace(asked, overload=OVERLOAD, pace_only=True, work="2 x the pace")
    steps = paces({name: 500 + place for place, name in enumerate(ways)}, rounds=4)
    for name, own in ways.items():
        for place, kept in enumerate(own):
            turn = overload_turn(name, kept, 4 + place, 0.3 if kept > 0.5 else None)
            steps.append(replace(turn, outages=(Outage(1.2, None, 500),)))
    whole = replace(plan, plan=replace(plan.plan, scenarios=(asked,)))
    return reported(root, whole, [replace(each, scenario="beyond") for each in steps])


def table(written: Written, own: str) -> Table:
    (found,) = (
        each for each in written.document.walk() if isinstance(each, Table) and each.id == own
    )
    return found


def test_the_decision_says_what_each_answers_and_how_long_it_needs(tmp_path: Path) -> None:
    written = made(tmp_path, {LONG: STEADY, "executor": POOR})
    (decision,) = (each for each in written.document.walk() if isinstance(each, Decision))
    (choice,) = decision.choices
    assert choice.use == (LONG,)
    assert choice.because == (
        f"at 2 x its pace {LONG} answers 0.91 of it in time and is back after 0.3 s;"
        " executor 0.21, is not back within 4 s"
    )
    rows = table(written, "scenario-1-overload").rows
    assert [row.variant for row in rows] == [LONG, "executor"]
    assert [cell.text for cell in rows[1].cells[3:]] == ["1", "0.21", "0.21", "> 4"]
    assert rows[1].cells[2].note == "worse"
    (figure,) = (
        each
        for each in written.document.walk()
        if isinstance(each, Figure) and each.id == "scenario-1-overload-course"
    )
    assert "0.21 of its pace in it" in figure.alt
    page = written.path.read_text()
    svg = re.search(r'<figure[^>]*id="scenario-1-overload-course".*?</svg>', page, re.DOTALL)
    assert svg is not None
    # beside the lines, and no longer than a legend has room for
    assert f">{LONG[:33]}…<" in svg[0]
    assert LONG not in re.sub(r"<title>.*?</title>|aria-label=\"[^\"]*\"", "", svg[0])


def test_what_fails_in_an_overload_is_no_doubt_and_the_summary_has_its_figures(
    tmp_path: Path,
) -> None:
    with without_figures():
        written = made(tmp_path, {"native": STEADY, "executor": POOR})
    assert "without a right answer" not in written.path.read_text()
    assert written.sound
    rows = {row["variant"]: row for row in summary_rows(written.manifest, written.comparisons)}
    assert rows["executor"]["overload_during"] == pytest.approx(0.205)
    assert rows["executor"]["overload_recovery_s"] is None
    assert rows["native"]["overload_recovery_s"] == 0.3
    assert rows["native"]["goodput_share_low"] < rows["native"]["goodput_share"]
    assert rows["native"]["pace_rps"] == pytest.approx(500, rel=0.05)


def test_a_run_that_was_ended_in_the_first_round_ranks_nobody(tmp_path: Path) -> None:
    written = made(tmp_path, {"native": STEADY[:1], "executor": ()})
    (decision,) = (each for each in written.document.walk() if isinstance(each, Decision))
    assert decision.choices[0].use == ()
    rows = {row.variant: row for row in table(written, "scenario-1-overload").rows}
    assert rows["executor"].cells[1].note == "not overloaded"
    assert rows["native"].cells[4].text == "0.9"
    none = made(tmp_path / "none", {"native": (), "executor": ()})
    assert len(table(none, "scenario-1-overload").rows) == 2


def test_two_runs_are_compared_by_goodput_too(tmp_path: Path) -> None:
    with without_figures():
        made(tmp_path, {"native": STEADY, "executor": STEADY}, "20260101-000000-quick-aaa")
        made(tmp_path, {"native": POOR, "executor": STEADY}, "20260101-000000-quick-bbb")
    names = ("20260101-000000-quick-aaa", "20260101-000000-quick-bbb")
    (found,) = contrasts(names[0], [names[1]], "latest", tmp_path / "results")
    said = {
        (each.answer.other, each.answer.metric.name): each.answer
        for each in found.compared["beyond"]
    }
    ratio = said["native", "goodput_share"].ratio
    assert ratio is not None
    assert ratio.ratio == pytest.approx(0.24, abs=0.03)


def test_turns_that_say_nothing_are_named_with_what_to_do() -> None:
    for kind in (DoubtKind.NOT_OFFERED, DoubtKind.NOT_CALM, DoubtKind.NO_OVERLOAD):
        doubt = Doubt(kind, 100, 2, 0.5)
        assert doubt.remedy
        assert not doubt.breaking
