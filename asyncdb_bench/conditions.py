"""When a verdict would change, and what the best costs: sentences from the tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from asyncdb_bench.analysis import Comparison
from asyncdb_bench.wording import listed, number

DEAR = 1.5
"""From this ratio on a difference at one load is told: measured once, less may be the machine."""
FELT_MS = 10.0
"""A loop lag below it is nobody's reason to choose otherwise."""


def conditions(comparison: Comparison, best: Sequence[str]) -> tuple[str, ...]:
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
    found = [_until(comparison, best)]
    if len(best) == 1:
        found += [
            _cheaper(comparison, best[0], rivals),
            _sooner(comparison, best[0], rivals),
            _freer(comparison, best[0], rivals),
        ]
    return tuple(each for each in found if each)


def _until(comparison: Comparison, best: Sequence[str]) -> str:
    carried = [comparison.capacities[name] for name in best]
    top = max(each.rps for each in carried)
    if any(each.open_ended for each in carried):
        return f"the ladder ended at {number(top)}/s: what lies beyond was not asked"
    held_back = {
        limit.diagnosis.bottleneck
        for name in best
        if (limit := comparison.limits.get(name)) and limit.diagnosis.bottleneck
    } - {"not identified"}
    short = f" ({listed(sorted(held_back))})" if held_back else ""
    return (
        f"beyond about {number(top)}/s no variant of this run holds the objective: what was short"
        f"{short} must grow, or the load be shared by more processes"
    )


def _cheaper(comparison: Comparison, best: str, rivals: Sequence[str]) -> str:
    """Say who does the same work with less CPU, and what that does to the loop."""
    said = []
    for rival in rivals:
        at = _highest_held(comparison, best, rival)
        if at is None:
            continue
        mine, theirs = at
        ratio = _apart(mine, theirs, "cpu_ms_per_request")
        if ratio:
            said.append((ratio, rival, mine, theirs))
    if not said:
        return ""
    ratio, rival, mine, theirs = max(said, key=lambda each: each[0])
    text = (
        f"up to {number(theirs.offered_rps)}/s {rival} does it with {ratio:.1f} x less CPU"
        f" ({number(theirs.cpu_ms_per_request)} against {number(mine.cpu_ms_per_request)} ms per"
        " request)"
    )
    if theirs.loop_lag_p99_ms > FELT_MS and _apart(theirs, mine, "loop_lag_p99_ms"):
        text += (
            f", but holds up the loop for {number(theirs.loop_lag_p99_ms)} ms at p99 (instead of"
            f" {number(mine.loop_lag_p99_ms)})"
        )
    return text


def _sooner(comparison: Comparison, best: str, rivals: Sequence[str]) -> str:
    """Say who answers sooner at the lowest load that both held."""
    said = []
    for rival in rivals:
        at = _lowest_held(comparison, best, rival)
        if at is not None and (ratio := _apart(at[0], at[1], "p99_ms")):
            said.append((ratio, rival, *at))
    if not said:
        return ""
    _, rival, mine, theirs = max(said, key=lambda each: each[0])
    return (
        f"at {number(theirs.offered_rps)}/s {rival} answers sooner: p99 {number(theirs.p99_ms)}"
        f" against {number(mine.p99_ms)} ms"
    )


def _freer(comparison: Comparison, best: str, rivals: Sequence[str]) -> str:
    """Say who keeps the loop freer than the best, for those with WebSockets on the same loop."""
    said = []
    for rival in rivals:
        at = _highest_held(comparison, best, rival)
        if at is None or not at[0].loop_lag_p99_ms > FELT_MS:
            continue
        if ratio := _apart(at[0], at[1], "loop_lag_p99_ms"):
            said.append((ratio, rival, *at))
    if not said:
        return ""
    _, rival, mine, theirs = max(said, key=lambda each: each[0])
    return (
        f"where the loop must stay free for others, {rival} does better up to"
        f" {number(theirs.offered_rps)}/s: loop lag p99 {number(theirs.loop_lag_p99_ms)} against"
        f" {number(mine.loop_lag_p99_ms)} ms"
    )


def _held(comparison: Comparison, one: str, other: str) -> list[tuple[pd.Series, pd.Series]]:
    """Return the rows of two variants at each load that both held soundly, lowest first."""
    table = comparison.by_load
    sound = table[table.valid & table.holds]
    rows = [
        sound[sound.variant == name].set_index("offered_rps", drop=False) for name in (one, other)
    ]
    shared = sorted(set(rows[0].index) & set(rows[1].index))
    return [(rows[0].loc[load], rows[1].loc[load]) for load in shared]


def _highest_held(
    comparison: Comparison, one: str, other: str
) -> tuple[pd.Series, pd.Series] | None:
    held = _held(comparison, one, other)
    return held[-1] if held else None


def _lowest_held(
    comparison: Comparison, one: str, other: str
) -> tuple[pd.Series, pd.Series] | None:
    held = _held(comparison, one, other)
    return held[0] if held else None


def _apart(more: pd.Series, less: pd.Series, figure: str) -> float | None:
    """Return `more` / `less` of a figure where that is a difference to tell, else None."""
    high, low = more[figure], less[figure]
    if pd.isna(high) or pd.isna(low) or low <= 0 or high < DEAR * low:
        return None
    least, most = more.get(f"{figure}_low"), less.get(f"{figure}_high")
    if pd.notna(least) and pd.notna(most) and float(least) <= float(most):
        return None
    return float(high / low)
