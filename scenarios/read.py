"""`read`: one row by its primary key, about the fastest query that there is."""

from __future__ import annotations

from asyncdb_bench import StandardKnobs, StandardScenario


class Read(StandardScenario[StandardKnobs]):
    """What a chat's lookups look like: the framework costs more than the database."""

    name = "read"
    summary = "one row by primary key"
    loads = (100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1400, 1700, 2000, 2500)

    def work(self) -> str:
        """Return it in words."""
        return "one quick query"

    def asks(self) -> dict[str, float]:
        """Return one query, by primary key."""
        return {"queries": 1, "ms": 0, "rows": 1}

    def mix(self) -> dict[str, float]:
        """Only reads."""
        return {"read": 1.0}
