"""`mixed`: 80 % reads, 15 % writes, 5 % slow queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncdb_bench import KnobError, Objective, SlowKnobs, StandardScenario, knob

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedKnobs(SlowKnobs):
    """The mix; what is neither a write nor slow is a read."""

    writes: float = knob(15.0, unit="%", low=0, high=100, help="share of writes")
    slow: float = knob(5.0, unit="%", low=0, high=100, help="share of slow queries")


class Mixed(StandardScenario[MixedKnobs]):
    """What an application in life looks like: mostly fast, now and then slow."""

    name = "mixed"
    summary = "80 % reads, 15 % writes, 5 % queries of 50 ms"
    Knobs = MixedKnobs
    loads = (25, 50, 100, 150, 200, 300, 400, 500, 600, 700, 800, 1000, 1200, 1400, 1700, 2000)

    def work(self) -> str:
        """Return it in words."""
        knobs, parts = self.knobs, ["quick reads"]
        if knobs.writes:
            parts.append(f"{knobs.writes:g} % writes")
        if knobs.slow:
            parts.append(f"{knobs.slow:g} % queries of {knobs.ms:g} ms")
        return ", ".join(parts)

    def mix(self) -> dict[str, float]:
        """Return the shares; refuses those that add up to more than 100 %."""
        reads = 100 - self.knobs.writes - self.knobs.slow
        if reads < 0:
            raise KnobError(
                f"mixed:writes={self.knobs.writes:g} and slow={self.knobs.slow:g} add up to more"
                " than 100 %"
            )
        shares = {"read": reads, "write": self.knobs.writes, "slow": self.knobs.slow}
        return {name: share / 100 for name, share in shares.items() if share > 0}

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Add the slow query's time where it is one."""
        drawn = super().params(operation, rng)
        return drawn | {"seconds": self.knobs.ms / 1000} if operation == "slow" else drawn

    def objective(self) -> Objective:
        """Five times the slow query's time, and never under 100 ms."""
        return Objective.of_query(self.knobs.ms)
