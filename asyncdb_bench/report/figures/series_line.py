"""One figure over many runs -> a line, its change points as vertical lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib import rc_context
from matplotlib.figure import Figure

from asyncdb_bench.report.axes import COLOURS, STYLE, Drawing, drawing


def history_line(
    values: Sequence[float],
    changes: Sequence[tuple[int, bool]],
    unit: str,
    words: str,
    name: str,
) -> Drawing:
    """Draw a series with the mean of each stretch between its change points.

    Parameters
    ----------
    values : in the order of the runs.
    changes : the place of the first value after each, and whether it was the machine.
    unit : of the values.
    words : what it shows, for those who do not see it.
    name : on the page, to tell its ids from others'.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(8.2, 2.0), layout="constrained")
        axes = figure.subplots()
        axes.plot(values, color=COLOURS[0], linewidth=1, marker=".", markersize=3)
        for start, end in pairwise([0, *(at for at, _ in changes), len(values)]):
            mean = sum(values[start:end]) / max(end - start, 1)
            axes.plot((start, end - 1), (mean, mean), color="#444444", linewidth=1)
        for at, machine in changes:
            axes.axvline(
                at - 0.5,
                color="#7F7F7F" if machine else COLOURS[1],
                linestyle=":" if machine else "--",
            )
        axes.set_ylim(bottom=0)
        axes.set_ylabel(unit)
        axes.set_xlabel("run")
        return drawing(figure, name, words)
