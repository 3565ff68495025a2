"""Tables -> figures over offered load: latency, and what others feel of the loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from asyncdb_bench.analysis.comparison import Comparison
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
