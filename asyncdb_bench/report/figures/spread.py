"""Blocks -> a figure in which each is a dot, so that the spread behind an interval is seen."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.report.axes import Looks, hatched, log_axis, plain
from asyncdb_bench.report.drawing import INK, Drawing, FigureData, drawing
from asyncdb_bench.text import number


def blocks(comparison: Comparison, steps: pd.DataFrame, looks: Looks) -> Drawing:
    """Draw every block's capacity and, at the common load, its p99.

    Parameters
    ----------
    comparison : the intervals over them.
    steps : the scenario's rows of :func:`steps_table`.
    looks : of the variants.
    """
    names = list(comparison.capacities)[::-1]
    figure = Figure(figsize=(8, 1.2 + 0.36 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    at_load = steps[steps.offered_rps == comparison.common_rps]
    hover: dict[str, list[str]] = {}
    rows: list[tuple[str, ...]] = []
    for place, name in enumerate(names):
        each, gid = comparison.capacities[name], looks.gid(name, "capacities")
        _interval(left, place, each.low, each.high)
        look = looks.of(name) | {"linestyle": "none", "markersize": 6, "alpha": 0.75}
        if name in comparison.invalid:
            hatched(left, each.per_block, [place] * len(each.per_block), look, gid)
        else:
            left.plot(each.per_block, [place] * len(each.per_block), gid=gid, **look)
        hover[gid] = [f"{name}, block {n + 1}: {number(v)}/s" for n, v in enumerate(each.per_block)]
        own = at_load[(at_load.variant == name) & at_load.p99_ms.notna()]
        if name in comparison.rows.index:
            row = comparison.rows.loc[name]
            _interval(right, place, row.p99_ms_low, row.p99_ms_high)
        sound, bad = own[own.valid], own[~own.valid]
        gid = looks.gid(name, "p99s")
        right.plot(sound.p99_ms, [place] * len(sound), gid=gid, **look)
        hover[gid] = [
            f"{name}, block {block + 1}: p99 {number(p99)} ms"
            for block, p99 in zip(sound.block.tolist(), sound.p99_ms.tolist(), strict=True)
        ]
        if len(bad):
            hatched(right, list(bad.p99_ms), [place] * len(bad), look, looks.gid(name, "invalid"))
        rows += [
            (name, str(n + 1), number(value), _p99(own, n))
            for n, value in enumerate(each.per_block)
        ]
    left.set_yticks(range(len(names)), [plain(name, 22) for name in names])
    left.set_ylim(-0.6, len(names) - 0.4)
    left.set_xlim(left=0)
    known = at_load.p99_ms.dropna()
    wide = len(known) > 1 and known.min() > 0 and known.max() > 20 * known.min()
    if wide:
        log_axis(right.xaxis, right, "x", known)
    else:
        right.set_xlim(left=0)
    left.set_xlabel("capacity, requests/s")
    scale = " (log scale)" if wide else ""
    right.set_xlabel(f"p99 at {number(comparison.common_rps or 0)}/s, ms{scale}")
    text = (
        f"{comparison.scenario}: every block as a dot: capacity (left) and p99 at the common load"
        " (right) of each variant, with the interval over blocks as a line; invalid blocks hatched"
    )
    columns = ("variant", "block", "capacity, 1/s", "p99, ms")
    return drawing(
        figure, f"blocks-{comparison.scenario}", text, FigureData(columns, tuple(rows)), hover
    )


def _interval(axes: Any, place: int, low: Any, high: Any) -> None:
    if low is not None and high is not None and pd.notna(low) and pd.notna(high):
        axes.plot([low, high], [place, place], color=INK, alpha=0.45, linewidth=5, zorder=1)


def _p99(own: pd.DataFrame, block: int) -> str:
    values = own[own.block == block]
    if not len(values):
        return "–"
    said = number(float(values.p99_ms.iloc[0]))
    return said if bool(values.valid.iloc[0]) else f"{said} (invalid)"
