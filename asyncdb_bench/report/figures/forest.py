"""Ratios -> a forest figure: each with its interval, on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.report.drawing import STYLE, Drawing, drawing

TICKS = (0.25, 0.33, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4)
GOOD, BAD, EVEN, OTHER = ("#009E73", "o"), ("#D55E00", "s"), ("#0072B2", "D"), ("#7F7F7F", "^")
LOOKS = {
    Said.BETTER: GOOD,
    Said.WORSE: BAD,
    Said.SAME: EVEN,
}


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of the figure: a ratio above 1 where head is worse, and its interval."""

    label: str
    low: float
    ratio: float
    high: float
    said: Said


def forest_figure(rows: Sequence[ForestRow], scenario: str, band: float) -> Drawing | None:
    """Draw ratios; to the right head is worse, whatever the figure.

    Parameters
    ----------
    rows : from the top.
    scenario : for the words that stand for the figure.
    band : ratio up to which a change does not matter; shaded.

    Returns
    -------
    Drawing, or None where there is nothing to draw.
    """
    if not rows:
        return None
    with rc_context(STYLE):
        figure = Figure(figsize=(8.2, 1.1 + 0.34 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(1 / band, band, color="#0072B2", alpha=0.10, linewidth=0)
        axes.axvline(1, color="#444444", linewidth=1)
        for place, row in enumerate(rows):
            colour, marker = LOOKS.get(row.said, OTHER)
            axes.plot((row.low, row.high), (place, place), color=colour, linewidth=2)
            axes.plot(row.ratio, place, marker, color=colour, markersize=7)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.invert_yaxis()
        axes.set_xscale("log")
        # beyond a factor of four either way it does not matter how far
        axes.set_xlim(
            max(0.25, min(0.85, *(row.low for row in rows)) * 0.97),
            min(4, max(1.18, *(row.high for row in rows)) * 1.03),
        )
        axes.xaxis.set_major_locator(FixedLocator(TICKS))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel(
            "ratio (log scale): head is better to the left, worse to the right; paces inverted"
        )
        words = f"Ratios of head to base in {scenario}, each with its interval"
        return drawing(figure, f"forest-{scenario}", words)
