"""A base for scenarios of several queries on `world`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asyncdb_bench.contract.data.worlds import MOST_QUERIES, TABLES, is_world
from asyncdb_bench.contract.knob import knob
from asyncdb_bench.contract.own_scenario import OwnScenario
from asyncdb_bench.contract.scenario import ScenarioKnobs


@dataclass(frozen=True, slots=True, kw_only=True)
class QueriesKnobs(ScenarioKnobs):
    """How many rows a request reads."""

    queries: int = knob(20, unit="queries", low=1, high=MOST_QUERIES, help="of a request")


class WorldScenario(OwnScenario[QueriesKnobs]):
    """Asks for as many rows as its knob says."""

    Knobs = QueriesKnobs
    tables = TABLES

    def draw(self, operation: str, rng: Any) -> dict[str, Any]:
        """Ask for as many as the knob says."""
        return {"queries": self.knobs.queries}


def right_rows(params: Any, answer: Any) -> bool:
    """Return whether as many rows of `world` came as were asked for."""
    return len(answer) == params["queries"] and all(map(is_world, answer))
