"""`fanout`: several independent reads that may run at once: what native async is for."""

from __future__ import annotations

from asyncdb_bench import Objective, PostKnobs, PostScenario


class Fanout(PostScenario[PostKnobs]):
    """Blocking ways do them one after another, async ones at once, all within their budgets."""

    name = "fanout"
    summary = "5 independent reads of a request, at once where a strategy can"
    Knobs = PostKnobs

    def mix(self) -> dict[str, float]:
        """Only these, as entities or as rows."""
        return {"fanout_orm" if self.knobs.entities == "orm" else "fanout": 1.0}

    def objective(self) -> Objective:
        """Fast answers, and time for each statement and row."""
        return Objective(p99_ms=self.usual_ms())

    def ladder(self) -> tuple[float, ...]:
        """Return loads from idle to beyond what one process has been seen to carry."""
        return self.usual_ladder()
