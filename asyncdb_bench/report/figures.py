"""Tables -> matplotlib figures as SVG text. Reads no files, computes no statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from asyncdb_bench.analysis import Comparison
from asyncdb_bench.curves import Curve, Waiting
from asyncdb_bench.knobcurve import KnobCurve
from asyncdb_bench.model import Asked, Manifest
from asyncdb_bench.report.drawing import COLOURS, MARKERS, STYLE, Drawing, drawing
from asyncdb_bench.sweep import SWEEP, Cell, Map, is_cell

Curves = Mapping[tuple[str, str], Curve]
PHASE_LOOKS = {
    "send_lag": ("#444444", "send lag (client)"),
    "arrival": ("#E69F00", "arrival (kernel, loop)"),
    "queue": ("#D55E00", "queue (threads, broker)"),
    "pool": ("#CC79A7", "pool wait"),
    "database": ("#0072B2", "database"),
    "python": ("#009E73", "Python"),
    "reply": ("#F0E442", "reply (thread, worker)"),
    "back": ("#999999", "way back"),
}


def draw(
    manifest: Manifest,
    steps: pd.DataFrame,
    comparisons: Sequence[Comparison],
    curves: Curves,
    curves_over: Mapping[str, Sequence[KnobCurve]],
    waits: Mapping[tuple[str, str], Waiting],
    found_map: Map | None,
) -> dict[str, dict[str, Drawing]]:
    """Draw every figure.

    Parameters
    ----------
    manifest : for the variants' colours and the objectives.
    steps : rows of :func:`asyncdb_bench.analysis.steps_table`.
    comparisons : one per scenario.
    curves : percentile curves by scenario and variant.
    curves_over : by scenario, the curves over one knob.
    waits : what waited over time, by scenario and variant.
    found_map : the map, where there is one; its figure is ``map`` of the scenario ``sweep``.

    Returns
    -------
    By scenario: ``latency``, ``percentiles``, ``capacity``, ``phases``, ``loop``,
    ``waiting``, ``knob0`` and so on, those for which there is data.
    """
    looks = Looks([each.label for each in manifest.plan.variants])
    asked = {each.label: each for each in manifest.plan.scenarios}
    drawn: dict[str, dict[str, Drawing]] = {}
    with rc_context(STYLE):
        for each in comparisons:
            own = steps[steps.scenario == each.scenario]
            if own.empty or is_cell(asked[each.scenario]):
                continue
            drawn[each.scenario] = {
                "latency": latency(own, asked[each.scenario], looks),
                "capacity": capacity(each, looks),
            }
            mine = {
                variant: curve for (name, variant), curve in curves.items() if name == each.scenario
            }
            if mine:
                drawn[each.scenario]["percentiles"] = percentiles(each, mine, looks)
            if each.phases:
                drawn[each.scenario]["phases"] = phases(each)
            waited = {v: each_ for (name, v), each_ in waits.items() if name == each.scenario}
            if waited:
                drawn[each.scenario]["waiting"] = waiting(waited, each.scenario, looks)
            for place, curve in enumerate(curves_over[each.scenario]):
                drawn[each.scenario][f"knob{place}"] = knob_curve(curve, each.scenario)
            if own.loop_lag_p99_ms.notna().any():
                drawn[each.scenario]["loop"] = loop(own, asked[each.scenario], looks)
        if found_map is not None:
            drawn[SWEEP] = {"map": crossover(found_map, looks)}
    return drawn


class Looks:
    """A colour and a marker for each variant, the same in every figure."""

    def __init__(self, variants: Sequence[str]) -> None:
        self._place = {variant: place for place, variant in enumerate(variants)}

    def of(self, variant: str) -> dict[str, Any]:
        """Return the line style of a variant."""
        place = self._place.get(variant, 0)
        return {
            "color": COLOURS[place % len(COLOURS)],
            "marker": MARKERS[place % len(MARKERS)],
            "linestyle": ("-", "--", ":")[place // len(COLOURS) % 3],
        }


def latency(steps: pd.DataFrame, asked: Asked, looks: Looks) -> Drawing:
    """Draw p99 and p50 latency against offered load; invalid steps are hollow."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    _against_load(axes, steps, looks, "p99_ms", "p50_ms")
    for variant, bad in steps[~steps.valid].groupby("variant"):
        ring = {"mfc": "white", "mec": looks.of(str(variant))["color"], "markersize": 11}
        axes.plot(bad.offered_rps, bad.p99_ms, "o", zorder=1, **ring)
    axes.axhline(asked.objective.p99_ms, color="#888888", linewidth=1, linestyle="--")
    axes.annotate(
        f"objective: p99 < {asked.objective.p99_ms:g} ms",
        (steps.offered_rps.min(), asked.objective.p99_ms),
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=9,
    )
    _log_axis(axes.xaxis, axes, "x", steps.offered_rps)
    _log_axis(
        axes.yaxis,
        axes,
        "y",
        pd.concat([steps.p50_ms, steps.p99_ms, pd.Series([asked.objective.p99_ms])]),
    )
    axes.set_xlabel("offered load, requests/s (log)")
    axes.set_ylabel("latency, ms (log)")
    _legend(axes)
    text = (
        f"{asked.label}: p99 (solid) and p50 (dotted) latency against offered load for"
        f" {', '.join(map(str, steps.variant.unique()))}; a white ring marks an invalid step"
    )
    return drawing(figure, f"latency-{asked.label}", text)


def loop(steps: pd.DataFrame, asked: Asked, looks: Looks) -> Drawing:
    """Draw what others feel of the loop: its lag from inside, a probe's latency from outside."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    _against_load(axes, steps, looks, "loop_lag_p99_ms", "probe_p99_ms")
    _log_axis(axes.xaxis, axes, "x", steps.offered_rps)
    _log_axis(axes.yaxis, axes, "y", pd.concat([steps.loop_lag_p99_ms, steps.probe_p99_ms]))
    axes.set_xlabel("offered load, requests/s (log)")
    axes.set_ylabel("p99, ms (log)")
    _legend(axes)
    text = (
        f"{asked.label}: event-loop lag p99 (solid) and latency p99 of a probe that does no"
        f" database work (dotted) against offered load for"
        f" {', '.join(map(str, steps.variant.unique()))}"
    )
    return drawing(figure, f"loop-{asked.label}", text)


def crossover(found: Map, looks: Looks) -> Drawing:
    """Draw the map: each cell in its best variant's colour; ties hatched, unsound cells white."""
    times = sorted({cell.ms for cell in found.cells})
    sizes = sorted({cell.rows for cell in found.cells})
    figure = Figure(
        figsize=(1.2 + 1.55 * len(times), 1.1 + 0.95 * len(sizes)), layout="constrained"
    )
    axes = figure.add_subplot()
    for cell in found.cells:
        x, y = times.index(cell.ms), sizes.index(cell.rows)
        top = cell.best[0] if cell.best else ""
        colour = looks.of(top)["color"] if cell.sound else "#ffffff"
        axes.add_patch(
            Rectangle(
                (x, y), 1, 1, facecolor=colour, alpha=0.35, edgecolor="#555555",
                hatch="//" if cell.tie and cell.sound else None, linewidth=0.8,
            )
        )  # fmt: skip
        axes.text(x + 0.5, y + 0.5, cell_text(cell), ha="center", va="center", fontsize=7.5)
    axes.set_xlim(0, len(times))
    axes.set_ylim(0, len(sizes))
    axes.set_xticks([each + 0.5 for each in range(len(times))], [f"{each:g}" for each in times])
    axes.set_yticks([each + 0.5 for each in range(len(sizes))], [f"{each:,}" for each in sizes])
    axes.grid(visible=False)
    axes.set_xlabel("time of the query in the database, ms")
    axes.set_ylabel("rows returned")
    text = "the map: " + "; ".join(
        f"{cell.ms:g} ms, {cell.rows} rows: {cell_text(cell).replace(chr(10), ' ')}"
        for cell in found.cells
    )
    return drawing(figure, "map", text)


def cell_text(cell: Cell) -> str:
    """Return what a cell says: who, how much, and the loop lag that it costs."""
    if not cell.sound:
        return "not sound" if cell.best else "none"
    top = max(cell.best, key=lambda name: cell.capacities[name].rps)
    lines = [" = ".join(cell.best[:2]) + (" = …" if len(cell.best) > 2 else "")]
    if len(lines[0]) > 20:
        lines = [*[f"{name} =" for name in cell.best[:-1]][:2], cell.best[-1]]
    carried = cell.capacities[top]
    lines.append(f"{'≥ ' if carried.open_ended else ''}{carried.rps:,.0f}/s")
    lag = cell.loop_lag_ms.get(top, float("nan"))
    return "\n".join([*lines, f"lag {lag:.2g} ms"])


def waiting(curves: Mapping[str, Waiting], scenario: str, looks: Looks) -> Drawing:
    """Draw how many requests waited over time, and below it how long the oldest had."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for variant, each in curves.items():
        style = {k: v for k, v in looks.of(variant).items() if k != "marker"}
        upper.plot(each.at_s, each.waiting, label=variant, **style)
        lower.plot(each.at_s, each.oldest_s, label=variant, **style)
    upper.set_ylabel("requests waiting or under way")
    lower.set_ylabel("age of the oldest, s")
    lower.set_xlabel("time in the step, s")
    for axes in (upper, lower):
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
    _legend(upper)
    peaks = ", ".join(f"{name} {max(each.waiting):,.0f}" for name, each in curves.items())
    text = f"{scenario}: requests waiting over time; at the peak: {peaks}"
    return drawing(figure, f"waiting-{scenario}", text)


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
            upper.plot(point.value, point.capacity.rps, "o", mfc="white", mec=COLOURS[0], ms=10)
    known = [(each.value, each.ceiling_rps) for each in curve.points if each.ceiling_rps]
    if known:
        at, tops = zip(*known, strict=True)
        upper.plot(at, tops, color="#555555", linestyle="--", marker="_", label="ceiling by theory")
    if curve.recommended is not None:
        upper.axvline(curve.recommended.value, color=COLOURS[2], linewidth=1.2, label="recommended")
    upper.set_ylim(bottom=0)
    upper.set_ylabel("capacity, requests/s")
    _legend(upper)
    latencies = pd.Series([each.p99_ms for each in curve.points], dtype=float)
    lags = pd.Series([each.loop_lag_p99_ms for each in curve.points], dtype=float)
    lower.plot(values, latencies, color=COLOURS[1], marker="s", label="latency p99")
    lower.plot(values, lags, color=COLOURS[3], marker="^", linestyle=":", label="loop lag p99")
    _log_axis(lower.yaxis, lower, "y", pd.concat([latencies, lags]))
    lower.set_ylabel("ms (log)")
    _legend(lower)
    lower.set_xscale("log", base=2)
    lower.set_xticks(values, [f"{value:g}" for value in values])
    lower.xaxis.set_minor_locator(NullLocator())
    lower.set_xlabel(f"{curve.name}:{curve.knob} (log)")
    listed = ", ".join(f"{each.value:g}: {each.capacity.rps:,.0f}/s" for each in curve.points)
    text = f"{scenario}: capacity of {curve.name} against {curve.knob}: {listed}"
    return drawing(figure, f"knob-{curve.name}-{curve.knob}-{scenario}", text)


def phases(comparison: Comparison) -> Drawing:
    """Draw where the time went: each phase's share of the mean latency, which stands beside it.

    Shares, because the slowest variant's bar would leave nothing to see of the others'.
    """
    names = list(comparison.phases)[::-1]
    totals = {name: sum(comparison.phases[name].values()) or 1.0 for name in names}
    figure = Figure(figsize=(8, 1.5 + 0.42 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    left = [0.0] * len(names)
    for phase, (colour, label) in PHASE_LOOKS.items():
        widths = [100 * comparison.phases[name][phase] / totals[name] for name in names]
        axes.barh(
            range(len(names)), widths, left=left, color=colour, label=label, height=0.62, lw=0
        )
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(names)), [f"{name}  {totals[name]:,.3g} ms" for name in names])
    axes.set_xlim(0, 100)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the mean latency, %")
    _legend(axes)
    listed = "; ".join(
        f"{name}: " + ", ".join(f"{phase} {value:.3g} ms" for phase, value in each.items())
        for name, each in comparison.phases.items()
    )
    text = (
        f"{comparison.scenario}: where the time went at {comparison.common_rps:g} requests/s,"
        f" means. {listed}"
    )
    return drawing(figure, f"phases-{comparison.scenario}", text)


def percentiles(comparison: Comparison, curves: Mapping[str, Curve], looks: Looks) -> Drawing:
    """Draw latency against percentile, corrected and raw, the tail stretched."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for variant, curve in curves.items():
        look = looks.of(variant) | {"marker": ""}
        places = [1 / (1 - level) for level in curve.levels]
        axes.plot(places, curve.corrected_ms, label=variant, **look)
        axes.plot(places, curve.raw_ms, color=look["color"], linewidth=1.1, linestyle=":")
    axes.set_xscale("log")
    ticks = (0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999)
    top = max(1 / (1 - level) for curve in curves.values() for level in curve.levels)
    axes.xaxis.set_major_locator(FixedLocator([1 / (1 - t) for t in ticks if 1 / (1 - t) <= top]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 - 100 / x:.6g}"))
    every = pd.Series(
        [value for curve in curves.values() for value in (*curve.corrected_ms, *curve.raw_ms)]
    )
    _log_axis(axes.yaxis, axes, "y", every)
    axes.set_xlabel("percentile of the requests (tail stretched)")
    axes.set_ylabel("latency, ms (log)")
    _legend(axes)
    text = (
        f"{comparison.scenario}: latency by percentile at {comparison.common_rps:g} requests/s,"
        f" the highest load at which all were measured, for {', '.join(curves)}; solid from the"
        " intended arrival, dotted what a closed loop would have believed"
    )
    return drawing(figure, f"percentiles-{comparison.scenario}", text)


def capacity(comparison: Comparison, looks: Looks) -> Drawing:
    """Draw capacities as bars with their bounds."""
    names = list(comparison.capacities)[::-1]
    figure = Figure(figsize=(8, 0.9 + 0.42 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for place, name in enumerate(names):
        each = comparison.capacities[name]
        hatch = "///" if name in comparison.invalid else None
        axes.barh(
            place, each.rps, color=looks.of(name)["color"], alpha=0.85, height=0.62, hatch=hatch
        )
        high = each.high if each.high is not None else each.rps
        axes.plot([each.low, high], [place, place], color="#333333", linewidth=1.4, marker="|")
        label = f"{'≥ ' if each.open_ended else ''}{each.rps:,.0f}" if each.rps else "none"
        axes.annotate(
            label,
            (max(high, each.rps), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(left=0)
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("capacity: highest offered load with the objective held, requests/s")
    listed = ", ".join(f"{name} {each.rps:,.0f}/s" for name, each in comparison.capacities.items())
    text = f"{comparison.scenario}: capacity: {listed}"
    return drawing(figure, f"capacity-{comparison.scenario}", text)


def _against_load(axes: Any, steps: pd.DataFrame, looks: Looks, solid: str, dotted: str) -> None:
    """Draw two figures against offered load for each variant, medians over blocks."""
    for variant, rows in steps.groupby("variant"):
        look = looks.of(str(variant))
        medians = rows.groupby("offered_rps")[[solid, dotted]].median()
        axes.plot(medians.index, medians[solid], label=str(variant), markersize=5, **look)
        axes.plot(medians.index, medians[dotted], color=look["color"], linewidth=1.1, linestyle=":")


def _log_axis(axis: Any, axes: Any, which: str, values: pd.Series[Any]) -> None:
    """Make an axis logarithmic with ticks at 1, 2 and 5 of each decade, in plain numbers."""
    known = values.dropna()
    known = known[known > 0]
    getattr(axes, f"set_{which}scale")("log")
    low, high = (known.min() * 0.8, known.max() * 1.25) if len(known) else (1, 10)
    getattr(axes, f"set_{which}lim")(low, high)
    ticks = [m * 10.0**e for e in range(-4, 7) for m in (1, 2, 5)]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))


def _legend(axes: Any) -> None:
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
