"""Answers of all kinds, parameters of all types and routes of all shapes, in one scenario."""

from __future__ import annotations

from typing import Any

from asyncdb_bench import OwnScenario, Recorded, ScenarioKnobs, Tables
from tests.plugins import own, shapes, typed

PARTS = (own.Shop, typed.Typed, shapes.Shapes)


class Everything(OwnScenario[ScenarioKnobs]):
    """Those three on one database, so that an application that serves them starts once."""

    name = "everything"
    summary = "a shop, tickets and things"
    tables = Tables("everything", *(source for each in PARTS for source in each.tables.sources))
    asks_for = {asked: share for each in PARTS for asked, share in each.asks_for.items()}
    recorded = Recorded("shop_values.csv", beside=__file__)

    def draw(self, operation: str, rng: Any) -> dict[str, Any]:
        """Draw as the scenario does whose operation it is."""
        (part,) = [each for each in PARTS if operation in {one.name for one in each.asks_for}]
        return part.draw(self, operation, rng)  # type: ignore[arg-type]
