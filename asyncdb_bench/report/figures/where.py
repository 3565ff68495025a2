"""Phases, capacities and blocks of a scenario side by side: where the time went, spread, limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.records.doubts import sentences
from asyncdb_bench.report.axes import (
    INK,
    Drawing,
    FigureData,
    Looks,
    drawing,
    hatched,
    invalid_in_legend,
    log_axis,
    plain,
)
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
WIDE_SCALE = 20
"""From such a ratio of the greatest to the least on an axis is logarithmic."""


def where(comparison: Comparison, looks: Looks) -> Drawing:
    """Draw each variant's phases, capacity with its ceiling, and p99, launch by launch.

    Parameters
    ----------
    comparison : phases, intervals and ceilings.
    looks : of the variants.
    """
    names = list(comparison.capacities)[::-1]
    figure = Figure(figsize=(9, 1.75 + 0.34 * len(names)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True, width_ratios=(1.5, 1.2, 1))
    hover: dict[str, list[str]] = {}
    _phases(panels[0], comparison, names, looks, hover)
    _capacities(panels[1], comparison, names, looks, hover)
    points = comparison.points
    at_load = points[points.offered_rps == comparison.common_rps]
    _p99s(panels[2], comparison, at_load, names, looks, hover)
    panels[0].set_yticks(range(len(names)), [plain(name, 22) for name in names])
    panels[0].set_ylim(-0.6, len(names) - 0.4)
    handles, labels = panels[0].get_legend_handles_labels()
    more, said = panels[1].get_legend_handles_labels()
    figure.legend(
        [*handles, *more], [*labels, *said], loc="outside lower center", ncols=4, frameon=False,
        fontsize=8.5,
    )  # fmt: skip
    text = (
        f"{comparison.scenario}: where the time went at {number(comparison.common_rps or 0)}"
        f" requests/s ({_told(comparison)}); every launch's capacity as a dot, with its interval"
        " and its ceiling by theory; every launch's p99"
    )
    columns = ("variant", "launch", "capacity, 1/s", "ceiling, 1/s", "p99, ms", *_PHASES, "doubts")
    rows = tuple(row for name in names[::-1] for row in _rows(comparison, at_load, name))
    return drawing(figure, f"where-{comparison.scenario}", text, FigureData(columns, rows), hover)


_PHASES = tuple(f"{name.replace('_', ' ')}, ms" for name in PHASE_LOOKS)


def _phases(
    axes: Any, comparison: Comparison, names: Sequence[str], looks: Looks, hover: dict[str, Any]
) -> None:
    """Draw shares, because the slowest variant's bar would leave nothing to see of the others'."""
    left = [0.0] * len(names)
    totals = [sum(comparison.phases.get(name, {}).values()) for name in names]
    for phase, (colour, label, hatch) in PHASE_LOOKS.items():
        widths = [
            100 * comparison.phases.get(name, {}).get(phase, 0.0) / total if total else 0.0
            for name, total in zip(names, totals, strict=True)
        ]
        bars = axes.barh(
            range(len(names)), widths, left=left, color=colour, label=label, height=0.62,
            hatch=hatch, edgecolor="#ffffff", linewidth=0,
        )  # fmt: skip
        left = [a + b for a, b in zip(left, widths, strict=True)]
        for bar, name, width in zip(bars, names, widths, strict=True):
            bar.set_gid(looks.gid(name, phase))
            value = number(comparison.phases.get(name, {}).get(phase))
            hover[looks.gid(name, phase)] = [f"{name}: {label} {value} ms, {width:.0f} %"]
    axes.set_xlim(0, 100)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the mean latency, %", fontsize=9)


def _capacities(
    axes: Any, comparison: Comparison, names: Sequence[str], looks: Looks, hover: dict[str, Any]
) -> None:
    for place, name in enumerate(names):
        each, limit = comparison.capacities[name], comparison.limits.get(name)
        _interval(axes, place, each.low, each.high)
        look = looks.of(name) | {"linestyle": "none", "markersize": 6, "alpha": 0.75}
        gid = looks.gid(name, "capacities")
        own = comparison.findings.by_launch(name) if each.rps else {}
        if name in comparison.invalid:
            hatched(axes, list(own.values()), [place] * len(own), look, gid)
        else:
            axes.plot(list(own.values()), [place] * len(own), gid=gid, **look)
        hover[gid] = [f"{name}, launch {n + 1}: {number(v)}/s" for n, v in own.items()]
        if limit is not None and limit.ceiling is not None:
            axes.plot([limit.ceiling.rps], [place], "D", markersize=7, color="none", mec=INK)
    axes.plot([], [], "D", markersize=7, color="none", mec=INK, label="ceiling by theory")
    if comparison.invalid:
        invalid_in_legend(axes)
    _from_zero(axes)
    axes.set_xlabel("capacity, requests/s", fontsize=9)


def _from_zero(axes: Any) -> None:
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=4)


def _p99s(
    axes: Any,
    comparison: Comparison,
    at_load: pd.DataFrame,
    names: Sequence[str],
    looks: Looks,
    hover: dict[str, Any],
) -> None:
    for place, name in enumerate(names):
        own = at_load[(at_load.variant == name) & at_load.p99_ms.notna()]
        if name in comparison.rows.index:
            row = comparison.rows.loc[name]
            _interval(axes, place, row.p99_ms_low, row.p99_ms_high)
        look = looks.of(name) | {"linestyle": "none", "markersize": 6, "alpha": 0.75}
        sound, bad = own[own.valid], own[~own.valid]
        gid = looks.gid(name, "p99s")
        axes.plot(sound.p99_ms, [place] * len(sound), gid=gid, **look)
        hover[gid] = [
            f"{name}, launch {block + 1}: p99 {number(p99)} ms"
            for block, p99 in zip(sound.block.tolist(), sound.p99_ms.tolist(), strict=True)
        ]
        if len(bad):
            hatched(axes, list(bad.p99_ms), [place] * len(bad), look, looks.gid(name, "invalid"))
    known = at_load.p99_ms.dropna()
    wide = len(known) > 1 and known.min() > 0 and known.max() > WIDE_SCALE * known.min()
    if wide:
        log_axis(axes.xaxis, axes, "x", known, few=True)
    else:
        _from_zero(axes)
    scale = " (log)" if wide else ""
    axes.set_xlabel(f"p99 at {number(comparison.common_rps or 0)}/s, ms{scale}", fontsize=9)


def _interval(axes: Any, place: int, low: Any, high: Any) -> None:
    if low is not None and high is not None and pd.notna(low) and math.isfinite(high):
        axes.plot([low, high], [place, place], color=INK, alpha=0.45, linewidth=5, zorder=1)


def _told(comparison: Comparison) -> str:
    return "; ".join(
        f"{name} {number(sum(each.values()))} ms" for name, each in comparison.phases.items()
    )


def _rows(comparison: Comparison, at_load: pd.DataFrame, name: str) -> list[tuple[str, ...]]:
    limit, own = comparison.limits.get(name), at_load[at_load.variant == name]
    ceiling = limit.ceiling.rps if limit is not None and limit.ceiling is not None else None
    phases = comparison.phases.get(name, {})
    doubts = sentences(comparison.invalid.get(name, ()))
    return [
        (
            name,
            str(block + 1),
            number(value),
            number(ceiling),
            _p99(own, block),
            *(number(phases.get(phase)) for phase in PHASE_LOOKS),
            doubts,
        )
        for block, value in _by_launch(comparison, name).items()
    ]


def _by_launch(comparison: Comparison, name: str) -> dict[int, float]:
    return comparison.findings.by_launch(name) if comparison.capacities[name].rps else {0: 0.0}


def _p99(own: pd.DataFrame, block: int) -> str:
    values = own[own.block == block]
    if not len(values):
        return "–"
    said = number(float(values.p99_ms.iloc[0]))
    return said if bool(values.valid.iloc[0]) else f"{said} (invalid)"
