"""Rungs that were climbed -> what was carried in each launch, and values at one load. Pure.

Each turn near the limit says yes or no. The chance of a yes falls with the offered load; the load
at which it is one half is the capacity. Where the next turn is placed, and what is known after the
last, follow from one posterior distribution on a grid (Watson and Pelli, *QUEST: a Bayesian
adaptive psychometric method*, Perception & Psychophysics 33, 1983; slope and threshold together:
Kontsevich and Tyler, *Vision Research* 39, 1999). Loads are taken as shares of the variant's own
pace in the same block: what makes a launch fast or slow is then in the pace, and not here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from asyncdb_bench.analysis.inference import CAPACITY, CPU, METRICS, PACE, WHOLE, Metric, Slack
from asyncdb_bench.analysis.step.histogram import quantile_ms
from asyncdb_bench.analysis.values import Values, gross_ms, sound
from asyncdb_bench.records.step import Step

USUAL, USUAL_SPREAD, TAILS = math.log(0.85), 0.2, 3
"""Where the limit lies before anything is known: at 85 % of the pace, within a fifth mostly; by
Student's t with so few degrees of freedom, since it may lie anywhere below."""
LEAST, MOST = math.log(0.03), math.log(1.08)
"""A load above the pace is not carried for long, however short the turn; 8 % are the pace's own
uncertainty."""
SLOPES = np.geomspace(0.01, 0.2, 12)
USUAL_SLOPE = math.log(0.04)
"""Natural logarithm of the width within which yes becomes no, and its prior's middle."""
LAPSE = 0.04
"""Share of turns that miss the objective at any load: a pause of the machine."""
GRID = np.linspace(LEAST, MOST, 240)


class Trying(NamedTuple):
    """A turn near the limit: its load over the variant's own pace, and whether it held."""

    share: float
    holds: bool


class LimitLoad(NamedTuple):
    """What is known of the limit.

    Parameters
    ----------
    share : over the pace, the median of what is known.
    log_spread : standard deviation of its logarithm.
    low, high : bounds that hold it with 95 %.
    turns : that it rests on.
    """

    share: float
    log_spread: float
    low: float
    high: float
    turns: int


def limit_load(tried: Iterable[Trying]) -> LimitLoad:
    """Return what some turns say of the limit; from none, what is usual."""
    tried = list(tried)
    weight = -(TAILS + 1) / 2 * np.log1p(((GRID - USUAL) / USUAL_SPREAD) ** 2 / TAILS)
    grid = weight[:, None] - 0.5 * ((np.log(SLOPES) - USUAL_SLOPE) / 0.7)[None, :] ** 2
    for each in tried:
        distance = (math.log(each.share) - GRID[:, None]) / SLOPES[None, :]
        held = (1 - LAPSE) / (1 + np.exp(np.clip(distance, -60, 60)))
        grid = grid + np.log(held if each.holds else 1 - held)
    density = np.exp(grid - grid.max()).sum(axis=1)
    density /= density.sum()
    cumulated = np.cumsum(density)
    low, middle, high = (float(np.interp(level, cumulated, GRID)) for level in (0.025, 0.5, 0.975))
    mean = float((density * GRID).sum())
    return LimitLoad(
        share=math.exp(middle),
        log_spread=math.sqrt(float((density * (GRID - mean) ** 2).sum())),
        low=math.exp(low),
        high=math.exp(high),
        turns=len(tried),
    )


OPEN_ENDED = math.log(100)
"""How much higher a capacity may be where the ladder ended before it was met: any number that
nothing reaches."""


class Climb(NamedTuple):
    """What one launch of a variant carried.

    Parameters
    ----------
    launch : its number.
    carried : the highest load that held, 1/s; 0: none did.
    missed : the lowest above it that did not; None: the ladder ended first.
    crossing : the load between the two at which the p99 meets the objective.
    """

    launch: int
    carried: float
    missed: float | None
    crossing: float


def climbs_of(steps: Sequence[Step], objective_ms: float = math.inf) -> list[Climb]:
    """Return what a variant carried in each launch, from its sound rungs.

    Parameters
    ----------
    steps : of one variant in one scenario.
    objective_ms : the objective's p99.
    """
    rungs = sound(steps, "rung")
    found = []
    for launch in sorted({step.block for step in rungs}):
        own = [step for step in rungs if step.block == launch]
        carried = max((step.offered_rps for step in own if step.holds), default=0.0)
        above = [step.offered_rps for step in own if not step.holds and step.offered_rps > carried]
        missed = min(above, default=None)
        crossing = _crossing(own, carried, missed, objective_ms)
        found.append(Climb(launch, carried, missed, crossing))
    return found


def _crossing(
    steps: Sequence[Step], carried: float, missed: float | None, objective_ms: float
) -> float:
    """Return the load at which the p99 meets the objective, 1/s.

    On the straight line between the two rungs in logarithms of load and p99; `carried` where the
    upper one was missed by something else than its p99.
    """
    p99 = {step.offered_rps: step.latency.p99_ms or 0.0 for step in steps}
    low, high = p99.get(carried, 0.0), p99.get(missed, 0.0) if missed else 0.0
    if missed is None or not 0 < low < objective_ms <= high:
        return carried
    share = math.log(objective_ms / low) / math.log(high / low)
    return carried * math.exp(share * math.log(missed / carried))


def common_rung(own: Mapping[str, Sequence[Step]]) -> float | None:
    """Return the highest load that all variants were measured at soundly; None: there is none.

    Parameters
    ----------
    own : steps by variant.
    """
    loads = [
        {step.offered_rps for step in sound(steps, "rung") if step.achieved_rps > 0}
        for steps in own.values()
        if steps
    ]
    shared = set.intersection(*loads) if loads else set()
    return max(shared, default=None)


def rung_values(own: Mapping[str, Sequence[Step]], objective_ms: float) -> dict[str, Values]:
    """Return the values of what climbed: capacities by launch, the others at the common load.

    A launch has one value of each; how far it may be off follows from the rungs between which it
    lies, and from the order statistics of its one window.

    Parameters
    ----------
    own : steps by variant.
    objective_ms : the objective's p99.
    """
    load = common_rung(own)
    found = {CAPACITY.name: _capacities(own, objective_ms)}
    for metric in METRICS:
        if metric not in (PACE, CAPACITY):
            found[metric.name] = _at_load(own, metric, load)
    return found


def _capacities(own: Mapping[str, Sequence[Step]], objective_ms: float) -> Values:
    cells: dict[str, dict[int, dict[int, float]]] = {}
    slack: dict[str, Slack] = {}
    for name, steps in own.items():
        climbs = [each for each in climbs_of(steps, objective_ms) if each.carried > 0]
        if not climbs:
            continue
        cells[name] = {each.launch: {WHOLE: each.crossing} for each in climbs}
        slack[name] = Slack(
            sum(math.log(each.crossing / each.carried) for each in climbs) / len(climbs),
            sum(_above(each) for each in climbs) / len(climbs),
        )
    return Values(CAPACITY, cells, slack)


def _above(climb: Climb) -> float:
    """Return by how much a capacity may be higher, as a logarithm."""
    if climb.missed is None:
        return OPEN_ENDED
    return math.log(climb.missed / climb.crossing)


def _at_load(own: Mapping[str, Sequence[Step]], metric: Metric, load: float | None) -> Values:
    cells: dict[str, dict[int, dict[int, float]]] = {}
    slack: dict[str, Slack] = {}
    for name, steps in own.items():
        at = [step for step in sound(steps, "rung") if step.offered_rps == load]
        values = {step.block: value for step in at if (value := _value(step, metric)) is not None}
        if not values:
            continue
        cells[name] = {launch: {WHOLE: value} for launch, value in values.items()}
        bounds = [step.latency_bounds.get(metric.name) for step in at]
        known = [each for each in bounds if each is not None]
        if known and len(known) == len(at):
            middle = sum(math.log(value) for value in values.values()) / len(values)
            slack[name] = Slack(
                max(0.0, middle - sum(math.log(max(low, 1e-6)) for low, _ in known) / len(known)),
                max(0.0, sum(math.log(high) for _, high in known) / len(known) - middle),
            )
    return Values(metric, cells, slack)


def _value(step: Step, metric: Metric) -> float | None:
    if metric is CPU:
        return gross_ms(step)
    counts = step.lag_counts if metric.name == "loop_lag_p99_ms" else step.latency_counts
    value = quantile_ms(counts, metric.quantile)
    return None if value is None else value + metric.floor
