"""Turns that held the objective or missed it -> the load at which it is lost. Pure.

Each turn near the limit says yes or no. The chance of a yes falls with the offered load; the load
at which it is one half is the capacity. Where the next turn is placed, and what is known after the
last, follow from one posterior distribution on a grid (Watson and Pelli, *QUEST: a Bayesian
adaptive psychometric method*, Perception & Psychophysics 33, 1983; slope and threshold together:
Kontsevich and Tyler, *Vision Research* 39, 1999). Loads are taken as shares of the variant's own
pace in the same block: what makes a launch fast or slow is then in the pace, and not here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

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
    lowest, highest : no turn held; no turn missed: it lies below or above all that was tried.
    """

    share: float
    log_spread: float
    low: float
    high: float
    turns: int
    lowest: bool
    highest: bool


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
        lowest=bool(tried) and not any(each.holds for each in tried),
        highest=bool(tried) and all(each.holds for each in tried),
    )
