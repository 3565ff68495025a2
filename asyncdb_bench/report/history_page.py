"""The history -> one HTML page: every series, its change points, the revisions around each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from asyncdb_bench.drift import NightSeries, why
from asyncdb_bench.nights import NightRow
from asyncdb_bench.report.compare_page import percent, probability, signed
from asyncdb_bench.report.drawing import COLOURS, STYLE, Drawing, drawing, svg_markup
from asyncdb_bench.report.page import templates
from asyncdb_bench.store import write_text

UNITS = {
    "capacity_rps": "1/s",
    "canary_cpu_ms": "ms",
    "canary_loopback_us": "µs",
}


def write_history(
    nights: Sequence[NightRow],
    series: Sequence[NightSeries],
    warnings: Sequence[str],
    reports: Path,
) -> Path:
    """Write the page and return where it is.

    Raises
    ------
    StoreError : not writable.
    """
    environment = templates()
    environment.filters |= {
        "signed": signed,
        "percent": percent,
        "probability": probability,
        "svg": svg_markup,
    }
    page = environment.get_template("history.html.j2").render(
        nights=nights,
        series=[(each, draw_series(each, place)) for place, each in enumerate(series)],
        warnings=warnings,
        why=why,
        changed=[each for each in series if each.changes],
        machines=sorted({night.machine for night in nights}),
    )
    path = reports / "history" / "index.html"
    write_text(path, page)
    return path


def draw_series(series: NightSeries, place: int) -> Drawing:
    """Draw one series over its nights, its change points as vertical lines.

    Parameters
    ----------
    series : of one figure.
    place : on the page, to tell its ids from others'.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(8.2, 2.0), layout="constrained")
        axes = figure.subplots()
        axes.plot(series.values, color=COLOURS[0], linewidth=1, marker=".", markersize=3)
        edges = [0, *(change.at for change in series.changes), len(series.values)]
        for start, end in pairwise(edges):
            mean = sum(series.values[start:end]) / max(end - start, 1)
            axes.plot((start, end - 1), (mean, mean), color="#444444", linewidth=1)
        for change in series.changes:
            axes.axvline(
                change.at - 0.5,
                color="#7F7F7F" if change.machine else COLOURS[1],
                linestyle=":" if change.machine else "--",
            )
        axes.set_ylim(bottom=0)
        unit = UNITS.get(series.figure, "ms")
        axes.set_ylabel(unit)
        axes.set_xlabel("night")
        words = f"{series.title} over {len(series.values)} nights, {unit};" + (
            f" {len(series.changes)} change points" if series.changes else " no change point"
        )
        return drawing(figure, f"series-{place}", words)
