"""The map of round trips -> one figure: a panel for each time of a query."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from asyncdb_bench.analysis.round_trip_map import Cell, RoundTripMap
from asyncdb_bench.analysis.round_trip_words import best_words, how_sure
from asyncdb_bench.report.axes import Looks
from asyncdb_bench.report.drawing import INK, Drawing, FigureData, drawing
from asyncdb_bench.text import number

WIDE, HIGH = 1.6, 0.8
"""Of a cell, inches."""


def round_trips(found: RoundTripMap, looks: Looks) -> Drawing:
    """Draw the map: each cell in its leader's colour, hatched where others are not told from it."""
    times, queries, trips = (found.values(axis) for axis in ("ms", "queries", "rtt_ms"))
    figure = Figure(
        figsize=(0.9 + WIDE * len(trips), (0.75 + HIGH * len(queries)) * len(times)),
        layout="constrained",
    )
    for place, ms in enumerate(times):
        axes = figure.add_subplot(len(times), 1, place + 1)
        for cell in (each for each in found.cells if each.case.ms == ms):
            x, y = trips.index(cell.case.rtt_ms), queries.index(cell.case.queries)
            _draw_cell(axes, cell, x, y, looks)
        axes.set_xlim(0, len(trips))
        axes.set_ylim(0, len(queries))
        axes.set_xticks([each + 0.5 for each in range(len(trips))], [f"{each:g}" for each in trips])
        ticks = [each + 0.5 for each in range(len(queries))]
        axes.set_yticks(ticks, [f"{each:g}" for each in queries])
        axes.grid(visible=False)
        axes.set_title("fast queries" if not ms else f"queries of {ms:g} ms", loc="left")
        axes.set_ylabel("queries a request")
        if place == len(times) - 1:
            axes.set_xlabel("round trip to the database, ms")
    rows = tuple(_row(cell) for cell in found.cells)
    text = "the map: " + "; ".join(" ".join(row) for row in rows)
    columns = ("round trip, ms", "queries", "ms a query", "best", "its pace, 1/s", "how sure")
    return drawing(figure, "round-trips", text, FigureData(columns, rows))


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
    place = (f"{case.rtt_ms:g}", f"{case.queries:g}", f"{case.ms:g}")
    return (*place, best_words(cell), number(cell.paces[cell.leader]), how_sure(cell))
