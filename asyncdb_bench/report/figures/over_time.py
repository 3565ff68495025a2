"""Series over time, and percentile curves -> figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.curves import Course, PercentileCurve
from asyncdb_bench.report.axes import (
    INK,
    Drawing,
    FigureData,
    Looks,
    drawing,
    legend,
    log_axis,
    plain,
)
from asyncdb_bench.text import number

Courses = Mapping[str, Mapping[str, Course]]
LAG = ("loop_lag_us", "loop lag, ms")
PROBE = ("probe_us", "probe, ms")
WAITING = ("waiting", "requests waiting\nor under way")
OLDEST = ("oldest_us", "age of the\noldest, ms")
DEPTH = ("broker_depth", "tasks in\nthe broker")


def course(found: Courses, scenario: str, load: float, looks: Looks) -> Drawing | None:
    """Draw what was felt and what waited over one step of each variant.

    Parameters
    ----------
    found : by variant and series.
    scenario, load : whose, for the words.
    looks : of the variants.
    """
    shown = [
        (key, title)
        for key, title in (LAG, PROBE, WAITING, OLDEST, DEPTH)
        if any(key in each for each in found.values())
    ]
    if not shown:
        return None
    figure = Figure(figsize=(8, 0.9 + 1.35 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    rows = []
    for axes, (key, title) in zip(panels, shown, strict=True):
        for variant, series in found.items():
            if key in series:
                _line(axes, series[key], variant, key, looks)
                values = series[key].value
                rows.append((variant, title.replace("\n", " "), number(max(values))))
        axes.set_ylabel(title, fontsize=9)
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
    panels[-1].set_xlabel("time in the step, s")
    legend(panels[0])
    peaks = ", ".join(f"{name} {what} {top}" for name, what, top in rows[:12])
    text = (
        f"{scenario} at {number(load)}/s, first block: {', '.join(t for _, t in shown)} over time;"
        f" at most: {peaks}"
    ).replace("\n", " ")
    data = FigureData(("variant", "what", "at most"), tuple(rows))
    return drawing(figure, f"course-{scenario}", text, data)


def _line(axes: Any, each: Course, variant: str, key: str, looks: Looks) -> None:
    look = looks.of(variant)
    axes.plot(
        each.at_s, each.value, label=plain(variant), linewidth=1.1, markersize=4,
        markevery=max(1, len(each.at_s) // 6), gid=looks.gid(variant, key), **look,
    )  # fmt: skip


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
