"""`sweep`: the map over query time and rows returned; each cell is a scenario of its own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncdb_bench import Objective, StandardKnobs, StandardScenario, knob

if TYPE_CHECKING:
    import numpy as np

GRIDS: dict[str, tuple[tuple[float, ...], tuple[int, ...]]] = {
    "coarse": ((0, 2, 10, 50), (1, 100, 1000)),
    "fine": ((0, 1, 2, 5, 10, 20, 50, 100, 200), (1, 10, 100, 1000)),
}
RUNG = 1.5
MOST_RPS = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepKnobs(StandardKnobs):
    """A cell; where none is named, the whole grid runs."""

    grid: str = knob("coarse", choices=tuple(GRIDS), help="which cells: coarse is minutes")
    ms: float = knob(0.0, unit="ms", low=0, high=10_000, help="time the query takes")
    fetch: int = knob(1, unit="rows", low=1, high=10_000, help="rows that it returns")


class Sweep(StandardScenario[SweepKnobs]):
    """Where one way overtakes another: by capacity, query time and size of the answer."""

    name = "sweep"
    summary = "the map: query time x rows returned, the best variant of each cell"
    Knobs = SweepKnobs
    gallop = True
    profile = "sweep"

    def cell(self) -> tuple[float, int]:
        """Return the query's time and rows."""
        return self.knobs.ms, self.knobs.fetch

    @classmethod
    def expand(cls, given: Mapping[str, str]) -> list[dict[str, str]]:
        """Return the cells: those of the grid, unless a cell is named."""
        rest = {name: value for name, value in given.items() if name != "grid"}
        times, sizes = GRIDS.get(given.get("grid", "coarse"), GRIDS["coarse"])
        wanted_ms = [rest["ms"]] if "ms" in rest else [f"{each:g}" for each in times]
        wanted = [rest["fetch"]] if "fetch" in rest else [str(each) for each in sizes]
        if given.get("grid", "coarse") not in GRIDS:
            return [dict(given)]
        return [rest | {"ms": ms, "fetch": n} for n, ms in itertools.product(wanted, wanted_ms)]

    def mix(self) -> dict[str, float]:
        """Only the one query."""
        return {"fetch": 1.0}

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw where the rows begin."""
        last = max(1, self.knobs.rows - self.knobs.fetch + 1)
        return {
            "first": int(rng.integers(1, last + 1)),
            "count": self.knobs.fetch,
            "seconds": self.knobs.ms / 1000,
        }

    def objective(self) -> Objective:
        """Five times the query's own time, and never under 100 ms."""
        return Objective(p99_ms=max(100, 5 * self.knobs.ms))

    def ladder(self) -> tuple[float, ...]:
        """Return loads from a quarter of a query running at once to nine, each 1.5 times the last.

        The size of an answer costs Python some 12 µs per row, which bounds what can be carried.
        """
        unit_s = (max(self.knobs.ms, 3) + 0.012 * self.knobs.fetch) / 1000
        top = min(12 / unit_s, MOST_RPS)
        rates = [0.2 / unit_s]
        while rates[-1] * RUNG <= top * 1.0001:
            rates.append(rates[-1] * RUNG)
        return tuple(round(each, 2 if each < 10 else 0) for each in rates)
