"""Comparisons, gates and the history -> HTML pages, and what of the history others read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from asyncdb_bench.records.atomic_files import write_text
from asyncdb_bench.records.history_file import HistoryRun
from asyncdb_bench.regression.change_points import FigureSeries
from asyncdb_bench.regression.decision import GateResult
from asyncdb_bench.regression.documents import (
    comparison_document,
    gate_document,
    history_document,
)
from asyncdb_bench.regression.sides import Contrast
from asyncdb_bench.regression.trend import badge, trend_rows, weekly
from asyncdb_bench.regression.wording import compared_rows, decision_rows
from asyncdb_bench.report.axes import Drawing
from asyncdb_bench.report.figures.ratios import forest_figure
from asyncdb_bench.report.figures.series_line import history_line
from asyncdb_bench.report.renderers.html import render_html

SAME = 0.05
"""Of the band of a comparison: within it two are the same."""
UNITS = {
    "capacity_rps": "1/s",
    "pace_rps": "1/s",
    "canary_cpu_ms": "ms",
    "canary_loopback_us": "µs",
}


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
    drawings = {
        str(place): _known(
            {
                scenario: forest_figure(compared_rows(rows), f"{scenario}-{place}", 1 + SAME)
                for scenario, rows in each.compared.items()
            }
        )
        for place, each in enumerate(contrasts, start=1)
    }
    return render_html(comparison_document(contrasts), drawings)


def render_gate(result: GateResult, *, has_report: bool) -> str:
    """Return a gate's result as one self-contained HTML page.

    Parameters
    ----------
    result : the decisions.
    has_report : whether the run's own report lies beside it.
    """
    names = dict.fromkeys(each.scenario for each in result.decisions)
    band = 1 + result.rules.least
    drawn = {
        name: forest_figure(
            decision_rows([each for each in result.decisions if each.scenario == name]), name, band
        )
        for name in names
    }
    return render_html(gate_document(result, has_report=has_report), {"": _known(drawn)})


def _known(drawn: Mapping[str, Drawing | None]) -> dict[str, Drawing]:
    return {name: made for name, made in drawn.items() if made is not None}


def write_history(
    runs: Sequence[HistoryRun],
    series: Sequence[FigureSeries],
    warnings: Sequence[str],
    reports: Path,
) -> Path:
    """Write the page of the history and return where it is.

    Beside it lie ``badge.svg`` for a README, ``trend.json`` for other programs and ``weekly.md``.

    Raises
    ------
    StoreError : not writable.
    """
    path = reports / "history" / "index.html"
    drawings = [_drawn(each, place) for place, each in enumerate(series)]
    document = history_document(runs, series, warnings, drawings)
    by_place = {str(place): made for place, made in enumerate(drawings)}
    write_text(path, render_html(document, {"series": by_place}))
    write_text(path.with_name("badge.svg"), badge(series))
    rows = json.dumps(trend_rows(runs, series), indent=1)
    write_text(path.with_name("trend.json"), f"{rows}\n")
    write_text(path.with_name("weekly.md"), weekly(runs, series))
    return path


def _drawn(series: FigureSeries, place: int) -> Drawing:
    unit = UNITS.get(series.figure.split(" ")[0], "ms")
    changes = [(change.at, change.machine) for change in series.changes]
    counted = f"{len(changes)} change points" if changes else "no change point"
    words = f"{series.title} over {len(series.values)} runs, {unit}; {counted}"
    return history_line(series.values, changes, unit, words, f"series-{place}")
