"""The page as data: one figure one text, four renderers that agree, short enough to be read."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from asyncdb_bench.report.document import Decision, Document, Figure, Fold, Table
from asyncdb_bench.report.exports import read_json, render_json
from asyncdb_bench.report.renderers import (
    MOST_LINES,
    render_markdown,
    render_summary,
    render_terminal,
)
from asyncdb_bench.report.write import Written
from asyncdb_bench.text import markdown_cell
from tests.command_line import ROOT
from tests.factories import LATE, end, manifest
from tests.report.made import NASTY, at_loads, fold, reported, without_figures


def figures_by_key(document: Document) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for table in (each for each in document.walk() if isinstance(each, Table)):
        for cell in (cell for row in table.rows for cell in row.cells if cell.key):
            found.setdefault(cell.key, set()).add(cell.text)
    return found


FLOAT = re.compile(r"-?\d+\.\d{5,}(?:e[+-]?\d+)?")


def rounded(text: str) -> str:
    """Return a text with its long numbers rounded to what could be shown.

    The last bits of a fit are a processor's own.
    """
    return FLOAT.sub(lambda found: f"{float(found[0]):.4g}", text)


def words_of(text: str) -> str:
    """Return a text without its figures, whose coordinates are a platform's own."""
    return rounded(re.sub(r"<svg .*?</svg>", "", text, flags=re.DOTALL))


@pytest.mark.parametrize(
    "name", ["index.html", "document.json", "summary.md", "summary.csv", "junit.xml"]
)
def test_the_committed_report_is_what_its_data_say(reference: Written, name: str) -> None:
    made = reference.path.with_name(name).read_text()
    committed = (ROOT / "reports" / "reference" / name).read_text()
    assert words_of(made) == words_of(committed), (
        "run: bench.py report reference; it writes the page again from its data"
    )


def test_a_document_is_read_back_as_it_was(reference: Written) -> None:
    assert read_json(render_json(reference.document)) == reference.document


def test_a_figure_has_one_text_wherever_it_stands(reference: Written) -> None:
    found = figures_by_key(reference.document)
    assert len(found) > 100
    assert {key: texts for key, texts in found.items() if len(texts) > 1} == {}


def test_no_table_of_the_first_two_layers_is_wider_than_six_columns(reference: Written) -> None:
    for section in reference.document.sections:
        for part in (each for each in section.blocks if isinstance(each, Fold)):
            own = [each for each in part.blocks if isinstance(each, Table)]
            if section.scenario:
                assert len(own) == 1
                assert len([each for each in part.blocks if isinstance(each, Figure)]) == 1
                assert len(own[0].columns) <= 6


def test_ids_are_unique(reference: Written) -> None:
    ids = [each.id for each in reference.document.walk() if hasattr(each, "id")]
    ids += [each.id for each in reference.document.sections]
    assert len(ids) == len(set(ids))


def test_the_four_renderers_say_the_same(reference: Written) -> None:
    document = reference.document
    (decision,) = [each for each in document.walk() if isinstance(each, Decision)]
    out = io.StringIO()
    console = Console(file=out, width=400)
    for each in render_terminal(document):
        console.print(each)
    html = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", reference.path.read_text()))
    texts = {
        "terminal": re.sub(r"\s+", " ", out.getvalue()),
        "markdown": render_markdown(document),
        "summary": render_summary(document, "index.html"),
        "html": html,
        "json": render_json(document),
    }
    for name, text in texts.items():
        assert decision.whole in text, name
        for choice in decision.choices:
            assert choice.because in text, (name, choice.because)
            assert choice.costs in text, (name, choice.costs)
            assert str(choice.sure) in text, name


def test_the_whole_as_markdown_has_every_table_and_fold(reference: Written) -> None:
    text = render_markdown(reference.document)
    blocks = list(reference.document.walk())
    assert [
        each.title for each in blocks if isinstance(each, Fold) and each.title not in text
    ] == []
    tables = [each for each in blocks if isinstance(each, Table | Decision)]
    assert len(re.findall(r"^\|(?:---:?\|)+$", text, re.MULTILINE)) == len(tables)
    firsts = [each.rows[0].cells[0].text for each in tables if isinstance(each, Table)]
    assert [each for each in firsts if f"\n| {markdown_cell(each)}" not in text] == []


def test_a_summary_fits_a_pull_request(reference: Written, tmp_path: Path) -> None:
    text = (reference.path.parent / "summary.md").read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert "| your requests | use | because |" in text
    assert "What to doubt:" in text
    assert "[The report](index.html)" in text
    names = tuple(f"scenario {n}" for n in range(12))
    made = manifest(("native", NASTY), names)
    steps = [each for name in names for each in at_loads("native", NASTY, scenario=name)]
    with without_figures():
        outcome = reported(tmp_path, made, steps, [end("native")])
    many = (outcome.path.parent / "summary.md").read_text()
    assert len(many.splitlines()) <= MOST_LINES
    assert "… and more in the report." in many
    assert "incomplete" in many
    assert "<script>" not in many


def test_what_is_well_is_a_line_and_what_is_not_opens_by_itself(tmp_path: Path) -> None:
    steps = at_loads("native", "executor")
    ends = [end("native"), end("executor")]
    well = reported(tmp_path / "well", manifest(), steps, ends)
    assert not fold(well, "fairness").opened
    assert fold(well, "fairness").line == "budgets equal and counted: 2 of 2"
    assert not fold(well, "doubts").opened
    assert fold(well, "doubts").line == "10 turns sound, none failed"
    over = [replace(steps[0], connections_peak=99, valid=False, reasons=(LATE,)), *steps[1:]]
    ill = reported(tmp_path / "ill", manifest(), over, ends)
    assert fold(ill, "fairness").opened
    assert fold(ill, "fairness").line == "budgets equal and counted: 1 of 2"
    assert fold(ill, "doubts").opened
    assert fold(ill, "doubts").line.startswith("1 of 10 turns invalid")
