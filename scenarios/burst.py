"""`burst`: a base load, ten times as much for some seconds, base again: what queues, how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncdb_bench import Segment, StandardKnobs, StandardScenario, knob

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstKnobs(StandardKnobs):
    """The burst's shape."""

    ms: float = knob(10.0, unit="ms", low=0, high=10_000, help="time the query takes")
    factor: float = knob(10.0, unit="x", low=1, high=1000, help="burst over base")
    before: float = knob(2.0, unit="s", low=0.5, high=600, help="base load before the burst")
    burst: float = knob(2.0, unit="s", low=0.1, high=600, help="length of the burst")
    after: float = knob(4.0, unit="s", low=0.5, high=600, help="base load after it")


class Burst(StandardScenario[BurstKnobs]):
    """A queue that grows: in the broker, in an executor, before a pool, in a socket's buffer."""

    name = "burst"
    summary = "a base load, a 10x burst, base again; the offered load is the base"
    Knobs = BurstKnobs
    p99_ms = 1000
    loads = (5, 10, 20, 40, 60, 80, 120, 160)

    def mix(self) -> dict[str, float]:
        """Only short queries."""
        return {"slow": 1.0}

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Add the query's time."""
        return super().params(operation, rng) | {"seconds": self.knobs.ms / 1000}

    def shape(self) -> tuple[Segment, ...]:
        """Return base, burst, base."""
        return (
            Segment(self.knobs.before, 1.0),
            Segment(self.knobs.burst, self.knobs.factor),
            Segment(self.knobs.after, 1.0),
        )
