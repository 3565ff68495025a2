"""Series -> figures over time: loop lag, probe latency, queue depth, the age of the oldest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from asyncdb_bench.analysis.curves import Course
from asyncdb_bench.report.axes import Looks, legend, plain
from asyncdb_bench.report.drawing import Drawing, FigureData, drawing
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
