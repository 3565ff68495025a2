"""TechEmpower's four tests behind one application, so that a strategy starts once for all."""

from __future__ import annotations

from asyncdb_bench import OwnScenario, ScenarioKnobs, Tables
from asyncdb_bench.contract.data.worlds import FORTUNE, WORLD
from scenarios.db import db
from scenarios.fortunes import fortunes
from scenarios.queries import queries
from scenarios.updates import updates


class FourTests(OwnScenario[ScenarioKnobs]):
    """Both tables, all four routes."""

    name = "four_tests"
    summary = "TechEmpower's four database tests"
    tables = Tables("four", *WORLD.sources, *FORTUNE.sources)
    asks_for = {db: 1, fortunes: 1, queries: 1, updates: 1}

    def draw(self, operation: str, rng: object) -> dict[str, int]:
        """Ask for two rows."""
        return {"queries": 2} if operation in {"queries", "updates"} else {}
