"""Which delay brings a round trip to what was asked for, found by many short tries. Pure.

On a busy machine the median of one try strays by more than a millisecond, and an adjustment that
follows the last try swings with it. What a try shows is what the way adds beside its delay; that is
the same for all delays, so every try is an observation of one number, whose median is kept. Tries
of the way without the proxy are interleaved, so that both are seen under the same conditions.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple

LEAST, MOST = 4, 24
"""Tries at least and at most."""
EXACT_MS, EXACT = 0.02, 0.01
"""How well the median must be known for no more tries to be made: milliseconds, or a share."""


class Found(NamedTuple):
    """What was found.

    Parameters
    ----------
    delay_ms : of each direction.
    rtt_ms : the round trip that it gives.
    direct_ms : the round trip without the proxy.
    uncertain_ms : by how much `rtt_ms` may be wrong: the standard error of the median.
    """

    delay_ms: float
    rtt_ms: float
    direct_ms: float
    uncertain_ms: float


def find_delay(
    rtt_ms: float,
    through: Callable[[float], float],
    direct: Callable[[], float],
    pause: Callable[[], None] = lambda: None,
) -> Found:
    """Return the delay that gives a round trip, or comes nearest to it.

    Parameters
    ----------
    rtt_ms : asked for; where the way takes longer without any delay, the delay is 0.
    through : sets a delay of each direction and returns the median round trip of a short try, both
        in milliseconds.
    direct : returns the same without the proxy.
    pause : called between tries once the first few disagree: a busy moment may pass.
    """
    added: list[float] = []
    nearest: list[float] = []
    uncertain = 0.0
    for number in range(MOST):
        nearest.append(direct())
        delay = _delay_for(rtt_ms, added) if added else max(0.0, (rtt_ms - nearest[-1]) / 2)
        added.append(through(delay) - 2 * delay)
        uncertain = _error_of_median(added)
        if number + 1 >= LEAST and uncertain <= max(EXACT_MS, EXACT * rtt_ms):
            break
        if number + 1 >= 2 * LEAST:
            pause()
    delay = _delay_for(rtt_ms, added)
    given = statistics.median(added) + 2 * delay
    return Found(delay, given, statistics.median(nearest), uncertain)


def _delay_for(rtt_ms: float, added: list[float]) -> float:
    return max(0.0, (rtt_ms - statistics.median(added)) / 2)


def _error_of_median(values: list[float]) -> float:
    """Return the standard error of a median, by the median absolute deviation.

    1.4826 makes the deviation a normal distribution's standard deviation; a median strays by 1.25
    times as much as a mean (Huber, *Robust Statistics*, 1.2).
    """
    middle = statistics.median(values)
    spread = statistics.median(abs(each - middle) for each in values) * 1.4826
    return float(1.25 * spread / len(values) ** 0.5)
