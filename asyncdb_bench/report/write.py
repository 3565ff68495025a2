"""From a run's folder to its report: read, analyse, decide, draw, write."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from asyncdb_bench.analysis.advice import Advising, make_advising
from asyncdb_bench.analysis.comparison import Comparison, compare_scenarios
from asyncdb_bench.analysis.curves import COLUMNS, SERIES, courses, percentile_curves
from asyncdb_bench.analysis.decision import placed
from asyncdb_bench.analysis.knob_curve import knob_curves
from asyncdb_bench.analysis.pace_map import PaceMap, make_pace_map
from asyncdb_bench.analysis.resources import steps_compared
from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.analysis.values import standing
from asyncdb_bench.analysis.verdict import Verdict, decide
from asyncdb_bench.errors import StoreError
from asyncdb_bench.records.files import write_bytes, write_text
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.run_folder import RunFolder, point_latest
from asyncdb_bench.report import exports
from asyncdb_bench.report.document import Document
from asyncdb_bench.report.findings import Analysed, Figures, Findings, earlier_paces

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Written:
    """A report: where it is and what it says."""

    path: Path
    manifest: Manifest
    comparisons: tuple[Comparison, ...]
    verdicts: tuple[Verdict, ...]
    document: Document
    pace_map: PaceMap | None = None

    @property
    def sound(self) -> bool:
        """Whether every verdict is, and whether there is any, or a map."""
        cells = {each.label for each in self.manifest.plan.scenarios if each.aside}
        others = [each.sound for each in self.verdicts if each.scenario not in cells]
        return all(others) and bool(others or self.pace_map)


def analysed(folder: RunFolder) -> Analysed:
    """Read a run and compare its scenarios.

    Raises
    ------
    StoreError : the run cannot be read.
    """
    manifest = folder.manifest()
    ends = [end for end in folder.trials() if end.purpose == "measure"]
    offered = [step for step in folder.steps() if step.purpose == "measure"]
    records = standing(offered, ends)
    comparisons = tuple(compare_scenarios(manifest, ends, records))
    return Analysed(manifest, ends, offered, records, steps_table(records, ends), comparisons)


def write(folder: RunFolder, reports: Path, *, figure_files: bool = False) -> Written:
    """Write the report of a run, and its summaries.

    ``summary.json`` goes into the run's own folder; ``index.html``, ``document.json``,
    ``summary.md``, ``summary.csv`` and ``junit.xml`` into the report's.

    Parameters
    ----------
    folder : the run.
    reports : the folder of reports.
    figure_files : whether each figure is written as PNG and SVG, too, under ``figures/``.

    Raises
    ------
    StoreError : the run cannot be read or the report cannot be written.
    """
    from asyncdb_bench.report.figures import draw_figures
    from asyncdb_bench.report.parts import make_document
    from asyncdb_bench.report.parts.maps import map_document
    from asyncdb_bench.report.renderers import render_html, render_markdown, render_summary

    found = analysed(folder)
    manifest, records, comparisons = found.manifest, found.records, found.comparisons
    verdicts = tuple(decided(manifest, comparisons))
    cells = {each.label for each in manifest.plan.scenarios if each.aside}
    wanted = {
        (step.trial, step.step): (each.scenario, variant)
        for each in comparisons
        if each.scenario not in cells
        for variant, own in steps_compared(records, each).items()
        for step in own
    }
    damage: list[str] = []
    curves = _readable(
        damage, lambda: percentile_curves(folder.tables("requests", COLUMNS), wanted)
    )
    felt = _readable(damage, lambda: courses(folder.tables("series", SERIES), wanted))
    plan = manifest.plan
    connections = plan.settings.connections
    curves_over = {
        each.scenario: knob_curves(plan.variants, each, connections) for each in comparisons
    }
    pace_map = make_pace_map(plan.scenarios, comparisons, plan.variants, plan.settings)
    figures = draw_figures(manifest, comparisons, curves, curves_over, felt, pace_map)
    findings = Findings(
        *(getattr(found, each.name) for each in fields(found)),
        verdicts=verdicts,
        curves_over=curves_over,
        recorded=folder.recorded(),
        earlier=earlier_paces(folder, manifest),
        damage=tuple(damage),
        pace_map=pace_map,
        figures=figures,
    )
    document = make_document(findings)
    target = reports / folder.run_id / "index.html"
    write_text(target, render_html(document, figures))
    write_text(target.with_name("document.json"), exports.render_json(document))
    write_text(target.with_name("summary.md"), render_summary(document, "index.html"))
    if pace_map is not None:
        text = render_markdown(map_document(pace_map, manifest))
        write_text(target.with_name("map.md"), text)
    rows = exports.summary_rows(manifest, comparisons)
    folder.write_summary(rows)
    write_text(target.with_name("summary.csv"), exports.as_csv(rows))
    write_text(target.with_name("junit.xml"), exports.as_junit(manifest, comparisons))
    if figure_files:
        write_figures(target.with_name("figures"), figures)
    point_latest(reports, folder.run_id)
    return Written(target, manifest, comparisons, verdicts, document, pace_map)


def known_cases(folder: RunFolder) -> Advising:
    """Return what a run knows of cases of the reader's own.

    Raises
    ------
    StoreError : the run cannot be read.
    """
    found = analysed(folder)
    return make_advising(found.manifest.plan, found.comparisons)


def decided(manifest: Manifest, comparisons: Sequence[Comparison]) -> list[Verdict]:
    """Return the verdicts, which say how far away the database was."""
    asked = {each.label: each for each in manifest.plan.scenarios}
    return [placed(decide(each), asked[each.scenario], each) for each in comparisons]


def _readable(damage: list[str], read: Callable[[], dict[Any, T]]) -> dict[Any, T]:
    """Return what is read, or nothing and a note of the damage: the steps stand without it."""
    try:
        return read()
    except StoreError as error:
        damage.append(str(error))
        return {}


def write_figures(folder: Path, figures: Figures) -> None:
    """Write every figure as PNG and as SVG, named after scenario and figure."""
    from asyncdb_bench.report.axes import png

    taken: set[str] = set()
    for scenario, drawn in figures.items():
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", scenario).strip("-.") or "scenario"
        while base in taken:
            base += "-"
        taken.add(base)
        for name, made in drawn.items():
            write_text(folder / f"{base}.{name}.svg", made.svg)
            write_bytes(folder / f"{base}.{name}.png", png(made))
