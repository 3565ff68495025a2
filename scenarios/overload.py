"""`overload`: twice what a way can do for some seconds, from clients that give up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncdb_bench import Objective, Overload, StandardKnobs, StandardScenario, knob

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class OverloadKnobs(StandardKnobs):
    """The overload, and how long clients and the application wait."""

    ms: float = knob(10.0, unit="ms", low=0, high=10_000, help="time the query takes")
    factor: float = knob(2.0, unit="x", low=1, high=100, help="load over the way's own pace")
    before: float = knob(1.0, unit="s", low=0.5, high=600, help="half of the pace before it")
    length: float = knob(1.5, unit="s", low=0.5, high=600, help="length of the overload")
    # what works off a queue at twice the load's rate needs twice the overload's length
    after: float = knob(5.0, unit="s", low=0.5, high=600, help="half of the pace after it")
    patience: float = knob(
        500.0, unit="ms", low=1, high=60_000, help="after which a client closes its connection"
    )
    timeout: float = knob(
        0.0, unit="ms", low=0, high=60_000, help="the application's own for a request; 0: none"
    )


class OverloadScenario(StandardScenario[OverloadKnobs]):
    """Work that nobody waits for any more, and how long a way takes to come back."""

    name = "overload"
    summary = "half of each way's own pace, twice the pace for 1.5 s, half again; clients give up"
    Knobs = OverloadKnobs
    profile = "overload"
    pace_only = True

    def mix(self) -> dict[str, float]:
        """Only short queries."""
        return {"slow": 1.0}

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Add the query's time."""
        return super().params(operation, rng) | {"seconds": self.knobs.ms / 1000}

    def objective(self) -> Objective:
        """Return the query's time and five times that."""
        return Objective.of_query(self.knobs.ms)

    def work(self) -> str:
        """Say what a request is."""
        knobs = self.knobs
        return f"{knobs.factor:g} x the pace, one query of {knobs.ms:g} ms"

    def asks(self) -> Mapping[str, float]:
        """Return what every request asks of the database."""
        return {"queries": 1, "ms": self.knobs.ms, "rows": 1}

    def overload(self) -> Overload:
        """Return the knobs' overload."""
        knobs = self.knobs
        return Overload(
            knobs.factor, knobs.before, knobs.length, knobs.after, knobs.patience, knobs.timeout
        )
