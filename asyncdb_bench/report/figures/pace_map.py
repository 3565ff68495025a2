"""The map and the curve over one knob -> figures."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from asyncdb_bench.analysis.knob_curve import KnobCurve
from asyncdb_bench.analysis.pace_map import TITLES, Cell, PaceMap, best_words, how_sure
from asyncdb_bench.report.axes import (
    COLOURS,
    INK,
    Drawing,
    FigureData,
    Looks,
    drawing,
    legend,
    log_axis,
)
from asyncdb_bench.text import number


def knob_curve(curve: KnobCurve, scenario: str) -> Drawing:
    """Draw capacity with its ceiling, and below it p99 and loop lag, against one knob."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    values = [each.value for each in curve.points]
    carried = [each.capacity.rps for each in curve.points]
    upper.plot(values, carried, color=COLOURS[0], marker="o", label="capacity")
    for point in curve.points:
        high = point.capacity.high if point.capacity.high is not None else point.capacity.rps
        upper.plot([point.value] * 2, [point.capacity.low, high], color=COLOURS[0], linewidth=1.2)
        if not point.sound:
            upper.plot(point.value, point.capacity.rps, "o", color="none", mec=COLOURS[0], ms=10)
    known = [(each.value, each.ceiling_rps) for each in curve.points if each.ceiling_rps]
    if known:
        at, tops = zip(*known, strict=True)
        upper.plot(at, tops, color=INK, linestyle="--", marker="_", label="ceiling by theory")
    if curve.recommended is not None:
        upper.axvline(curve.recommended.value, color=COLOURS[2], linewidth=1.2, label="recommended")
    upper.set_ylim(bottom=0)
    upper.set_ylabel("capacity, requests/s")
    legend(upper)
    latencies = [each.p99_ms for each in curve.points]
    lags = [each.loop_lag_p99_ms for each in curve.points]
    lower.plot(values, latencies, color=COLOURS[1], marker="s", label="latency p99")
    lower.plot(values, lags, color=COLOURS[3], marker="^", linestyle=":", label="loop lag p99")
    log_axis(lower.yaxis, lower, "y", [*latencies, *lags])
    lower.set_ylabel("ms (log)")
    legend(lower)
    lower.set_xscale("log", base=2)
    lower.set_xticks(values, [f"{value:g}" for value in values])
    lower.xaxis.set_minor_locator(NullLocator())
    lower.set_xlabel(f"{curve.name}:{curve.knob} (log)")
    listed = ", ".join(f"{each.value:g}: {each.capacity.rps:,.0f}/s" for each in curve.points)
    text = f"{scenario}: capacity of {curve.name} against {curve.knob}: {listed}"
    rows = tuple(
        (
            f"{each.value:g}",
            number(each.capacity.rps),
            "–" if each.ceiling_rps is None else number(each.ceiling_rps),
            "" if each.sound else "invalid",
        )
        for each in curve.points
    )
    columns = (curve.knob, "capacity, 1/s", "ceiling, 1/s", "doubts")
    return drawing(
        figure, f"knob-{curve.name}-{curve.knob}-{scenario}", text, FigureData(columns, rows)
    )


WIDE, HIGH = 1.6, 0.8
"""Of a cell, inches."""


def draw_map(found: PaceMap, looks: Looks) -> Drawing:
    """Draw the map: each cell in its leader's colour, hatched where others are not told from it."""
    panel, column, row = found.shown
    panels, columns, rows = (found.values(axis) for axis in (panel, column, row))
    figure = Figure(
        figsize=(0.9 + WIDE * len(columns), (0.75 + HIGH * len(rows)) * len(panels)),
        layout="constrained",
    )
    for place, at_panel in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, place + 1)
        for cell in (each for each in found.cells if getattr(each.case, panel) == at_panel):
            x = columns.index(getattr(cell.case, column))
            y = rows.index(getattr(cell.case, row))
            _draw_cell(axes, cell, x, y, looks)
        axes.set_xlim(0, len(columns))
        axes.set_ylim(0, len(rows))
        axes.set_xticks([n + 0.5 for n in range(len(columns))], [f"{each:g}" for each in columns])
        axes.set_yticks([n + 0.5 for n in range(len(rows))], [f"{each:g}" for each in rows])
        axes.grid(visible=False)
        axes.set_title(f"{TITLES[panel]}: {at_panel:g}", loc="left")
        axes.set_ylabel(TITLES[row])
        if place == len(panels) - 1:
            axes.set_xlabel(TITLES[column])
    cells = tuple(_row(cell) for cell in found.cells)
    text = "the map: " + "; ".join(" ".join(each) for each in cells)
    titles = (
        "round trip, ms",
        "queries",
        "ms a query",
        "rows",
        "best",
        "its pace, 1/s",
        "how sure",
    )
    return drawing(figure, "map", text, FigureData(titles, cells))


def _draw_cell(axes: Axes, cell: Cell, x: int, y: int, looks: Looks) -> None:
    axes.add_patch(
        Rectangle(
            (x, y), 1, 1, facecolor=looks.of(cell.leader)["color"], alpha=0.35, edgecolor=INK,
            hatch="//" if len(cell.best) > 1 or not cell.known else None, linewidth=0.8,
        )
    )  # fmt: skip
    names = best_words(cell, 2)
    lines = names.split(" = ") if len(names) > 22 else [names]
    joined = " =\n".join(lines)
    pace = f"{number(cell.paces[cell.leader])}/s {how_sure(cell)}"
    axes.text(x + 0.5, y + 0.5, f"{joined}\n{pace}", ha="center", va="center", fontsize=7.5)


def _row(cell: Cell) -> tuple[str, ...]:
    case = cell.case
    place = (f"{case.rtt_ms:g}", f"{case.queries:g}", f"{case.ms:g}", f"{case.rows:g}")
    return (*place, best_words(cell), number(cell.paces[cell.leader]), how_sure(cell))
