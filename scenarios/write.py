"""`write`: a transaction that inserts a row and updates a counter."""

from __future__ import annotations

from asyncdb_bench import StandardKnobs, StandardScenario


class Write(StandardScenario[StandardKnobs]):
    """What posting a chat message looks like: two statements and a commit."""

    name = "write"
    summary = "a transaction: insert a row, update a counter"
    loads = (50, 100, 150, 200, 250, 300, 350, 400, 500, 600, 700, 800, 1000, 1200)

    def work(self) -> str:
        """Return it in words."""
        return "a transaction of two quick writes"

    def mix(self) -> dict[str, float]:
        """Only writes."""
        return {"write": 1.0}
