"""The map -> one figure: a panel for each value of an axis."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from asyncdb_bench.analysis.pace_map import TITLES, Cell, PaceMap
from asyncdb_bench.analysis.pace_map_words import best_words, how_sure
from asyncdb_bench.report.axes import Looks
from asyncdb_bench.report.drawing import INK, Drawing, FigureData, drawing
from asyncdb_bench.text import number

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
