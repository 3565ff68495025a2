"""Comparisons, gates and the history -> HTML pages. Computes nothing; escapes everything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from asyncdb_bench.records.atomic_files import write_text
from asyncdb_bench.records.history_file import HistoryRun
from asyncdb_bench.regression.change_points import FigureSeries, why
from asyncdb_bench.regression.decision import GateResult
from asyncdb_bench.regression.effects import TIE
from asyncdb_bench.regression.exports import SENTENCES
from asyncdb_bench.regression.sides import Contrast
from asyncdb_bench.regression.wording import (
    decision_rows,
    decision_words,
    effect_rows,
    effect_words,
)
from asyncdb_bench.report.drawing import Drawing, svg_markup
from asyncdb_bench.report.figures.forest import forest_figure
from asyncdb_bench.report.figures.series_line import history_line
from asyncdb_bench.report.page import templates
from asyncdb_bench.text import percent, probability, signed

UNITS = {
    "capacity_rps": "1/s",
    "pace_rps": "1/s",
    "canary_cpu_ms": "ms",
    "canary_loopback_us": "µs",
}
FILTERS = {
    "percent": percent,
    "signed": signed,
    "probability": probability,
    "svg": svg_markup,
}


def _rendered(template: str, **values: object) -> str:
    environment = templates()
    environment.filters |= FILTERS
    return environment.get_template(template).render(**values)


def write_comparison(contrasts: Sequence[Contrast], reports: Path) -> Path:
    """Write the page of a comparison and return where it is.

    Parameters
    ----------
    contrasts : of one base with one head or more.
    reports : the folder of reports.

    Raises
    ------
    StoreError : not writable.
    """
    heads = "-".join(each.head for each in contrasts)
    name = re.sub(r"[^A-Za-z0-9._=-]+", "_", f"compare-{contrasts[0].base}-{heads}")[:150]
    path = reports / name / "index.html"
    write_text(path, render_comparison(contrasts))
    return path


def render_comparison(contrasts: Sequence[Contrast]) -> str:
    """Return a comparison as one self-contained HTML page."""
    figures = [
        {
            scenario: forest_figure(effect_rows(effects), f"{scenario}-{place}", 1 + TIE)
            for scenario, effects in each.effects.items()
        }
        for place, each in enumerate(contrasts)
    ]
    return _rendered("compare.html.j2", contrasts=contrasts, figures=figures, words=effect_words)


def render_gate(result: GateResult, *, has_report: bool) -> str:
    """Return a gate's result as one self-contained HTML page.

    Parameters
    ----------
    result : the decisions.
    has_report : whether the run's own report lies beside it.
    """
    by_scenario = {
        name: [each for each in result.decisions if each.scenario == name]
        for name in dict.fromkeys(each.scenario for each in result.decisions)
    }
    band = 1 + result.rules.least
    return _rendered(
        "gate.html.j2",
        result=result,
        by_scenario=by_scenario,
        figures={n: forest_figure(decision_rows(own), n, band) for n, own in by_scenario.items()},
        sentence=SENTENCES[result.verdict],
        words=decision_words,
        has_report=has_report,
    )


def write_history(
    runs: Sequence[HistoryRun],
    series: Sequence[FigureSeries],
    warnings: Sequence[str],
    reports: Path,
) -> Path:
    """Write the page of the history and return where it is.

    Raises
    ------
    StoreError : not writable.
    """
    path = reports / "history" / "index.html"
    page = _rendered(
        "history.html.j2",
        runs=runs,
        series=[(each, _drawn(each, place)) for place, each in enumerate(series)],
        warnings=warnings,
        why=why,
        changed=[each for each in series if each.changes],
        machines=sorted({run.machine for run in runs}),
    )
    write_text(path, page)
    return path


def _drawn(series: FigureSeries, place: int) -> Drawing:
    unit = UNITS.get(series.figure, "ms")
    changes = [(change.at, change.machine) for change in series.changes]
    counted = f"{len(changes)} change points" if changes else "no change point"
    words = f"{series.title} over {len(series.values)} runs, {unit}; {counted}"
    return history_line(series.values, changes, unit, words, f"series-{place}")
