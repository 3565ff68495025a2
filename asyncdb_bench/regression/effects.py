"""Tables -> effects: by what ratio one variant differs from another, figure by figure. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.capacity import capacities_by_block, capacity_of
from asyncdb_bench.analysis.statistics import Effect
from asyncdb_bench.records.doubts import Doubt, DoubtKind

TIE = 0.05
"""Two figures that differ by less are a tie, if the interval says so."""
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Figure:
    """What is compared.

    Parameters
    ----------
    name : column of :func:`steps_table`, or ``capacity_rps``.
    title, unit : for people.
    more_is_better : whether a ratio above 1 is good.
    floor : added to both sides before the ratio is taken, in the figure's unit: differences far
        below it do not matter, whatever their ratio.
    """

    name: str
    title: str
    unit: str
    more_is_better: bool = False
    floor: float = 0.0


CAPACITY = Figure("capacity_rps", "capacity", "1/s", more_is_better=True)
P50 = Figure("p50_ms", "p50", "ms")
P99 = Figure("p99_ms", "p99", "ms")
GATED = (
    CAPACITY,
    P50,
    Figure("p95_ms", "p95", "ms"),
    Figure("loop_lag_p99_ms", "loop lag p99", "ms", floor=10.0),
    Figure("cpu_ms_per_request", "CPU per request", "ms"),
)
COMPARED = (*GATED[:3], P99, *GATED[3:])
"""The p99 is shown with its interval and gated by nothing: it rests on the slowest few requests."""
PACE = Figure("pace_rps", "pace", "1/s", more_is_better=True)
NET_CPU = Figure("cpu_ms_net", "CPU per request", "ms")
TURN_GATED = (PACE, *GATED[1:4], NET_CPU)
TURN_COMPARED = (PACE, *GATED[1:3], P99, GATED[3], NET_CPU)
"""Of runs in turns: the pace instead of a capacity, and CPU time without what is used at rest."""
LOADLESS = (CAPACITY, PACE, NET_CPU)
"""Figures that are of no offered load."""


@dataclass(frozen=True, slots=True)
class FigureEffect:
    """One figure of two variants in one scenario.

    Parameters
    ----------
    scenario, base, head : labels.
    figure : what is compared.
    offered_rps : the load at which, None for a capacity.
    base_mean, head_mean : geometric means over blocks, in the figure's unit; None: not measured.
    effect : head against base; None where there is none to tell, see `doubt`.
    doubt : why there is no effect; None where there is one.
    p_adjusted : by Holm over the table; None without an interval.
    """

    scenario: str
    base: str
    head: str
    figure: Figure
    offered_rps: float | None
    base_mean: float | None = None
    head_mean: float | None = None
    effect: Effect | None = None
    doubt: Doubt | None = None
    p_adjusted: float | None = None

    @property
    def verdict(self) -> str:
        """``faster``, ``slower``, ``tie``, ``inconclusive`` or ``invalid``: of head against base.

        It differs where the adjusted p-value is below 0.05; it is a tie where the whole interval
        lies within :data:`TIE`; else nothing can be said.
        """
        if self.effect is None:
            return "invalid"
        low, high = self.effect.low, self.effect.high
        if low is None or high is None or self.p_adjusted is None:
            return "inconclusive"
        if low >= 1 / (1 + TIE) and high <= 1 + TIE:
            return "tie"
        if self.p_adjusted >= ALPHA:
            return "inconclusive"
        return "faster" if (self.effect.ratio > 1) == self.figure.more_is_better else "slower"


def reference_load(base: pd.DataFrame, head: pd.DataFrame) -> float | None:
    """Return the load at which two variants are compared: half of the base's capacity.

    Parameters
    ----------
    base, head : their rows in one scenario.

    Returns
    -------
    1/s: of the loads at which both were measured soundly, in as many blocks as any, the highest
    that is not above half of the base's capacity, else the lowest. None where there is none.
    """
    if took_turns(base) or took_turns(head):
        base, head = base[base.kind == "common"], head[head.kind == "common"]
    counts = {
        load: min(
            base[base.valid & (base.offered_rps == load)].block.nunique(),
            head[head.valid & (head.offered_rps == load)].block.nunique(),
        )
        for load in sorted(set(base.offered_rps) & set(head.offered_rps))
    }
    most = max(counts.values(), default=0)
    if not most:
        return None
    shared = [load for load, count in counts.items() if count > most / 2]
    if took_turns(base):
        return float(max(shared))
    half = capacity_of(base).rps / 2
    below = [load for load in shared if load <= half * 1.001]
    return float(max(below) if below else min(shared))


def at_load(steps: pd.DataFrame, load: float | None, figure: str) -> dict[int, float]:
    """Return a figure by block: the median of the block's sound steps at one load that have it."""
    rows = steps[steps.valid & (steps.offered_rps == load)]
    if took_turns(steps):
        rows = rows[rows.kind == "common"]
    medians = rows[rows[figure].notna()].groupby("block")[figure].median()
    return {
        int(str(block)): float(value)
        for block, value in medians.items()
        if math.isfinite(value) and value >= 0
    }


def took_turns(rows: pd.DataFrame) -> bool:
    """Return whether rows of :func:`comparison_rows` are of turns."""
    return "kind" in rows and bool((rows.kind != "").any())


def figures_of(rows: pd.DataFrame, *, gated: bool = False) -> tuple[Figure, ...]:
    """Return the figures that rows of a run can be compared by."""
    if took_turns(rows):
        return TURN_GATED if gated else TURN_COMPARED
    return GATED if gated else COMPARED


def by_block(
    steps: pd.DataFrame, figure: Figure, load: float | None, objective_ms: float
) -> dict[int, float]:
    """Return a figure's sound values by block: capacities, or what it was at one load.

    Parameters
    ----------
    steps : one variant's rows of :func:`steps_table` in one scenario.
    figure : which.
    load : where to, 1/s; not asked for a capacity.
    objective_ms : the objective's p99.
    """
    if figure in (PACE, NET_CPU):
        if not took_turns(steps):
            return {}
        rows = steps[steps.valid & (steps.kind == "pace") & steps[figure.name].notna()]
        return {
            int(block): float(value)
            for block, value in zip(rows.block, rows[figure.name], strict=True)
            if value > 0
        }
    if figure is CAPACITY:
        return {} if took_turns(steps) else capacities_by_block(steps, objective_ms)
    return at_load(steps, load, figure.name)


def compare_variants(
    base: pd.DataFrame,
    head: pd.DataFrame,
    *,
    objective_ms: float,
    paired: bool,
    figures: Sequence[Figure] | None = None,
) -> list[FigureEffect]:
    """Compare two variants in one scenario.

    Parameters
    ----------
    base, head : each variant's rows of :func:`steps_table` in that scenario.
    objective_ms : the objective's p99.
    paired : whether the same blocks hold both (one run), or each has its own (two runs).
    figures : what to compare, at :func:`reference_load`; None: all that the rows have.
    """
    figures = figures or figures_of(base)
    load = reference_load(base, head)
    names = [
        str(rows[c].iloc[0]) if len(rows) else "?"
        for rows, c in (
            (base if len(base) else head, "scenario"),
            (base, "variant"),
            (head, "variant"),
        )
    ]
    effects = []
    for figure in figures:
        row = FigureEffect(
            names[0], names[1], names[2], figure, None if figure in LOADLESS else load
        )
        sides = [by_block(each, figure, load, objective_ms) for each in (base, head)]
        effects.append(_filled(row, sides[0], sides[1], paired=paired))
    return effects


def _filled(
    row: FigureEffect, base: Mapping[int, float], head: Mapping[int, float], *, paired: bool
) -> FigureEffect:
    if paired:
        both = sorted(base.keys() & head.keys())
        base, head = {b: base[b] for b in both}, {b: head[b] for b in both}
    sides = [list(base.values()), list(head.values())]
    if not all(sides):
        return replace(row, doubt=_lacking(row))
    softened = [[value + row.figure.floor for value in side] for side in sides]
    if min(min(side) for side in softened) <= 0:
        return replace(row, doubt=Doubt(DoubtKind.ZERO, subject=row.figure.title))
    effect = (statistics.paired_effect if paired else statistics.unpaired_effect)(
        softened[0], softened[1]
    )
    return replace(
        row,
        base_mean=_mean(sides[0]),
        head_mean=_mean(sides[1]),
        effect=effect,
        p_adjusted=effect.p,
    )


def _lacking(row: FigureEffect) -> Doubt:
    if row.figure is CAPACITY:
        return Doubt(DoubtKind.NO_CAPACITY)
    if row.offered_rps is None:
        return Doubt(DoubtKind.NO_LOAD)
    return Doubt(DoubtKind.NO_STEP, row.offered_rps)


def _mean(values: Sequence[float]) -> float:
    return statistics.geometric_mean(values) if min(values) > 0 else sum(values) / len(values)


def adjusted(effects: Sequence[FigureEffect]) -> list[FigureEffect]:
    """Return a table's effects with their p-values adjusted for its size by Holm."""
    known = [place for place, row in enumerate(effects) if row.effect and row.effect.p is not None]
    p_values = statistics.holm([effects[place].effect.p or 0.0 for place in known])  # type: ignore[union-attr]
    by_place = dict(zip(known, p_values, strict=True))
    return [replace(row, p_adjusted=by_place.get(place)) for place, row in enumerate(effects)]
