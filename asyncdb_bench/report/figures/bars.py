"""Comparisons -> figures of bars: where the time went, capacity against its ceiling."""

from __future__ import annotations

from matplotlib.figure import Figure

from asyncdb_bench.analysis.capacity import amount
from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.records.sentences import sentences
from asyncdb_bench.report.axes import HATCH, Looks, legend, plain
from asyncdb_bench.report.drawing import INK, Drawing, FigureData, drawing
from asyncdb_bench.text import number

PHASE_LOOKS = {
    "send_lag": ("#8A8A8A", "send lag (client)", ""),
    "arrival": ("#E69F00", "arrival (kernel, loop)", "//"),
    "queue": ("#D55E00", "queue (threads, broker)", ""),
    "pool": ("#CC79A7", "pool wait", "\\\\"),
    "database": ("#0072B2", "database", ""),
    "python": ("#009E73", "Python", ".."),
    "reply": ("#F0E442", "reply (thread, worker)", ""),
    "back": ("#56B4E9", "way back", "xx"),
}


def phases(comparison: Comparison, looks: Looks) -> Drawing:
    """Draw where the time went: each phase's share of the mean latency, which stands beside it.

    Shares, because the slowest variant's bar would leave nothing to see of the others'.
    """
    ordered = [name for name in comparison.capacities if name in comparison.phases]
    names = ordered[::-1]
    totals = {name: sum(comparison.phases[name].values()) or 1.0 for name in names}
    figure = Figure(figsize=(8, 1.5 + 0.42 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    left = [0.0] * len(names)
    hover: dict[str, list[str]] = {}
    for phase, (colour, label, hatch) in PHASE_LOOKS.items():
        widths = [100 * comparison.phases[name][phase] / totals[name] for name in names]
        bars = axes.barh(
            range(len(names)), widths, left=left, color=colour, label=label, height=0.62,
            hatch=hatch, edgecolor="#ffffff", linewidth=0,
        )  # fmt: skip
        left = [a + b for a, b in zip(left, widths, strict=True)]
        for bar, name, width in zip(bars, names, widths, strict=True):
            bar.set_gid(looks.gid(name, phase))
            value = number(comparison.phases[name][phase])
            hover[looks.gid(name, phase)] = [f"{name}: {label} {value} ms, {width:.0f} %"]
    axes.set_yticks(range(len(names)), [f"{plain(name)}  {totals[name]:,.3g} ms" for name in names])
    axes.set_xlim(0, 100)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the mean latency, %")
    legend(axes)
    told = "; ".join(
        f"{name}: "
        + ", ".join(f"{phase} {number(ms)} ms" for phase, ms in comparison.phases[name].items())
        for name in ordered
    )
    text = (
        f"{comparison.scenario}: where the time went at {number(comparison.common_rps or 0)}"
        f" requests/s, means. {told}"
    )
    columns = ("variant", *(f"{name.replace('_', ' ')}, ms" for name in PHASE_LOOKS), "mean, ms")
    rows = tuple(
        (
            name,
            *(number(comparison.phases[name][phase]) for phase in PHASE_LOOKS),
            number(totals[name]),
        )
        for name in ordered
    )
    return drawing(figure, f"phases-{comparison.scenario}", text, FigureData(columns, rows), hover)


def capacity_bars(comparison: Comparison, looks: Looks) -> Drawing:
    """Draw capacities as bars with their bounds, and the ceiling by theory beside each."""
    names = list(comparison.capacities)[::-1]
    figure = Figure(figsize=(8, 1.1 + 0.42 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    rows = []
    hover: dict[str, list[str]] = {}
    for place, name in enumerate(names):
        each, limit = comparison.capacities[name], comparison.limits.get(name)
        unsound = name in comparison.invalid
        colour = looks.of(name)["color"]
        (bar,) = axes.barh(
            place, each.rps, height=0.62, linewidth=1, edgecolor=colour,
            color="none" if unsound else colour, hatch=HATCH if unsound else None,
        )  # fmt: skip
        bar.set_gid(looks.gid(name, "bar"))
        high = each.high if each.high is not None else each.rps
        axes.plot([each.low, high], [place, place], color=INK, linewidth=1.4, marker="|")
        ceiling = limit.ceiling.rps if limit is not None and limit.ceiling is not None else None
        if ceiling is not None:
            axes.plot([ceiling], [place], marker="D", markersize=7, color="none", mec=INK)
        label = f"{'≥ ' if each.open_ended else ''}{amount(each)}" if each.rps else "none"
        axes.annotate(
            label + (" invalid" if unsound else ""),
            (max(high, each.rps), place),
            xytext=(6, 9),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
        hover[looks.gid(name, "bar")] = [f"{name}: {label}/s"]
        rows.append(
            (
                name,
                label,
                number(each.low),
                "–" if each.high is None else number(each.high),
                "–" if ceiling is None else number(ceiling),
                sentences(comparison.invalid.get(name, ())),
            )
        )
    axes.plot([], [], "D", markersize=7, color="none", mec=INK, label="ceiling by theory")
    axes.plot([], [], color=INK, linewidth=1.4, marker="|", label="bounds")
    axes.set_yticks(range(len(names)), [plain(name) for name in names])
    axes.set_xlim(left=0)
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("capacity: highest offered load with the objective held, requests/s")
    legend(axes)
    text = f"{comparison.scenario}: capacity: " + ", ".join(
        f"{row[0]} {row[1]}/s" + (f" of a ceiling of {row[4]}/s" if row[4] != "–" else "")
        for row in rows[::-1]
    )
    columns = ("variant", "capacity, 1/s", "from", "to", "ceiling, 1/s", "doubts")
    return drawing(
        figure,
        f"capacity-{comparison.scenario}",
        text,
        FigureData(columns, tuple(rows[::-1])),
        hover,
    )
