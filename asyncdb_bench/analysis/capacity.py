"""Steps -> capacities: what a variant carried, within which bounds, how far to rely on it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from asyncdb_bench.analysis import statistics
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.text import number, warranted


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest offered load at which the objective still held.

    Parameters
    ----------
    rps : geometric mean over blocks; 0 where even the lowest load was not carried in a block.
    per_block : the blocks' own values.
    low, high : the value's bounds: 95 % over blocks where there are several, but up to the next
        load at least; else the load that was carried and the next one, which was not. `high` is
        None where the ladder ended first.
    open_ended : whether in some block the ladder ended before the variant was saturated.
    """

    rps: float
    per_block: tuple[float, ...]
    low: float
    high: float | None
    open_ended: bool


def capacity_of(steps: pd.DataFrame) -> Capacity:
    """Return the capacity of one variant in one scenario from its valid steps.

    Parameters
    ----------
    steps : its rows of :func:`steps_table`.
    """
    carried, ceilings = [], []
    for _, block in steps.groupby("block"):
        held = block[block.holds & block.valid].offered_rps
        best = float(held.max()) if len(held) else 0.0
        missed = block[~block.holds & (block.offered_rps > best)].offered_rps
        carried.append(best)
        ceilings.append(float(missed.min()) if len(missed) else None)
    open_ended = any(each is None for each in ceilings) or not carried
    interval = statistics.mean_interval(carried) if carried else None
    tops = [each for each in ceilings if each is not None]
    mean = statistics.geometric_mean(carried) if carried and min(carried) > 0 else 0.0
    low, high = interval or (min(carried, default=0.0), None if open_ended else max(tops))
    if high is not None and not open_ended:
        # blocks that end on the same rung agree on the rung alone, not on what lies above it
        high = max(high, statistics.geometric_mean(tops))
    return Capacity(mean, tuple(carried), low, high, open_ended)


def amount(capacity: Capacity) -> str:
    """Return a capacity, 1/s, with no more digits than its interval over blocks warrants."""
    if len(capacity.per_block) < 2:
        return number(capacity.rps)
    return warranted(capacity.rps, capacity.low, capacity.high)


def undermining(steps: pd.DataFrame, objective_ms: float) -> tuple[Doubt, ...]:
    """Return the reasons of the invalid steps that a capacity rests on.

    An invalid step below the capacity decides nothing. One that ended the climb does, unless the
    objective was missed by the service latency alone, which a client that sent late cannot cause.

    Parameters
    ----------
    steps : one variant's rows of :func:`steps_table` in one scenario.
    objective_ms : the objective's p99.
    """
    found: list[Doubt] = []
    for _, block in steps.groupby("block"):
        best = block[block.holds & block.valid].offered_rps.max()
        above = block[~(block.offered_rps <= best)].sort_values("offered_rps")
        deciding = above[above.holds | (above.offered_rps == above.offered_rps.min())]
        beyond_doubt = ~deciding.holds & (deciding.service_p99_ms >= objective_ms)
        for reasons in deciding[~deciding.valid & ~beyond_doubt].reasons:
            found.extend(reasons)
    return tuple(dict.fromkeys(found))


def uneven(
    steps: pd.DataFrame, ranked: Mapping[str, Capacity], tolerance: float
) -> dict[str, Doubt]:
    """Return whose capacity was measured while a hypervisor took more than from the best.

    What is taken from all alike leaves a comparison fair; what is taken from some does not.

    Parameters
    ----------
    steps : the rows of one scenario.
    ranked : capacities by variant, best first.
    tolerance : difference of the shares of stolen CPU time at the loads that decide: the capacity
        and those above it.
    """
    if not ranked:
        return {}
    shares = {
        name: float(own[own.offered_rps >= min(each.rps, own.offered_rps.max())].stolen.mean())
        for name, each in ranked.items()
        if len(own := steps[steps.variant == name])
    }
    best = next(iter(ranked))
    return {
        name: Doubt(DoubtKind.UNEVEN_STEAL, share, tolerance, shares[best], shares[best], best)
        for name, share in shares.items()
        if share - shares[best] > tolerance
    }


def capacities_by_block(steps: pd.DataFrame, objective_ms: float) -> dict[int, float]:
    """Return the capacity of each block in which it can be relied on.

    Parameters
    ----------
    steps : one variant's rows of :func:`steps_table` in one scenario.
    objective_ms : the objective's p99.

    Returns
    -------
    1/s by block; a block is missing where an invalid step decided, where even the lowest load was
    not carried, or where the ladder ended before the variant was saturated. Between the load that
    was carried and the next it is interpolated, see :func:`crossing`: a ladder's rungs are some 20
    % apart, and two capacities on the same rung would else look exactly alike.
    """
    found = {}
    for block, rows in steps.groupby("block"):
        own = capacity_of(rows)
        if own.rps > 0 and not own.open_ended and not undermining(rows, objective_ms):
            found[int(str(block))] = crossing(rows, own.rps, own.high, objective_ms)
    return found


def crossing(
    steps: pd.DataFrame, carried: float, missed: float | None, objective_ms: float
) -> float:
    """Return the load at which the p99 crosses the objective, 1/s.

    Parameters
    ----------
    steps : one variant's rows in one block.
    carried, missed : the highest load that held, and the next, which did not.
    objective_ms : the objective's p99.

    Returns
    -------
    On the straight line between the two in logarithms of load and p99 (medians of a load's steps);
    `carried` where the next load was missed by something else than its p99.
    """
    low, high = (
        float(steps[steps.offered_rps == load].p99_ms.median()) for load in (carried, missed)
    )
    if missed is None or not 0 < low < objective_ms <= high:
        return carried
    share = math.log(objective_ms / low) / math.log(high / low)
    return carried * math.exp(share * math.log(missed / carried))


def knee(by_load: pd.DataFrame) -> float | None:
    """Return the offered load from which on more load buys mostly waiting, 1/s.

    The load that maximises Kleinrock's power, throughput over response time (*Power and
    deterministic rules of thumb for probabilistic problems in computer communications*, ICC 1979),
    with the median as response time.

    Parameters
    ----------
    by_load : one variant's sound rows, see :func:`aggregate`.

    Returns
    -------
    None from fewer than three loads, of which none can be said to be a bend.
    """
    known = by_load[by_load.p50_ms.notna() & (by_load.p50_ms > 0)]
    if len(known) < 3:
        return None
    power = known.achieved_rps / known.p50_ms
    return float(known.offered_rps.iloc[int(power.to_numpy().argmax())])
