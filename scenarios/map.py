"""`map`: round trip x queries of a request x time of a query; each cell a scenario of its own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncdb_bench import Objective, StandardKnobs, StandardScenario, knob

if TYPE_CHECKING:
    import numpy as np

AXES = ("rtt", "queries", "ms")
GRIDS: dict[str, Mapping[str, tuple[float, ...]]] = {
    "one": {"queries": (1,), "ms": (0,)},
    "tiny": {"rtt": (0, 1), "queries": (1, 3), "ms": (0,)},
    "coarse": {"rtt": (0, 0.5, 2), "queries": (1, 3, 10), "ms": (0, 2, 10)},
    "fine": {"rtt": (0, 0.5, 1, 2, 5), "queries": (1, 2, 3, 5, 10), "ms": (0, 1, 2, 5, 10)},
}
"""What the slowest way has under way at a turn's end, it must answer within its drain: requests are
0.15 s long at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapKnobs(StandardKnobs):
    """A cell; where an axis is not named, all of the grid's values run."""

    grid: str = knob("coarse", choices=tuple(GRIDS), help="one cell, or so many")
    queries: int = knob(1, unit="queries", low=1, high=100, help="one after another in a request")
    ms: float = knob(0.0, unit="ms", low=0, high=10_000, help="time of each in the database")


class Map(StandardScenario[MapKnobs]):
    """Where one way overtakes another, by what people's requests differ in."""

    name = "map"
    summary = "the map: round trip x queries of a request x time of a query, by pace"
    Knobs = MapKnobs
    pace_only = True
    profile = "map"
    loads = (5, 10, 20, 40, 80, 160, 320, 640, 1280)

    def place(self) -> dict[str, float]:
        """Return the place on the map; the round trip is the run's matter."""
        return {"queries": self.knobs.queries, "ms": self.knobs.ms}

    def work(self) -> str:
        """Return it in words."""
        count = self.knobs.queries
        what = "quick queries" if not self.knobs.ms else f"queries of {self.knobs.ms:g} ms"
        return f"{count} {what} one after another" if count > 1 else f"one of the {what}"

    def asks(self) -> dict[str, float]:
        """Return the place, and that each query finds one row."""
        return self.place() | {"rows": 1}

    @classmethod
    def expand(cls, given: Mapping[str, str]) -> list[dict[str, str]]:
        """Return the cells: those of the grid, with the axes that are named as they are given."""
        grid = GRIDS.get(given.get("grid", "coarse"))
        if grid is None:
            return [dict(given)]
        # asked for again, a cell by itself must stay one
        kept = {"grid"} if given.get("grid") == "one" else set()
        rest = {n: v for n, v in given.items() if n in kept or n not in {"grid", *AXES}}
        axes = [axis for axis in AXES if axis in grid or axis in given]
        values = [
            [given[axis]] if axis in given else [f"{each:g}" for each in grid[axis]]
            for axis in axes
        ]
        return [rest | dict(zip(axes, each, strict=True)) for each in itertools.product(*values)]

    def mix(self) -> dict[str, float]:
        """Only these queries."""
        return {"several": 1.0}

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw where the accounts begin."""
        last = max(1, self.knobs.rows - self.knobs.queries + 1)
        first = int(rng.integers(1, last + 1))
        seconds = self.knobs.ms / 1000
        return {"account": first, "queries": self.knobs.queries, "seconds": seconds}

    def objective(self) -> Objective:
        """Nothing in particular: the pace is compared."""
        return Objective.of_query(self.knobs.ms * self.knobs.queries)
