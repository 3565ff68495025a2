"""The delay that gives a round trip, found on machines that are simulated: quiet, busy, too far."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.services.distances import LEAST, MOST_TRIES, find_delay


class Way:
    """A way whose tries stray, and how often it was asked.

    Parameters
    ----------
    adds_ms : what it takes beside the delay, at the median.
    strays_ms : standard deviation of a try; a fifth of them is longer by a hundred times as much.
    """

    def __init__(self, adds_ms: float, strays_ms: float = 0.0, seed: int = 0) -> None:
        self.adds_ms, self.strays_ms = adds_ms, strays_ms
        self.rng = np.random.default_rng(seed)
        self.delays: list[float] = []
        self.paused = 0

    def through(self, delay_ms: float) -> float:
        self.delays.append(delay_ms)
        strayed = self.strays_ms * float(self.rng.normal())
        held_up = 100 * self.strays_ms if self.rng.uniform() < 0.2 else 0.0
        return self.adds_ms + 2 * delay_ms + strayed + held_up

    def pause(self) -> None:
        self.paused += 1


@given(st.floats(0.1, 20), st.floats(0.02, 0.3))
def test_where_tries_agree_few_are_enough(rtt_ms: float, adds_ms: float) -> None:
    way = Way(adds_ms)
    found = find_delay(rtt_ms, way.through, lambda: 0.01, way.pause)
    assert found.rtt_ms == pytest.approx(max(rtt_ms, adds_ms))
    assert found.delay_ms == pytest.approx(max(0.0, (rtt_ms - adds_ms) / 2))
    assert (len(way.delays), way.paused) == (LEAST, 0)
    assert found.uncertain_ms == pytest.approx(0)
    assert found.direct_ms == 0.01


@pytest.mark.parametrize("seed", range(20))
def test_on_a_busy_machine_it_waits_tries_on_and_does_not_follow_the_last(seed: int) -> None:
    """A fifth of the tries is 5 ms too long, ten times of what was asked for."""
    way = Way(0.2, strays_ms=0.05, seed=seed)
    found = find_delay(0.5, way.through, lambda: 0.1, way.pause)
    assert 2 * found.delay_ms + way.adds_ms == pytest.approx(0.5, abs=0.12)
    assert found.rtt_ms == pytest.approx(0.5)
    assert LEAST <= len(way.delays) <= MOST_TRIES
    assert (way.paused > 0) == (len(way.delays) > 2 * LEAST)


def test_what_is_farther_already_is_told_as_it_is() -> None:
    found = find_delay(0.5, Way(1.4).through, lambda: 1.2)
    assert found == (0.0, 1.4, 1.2, 0.0)
