"""Percentile curves -> a figure: corrected beside raw, the tail stretched."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.curves import PercentileCurve
from asyncdb_bench.report.axes import Looks, legend, log_axis, plain
from asyncdb_bench.report.drawing import INK, Drawing, FigureData, drawing
from asyncdb_bench.text import number

TOLD = (0.5, 0.9, 0.95, 0.99, 0.999, 0.9999)


def percentile_figure(
    comparison: Comparison, curves: Mapping[str, PercentileCurve], looks: Looks
) -> Drawing:
    """Draw latency against percentile, corrected (solid) and raw (dotted)."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    hover, rows = {}, []
    for variant, curve in curves.items():
        look, gid = looks.of(variant), looks.gid(variant, "corrected")
        places = [1 / (1 - level) for level in curve.levels]
        told = _told(curve)
        axes.plot(
            places, curve.corrected_ms, label=plain(variant), gid=gid, markersize=5,
            markevery=told, **look,
        )  # fmt: skip
        hover[gid] = [
            f"{variant}: p{100 * curve.levels[at]:.5g} {number(curve.corrected_ms[at])} ms,"
            f" raw {number(curve.raw_ms[at])} ms"
            for at in told
        ]
        axes.plot(
            places, curve.raw_ms, color=look["color"], linewidth=1.1, linestyle=":",
            gid=looks.gid(variant, "raw"),
        )  # fmt: skip
        rows += [
            (
                variant,
                f"{100 * curve.levels[at]:.5g}",
                number(curve.corrected_ms[at]),
                number(curve.raw_ms[at]),
            )
            for at in told
        ]
    axes.plot([], [], color=INK, label="corrected")
    axes.plot([], [], color=INK, linewidth=1.1, linestyle=":", label="raw")
    axes.set_xscale("log")
    top = max(1 / (1 - level) for curve in curves.values() for level in curve.levels)
    ticks = [1 / (1 - t) for t in (0, *TOLD) if 1 / (1 - t) <= top]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 - 100 / x:.6g}"))
    every = [v for curve in curves.values() for v in (*curve.corrected_ms, *curve.raw_ms)]
    log_axis(axes.yaxis, axes, "y", every)
    axes.set_xlabel("percentile of the requests (tail stretched: log scale of 1 / (1 - p))")
    axes.set_ylabel("latency, ms (log scale)")
    legend(axes)
    text = (
        f"{comparison.scenario}: latency by percentile at {number(comparison.common_rps or 0)}"
        f" requests/s, the highest load at which all were measured, for {', '.join(curves)}; solid"
        " from the intended arrival, dotted what a closed loop would have believed"
    )
    columns = ("variant", "percentile", "corrected, ms", "raw, ms")
    return drawing(
        figure, f"percentiles-{comparison.scenario}", text, FigureData(columns, tuple(rows)), hover
    )


def _told(curve: PercentileCurve) -> list[int]:
    """Return the places of the first level at or above each percentile that people name."""
    found = []
    for level in TOLD:
        at = next((n for n, each in enumerate(curve.levels) if each >= level - 1e-9), None)
        if at is not None and at not in found:
            found.append(at)
    return found
