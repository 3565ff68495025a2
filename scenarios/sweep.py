"""`sweep`: the map by time of the query and rows returned; each cell a scenario of its own."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepKnobs(StandardKnobs):
    """A cell; where none is named, the whole grid runs."""

    grid: str = knob("coarse", choices=tuple(GRIDS), help="which cells: coarse is minutes")
    ms: float = knob(0.0, unit="ms", low=0, high=10_000, help="time the query takes")
    fetch: int = knob(1, unit="rows", low=1, high=10_000, help="rows that it returns")


class Sweep(StandardScenario[SweepKnobs]):
    """Where one way overtakes another, by the query's time and the size of its answer."""

    name = "sweep"
    summary = "the map: query time x rows returned, by pace"
    Knobs = SweepKnobs
    pace_only = True
    profile = "sweep"
    loads = (5, 10, 20, 40, 80, 160, 320, 640, 1280)

    def place(self) -> dict[str, float]:
        """Return the place on the map."""
        return {"ms": self.knobs.ms, "rows": self.knobs.fetch}

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
        """Nothing in particular: the pace is compared."""
        return Objective.of_query(self.knobs.ms)
