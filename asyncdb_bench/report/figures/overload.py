"""An overload: what each way answered in time, as a share of its own pace, over time."""

from __future__ import annotations

from matplotlib.figure import Figure

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.records.plan import CALM_SHARE, Overload
from asyncdb_bench.report.axes import INK, Drawing, FigureData, Looks, drawing, legend, plain
from asyncdb_bench.text import number


def overload_figure(comparison: Comparison, overload: Overload, looks: Looks) -> Drawing:
    """Draw the right answers in time by when they were due, and the load above them.

    Parameters
    ----------
    comparison : of the scenario, whose overloads there are.
    overload : what was asked for.
    looks : of the variants.
    """
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.add_subplot()
    _load(axes, overload)
    hover, rows = {}, []
    found = comparison.findings.overloads
    for name in [each for each in comparison.capacities if each in found]:
        each = found[name]
        at = [(place + 0.5) * each.bin_s for place in range(len(each.course))]
        gid = looks.gid(name, "overload")
        axes.plot(
            at, each.course, label=plain(name), gid=gid, markersize=5, markevery=3,
            **looks.of(name),
        )  # fmt: skip
        hover[gid] = [
            f"{name} at {number(x)} s: {number(y, 2)} of its pace"
            for x, y in list(zip(at, each.course, strict=True))[::3]
        ]
        rows += [(name, number(x), number(y, 2)) for x, y in zip(at, each.course, strict=True)]
    axes.set_xlim(0, overload.window_s)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("time in the turn, s, by when a request was due")
    axes.set_ylabel("right answers in time\nover the own pace")
    legend(axes)
    words = "; ".join(
        f"{name}: {number(each.before, 2)} of those due before, {number(each.during, 2)} of its"
        f" pace in it, {number(each.after, 2)} of those due after"
        for name, each in found.items()
    )
    text = f"{comparison.scenario}: goodput over time at {overload.factor:g} x the pace. {words}"
    columns = ("variant", "time, s", "over its pace")
    name = f"overload-{comparison.scenario}"
    return drawing(figure, name, text, FigureData(columns, tuple(rows)), hover)


def _load(axes: object, overload: Overload) -> None:
    """Draw what was asked for, a step line, and shade the overload."""
    begin, end = overload.before_s, overload.before_s + overload.length_s
    at = [0, begin, begin, end, end, overload.window_s]
    load = [CALM_SHARE] * 2 + [overload.factor] * 2 + [CALM_SHARE] * 2
    axes.axvspan(begin, end, color=INK, alpha=0.06, linewidth=0)  # type: ignore[attr-defined]
    axes.plot(  # type: ignore[attr-defined]
        at, load, color=INK, linewidth=1, linestyle=(0, (4, 3)), label="load"
    )
