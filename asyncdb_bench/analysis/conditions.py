"""When a verdict would change, and what the best costs: sentences from the tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from asyncdb_bench.analysis.capacity import amount
from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.text import listed, number

NOTABLE = 1.5
"""From this ratio on a difference at one load is told: measured once, less may be the machine."""
FELT_MS = 10.0
"""A loop lag below it is no reason to choose otherwise."""


def conditions_of(comparison: Comparison, best: Sequence[str]) -> tuple[str, ...]:
    """Return when the answer would change, a sentence each.

    Parameters
    ----------
    comparison : the tables of one scenario.
    best : the variants that the verdict names.

    Returns
    -------
    Up to which load the answer holds, who would do with less CPU below it (and what that costs),
    who answers sooner at a low load, and who keeps the loop freest. Differences count where both
    were measured soundly, are :data:`DEAR` apart, and their intervals, if any, do not touch.
    """
    rivals = [n for n, each in comparison.capacities.items() if n not in best and each.rps > 0]
    found = [
        _until(comparison, best),
        _cheaper(comparison, best, rivals),
        _sooner(comparison, best, rivals),
        _freer(comparison, best, rivals),
    ]
    return tuple(each for each in found if each)


def _until(comparison: Comparison, best: Sequence[str]) -> str:
    carried = [comparison.capacities[name] for name in best]
    top = amount(max(carried, key=lambda each: each.rps))
    if any(each.open_ended for each in carried):
        return f"the ladder ended at about {top}/s: what lies beyond was not asked"
    held_back = {
        limit.diagnosis.bottleneck
        for name in best
        if (limit := comparison.limits.get(name)) and limit.diagnosis.bottleneck
    } - {"not identified"}
    short = f" ({listed(sorted(held_back))})" if held_back else ""
    return (
        f"beyond about {top}/s no variant of this run holds the objective: what was short"
        f"{short} must grow, or the load be shared by more processes"
    )


def _cheaper(comparison: Comparison, best: Sequence[str], rivals: Sequence[str]) -> str:
    """Say who does the same work with less CPU, and what that does to the loop."""
    found = _widest(comparison, best, rivals, "cpu_ms_per_request", highest=True)
    if found is None:
        return ""
    text = (
        f"up to {number(found.rps)}/s {found.rival} does it with {found.ratio:.1f} x less CPU"
        f" ({number(found.theirs.cpu_ms_per_request)} against"
        f" {number(found.mine.cpu_ms_per_request)} ms per request)"
    )
    lags = found.mine.loop_lag_p99_ms, found.theirs.loop_lag_p99_ms
    if lags[1] > FELT_MS and _apart(found.theirs, found.mine, "loop_lag_p99_ms"):
        text += (
            f", but holds up the loop for {number(lags[1])} ms at p99 (instead of"
            f" {number(lags[0])})"
        )
    return text


def _sooner(comparison: Comparison, best: Sequence[str], rivals: Sequence[str]) -> str:
    """Say who answers sooner at the lowest load that both held."""
    found = _widest(comparison, best, rivals, "p99_ms", highest=False)
    if found is None:
        return ""
    return (
        f"at {number(found.rps)}/s {found.rival} answers sooner: p99"
        f" {number(found.theirs.p99_ms)} against {number(found.mine.p99_ms)} ms"
    )


def _freer(comparison: Comparison, best: Sequence[str], rivals: Sequence[str]) -> str:
    """Say who keeps the loop freer than the best, for those with WebSockets on the same loop."""
    found = _widest(comparison, best, rivals, "loop_lag_p99_ms", highest=True)
    if found is None or found.mine.loop_lag_p99_ms <= FELT_MS:
        return ""
    return (
        f"where the loop must stay free for others, {found.rival} does better up to"
        f" {number(found.rps)}/s: loop lag p99 {number(found.theirs.loop_lag_p99_ms)} against"
        f" {number(found.mine.loop_lag_p99_ms)} ms"
    )


class _Gap(NamedTuple):
    """How far a rival is ahead of the nearest of the best in some figure, and where."""

    ratio: float
    rival: str
    rps: float
    mine: Any
    theirs: Any


def _widest(
    comparison: Comparison,
    best: Sequence[str],
    rivals: Sequence[str],
    figure: str,
    *,
    highest: bool,
) -> _Gap | None:
    """Return the rival that is furthest ahead of all the best, at one load that all of them held.

    Parameters
    ----------
    comparison, best, rivals : as above.
    figure : less of it is better.
    highest : whether at the highest such load, or the lowest.
    """
    table = comparison.by_load
    sound = table[table.valid & table.holds].set_index("offered_rps")
    by_name = {str(name): rows for name, rows in sound.groupby("variant")}
    found = []
    for rival in rivals:
        held = [set(by_name[name].index) for name in (*best, rival) if name in by_name]
        shared = set.intersection(*held) if len(held) == len(best) + 1 else set()
        if not shared:
            continue
        load = max(shared) if highest else min(shared)
        theirs = by_name[rival].loc[load]
        rows = [by_name[name].loc[load] for name in best]
        ratios = [_apart(row, theirs, figure) for row in rows]
        if all(ratios):
            ratio, place = min((each or 0, n) for n, each in enumerate(ratios))
            found.append(_Gap(ratio, rival, float(load), rows[place], theirs))
    return max(found, key=lambda gap: gap.ratio, default=None)


def _apart(more: Any, less: Any, figure: str) -> float | None:
    """Return `more` / `less` of a figure where that is a difference to tell, else None."""
    high, low = more[figure], less[figure]
    if pd.isna(high) or pd.isna(low) or low <= 0 or high < NOTABLE * low:
        return None
    least, most = more.get(f"{figure}_low"), less.get(f"{figure}_high")
    if pd.notna(least) and pd.notna(most) and float(least) <= float(most):
        return None
    return float(high / low)
