"""Latency, and what others feel of the loop: by offered load, by percentile, over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.curves import Course, PercentileCurve
from asyncdb_bench.records.doubts import sentences
from asyncdb_bench.records.plan import PlannedScenario
from asyncdb_bench.report.axes import (
    INK,
    Drawing,
    FigureData,
    Looks,
    drawing,
    hatched,
    invalid_in_legend,
    legend,
    log_axis,
    plain,
)
from asyncdb_bench.text import number

SIZE = (8, 5.4)


def latency_figure(comparison: Comparison, asked: PlannedScenario, looks: Looks) -> Drawing:
    """Draw latency against offered load, with objective, knees and capacities; below, the loop.

    What others feel of the loop: its lag from inside, a probe's latency from outside.
    """
    table = comparison.by_load
    felt = bool(table.loop_lag_p99_ms.notna().any())
    figure = Figure(figsize=SIZE if felt else (8, 3.6), layout="constrained")
    panels = figure.subplots(2 if felt else 1, 1, sharex=True, squeeze=False)[:, 0]
    axes = panels[0]
    hover = _lines(axes, comparison, looks, ("p99_ms", "p99"), ("p50_ms", "p50"))
    limit = asked.objective.p99_ms
    axes.axhline(limit, color=INK, alpha=0.6, linewidth=1, linestyle="--")
    axes.annotate(
        f"objective: p99 < {limit:g} ms",
        (float(table.offered_rps.min()), limit),
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=9,
    )
    for variant, carried in comparison.capacities.items():
        if carried.rps > 0:
            line = {"color": looks.of(variant)["color"], "gid": looks.gid(variant, "capacity")}
            axes.plot([carried.rps], [limit], "|", markersize=16, markeredgewidth=2.5, **line)
        _knee(axes, table, variant, comparison.knees.get(variant), looks)
    if not table.valid.all():
        invalid_in_legend(axes)
    axes.plot([], [], "|", color=INK, markersize=12, markeredgewidth=2.5, label="capacity")
    axes.plot([], [], "o", color="none", mec=INK, markersize=12, label="knee")
    log_axis(axes.xaxis, axes, "x", table.offered_rps)
    log_axis(axes.yaxis, axes, "y", [*table.p50_ms, *table.p99_ms, limit])
    panels[-1].set_xlabel("offered load, requests/s (log scale)")
    axes.set_ylabel("latency, ms (log scale)")
    legend(axes)
    if felt:
        hover |= _loop(panels[1], comparison, looks)
    text = (
        f"{asked.label}: p99 (solid, with 95 % bounds) and p50 (dotted) latency against offered"
        f" load for {_names(table)}; rings mark knees, bars on the objective's line capacities;"
        " below, event-loop lag p99 (solid) and p99 of a probe that does no database work (dotted);"
        " invalid steps are hatched"
    )
    return drawing(figure, f"latency-{asked.label}", text, _data(table, _LATENCY), hover)


def _loop(axes: Any, comparison: Comparison, looks: Looks) -> dict[str, list[str]]:
    table = comparison.by_load
    hover = _lines(
        axes, comparison, looks, ("loop_lag_p99_ms", "loop lag p99"), ("probe_p99_ms", "probe p99")
    )
    log_axis(axes.yaxis, axes, "y", [*table.loop_lag_p99_ms, *table.probe_p99_ms])
    axes.set_ylabel("lag, probe p99, ms (log)")
    return hover


_LATENCY = (
    ("achieved, 1/s", "achieved_rps"),
    ("p50, ms", "p50_ms"),
    ("p99, ms", "p99_ms"),
    ("p99 from", "p99_ms_low"),
    ("p99 to", "p99_ms_high"),
    ("loop lag p50, ms", "loop_lag_p50_ms"),
    ("loop lag p99, ms", "loop_lag_p99_ms"),
    ("probe p50, ms", "probe_p50_ms"),
    ("probe p99, ms", "probe_p99_ms"),
)


def _lines(
    axes: Any,
    comparison: Comparison,
    looks: Looks,
    solid: tuple[str, str],
    dotted: tuple[str, str],
) -> dict[str, list[str]]:
    """Draw two figures for each variant; return the texts of the markers."""
    table, variants = comparison.by_load, comparison.capacities
    hover: dict[str, list[str]] = {}
    for name in variants:
        rows, look = table[table.variant == name], looks.of(name)
        sound, bad = rows[rows.valid], rows[~rows.valid]
        known = sound[sound[solid[0]].notna()]
        gid = looks.gid(name, solid[0])
        axes.plot(
            known.offered_rps, known[solid[0]], label=plain(name), markersize=5, gid=gid, **look
        )
        hover[gid] = [_said(name, row, solid) for _, row in known.iterrows()]
        if f"{solid[0]}_low" in known:
            ranged = known[known[f"{solid[0]}_low"].notna() & known[f"{solid[0]}_high"].notna()]
            axes.vlines(
                ranged.offered_rps, ranged[f"{solid[0]}_low"], ranged[f"{solid[0]}_high"],
                color=look["color"], linewidth=1, gid=looks.gid(name, f"{solid[0]}_bounds"),
            )  # fmt: skip
        known = sound[sound[dotted[0]].notna()]
        thin = {"color": look["color"], "marker": look["marker"], "markersize": 3}
        gid = looks.gid(name, dotted[0])
        axes.plot(
            known.offered_rps, known[dotted[0]], linewidth=1.1, linestyle=":", gid=gid, **thin
        )
        hover[gid] = [_said(name, row, dotted) for _, row in known.iterrows()]
        bad = bad[bad[solid[0]].notna()]
        if len(bad):
            gid = looks.gid(name, f"{solid[0]}_invalid")
            hatched(axes, list(bad.offered_rps), list(bad[solid[0]]), look, gid)
            hover[gid] = [
                f"INVALID: {_said(name, row, solid)}: {sentences(row.reasons)}"
                for _, row in bad.iterrows()
            ]
    return hover


def _said(variant: str, row: pd.Series, figure: tuple[str, str]) -> str:
    key, title = figure
    text = f"{variant} at {number(row.offered_rps)}/s: {title} {number(row[key])} ms"
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    if low is not None and high is not None and pd.notna(low) and pd.notna(high):
        text += f" ({number(low)} to {number(high)})"
    return text


def _knee(axes: Any, table: pd.DataFrame, variant: str, at: float | None, looks: Looks) -> None:
    rows = table[(table.variant == variant) & (table.offered_rps == at) & table.p99_ms.notna()]
    if len(rows):
        colour = looks.of(variant)["color"]
        axes.plot(
            rows.offered_rps, rows.p99_ms, "o", color="none", mec=colour, markersize=12,
            gid=looks.gid(variant, "knee"),
        )  # fmt: skip


def _names(table: pd.DataFrame) -> str:
    names = [str(name) for name in table.variant.unique()]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _data(table: pd.DataFrame, figures: Sequence[tuple[str, str]]) -> FigureData:
    rows = [
        (
            str(row.variant),
            number(row.offered_rps),
            *(number(row.get(key)) for _, key in figures),
            "" if row.valid else f"invalid: {sentences(row.reasons)}",
        )
        for _, row in table.iterrows()
    ]
    columns = ("variant", "offered, 1/s", *(title for title, _ in figures), "doubts")
    return FigureData(columns, tuple(rows))


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
