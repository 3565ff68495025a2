"""`page`: several statements one after another in one transaction, half of them related rows."""

from __future__ import annotations

from asyncdb_bench import Objective, PostKnobs, PostScenario


class Page(PostScenario[PostKnobs]):
    """What a page of a web application asks for: each statement waits for the one before."""

    name = "page"
    summary = "5 statements one after another in a transaction; related rows by selectinload"
    Knobs = PostKnobs

    def mix(self) -> dict[str, float]:
        """Only pages, by the ORM or by Core."""
        return {"page" if self.knobs.entities == "orm" else "page_core": 1.0}

    def objective(self) -> Objective:
        """Fast answers, and time for each statement and row."""
        return Objective(p99_ms=self.usual_ms())

    def ladder(self) -> tuple[float, ...]:
        """Return loads from idle to beyond what one process has been seen to carry."""
        return self.usual_ladder()
