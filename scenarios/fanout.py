"""`fanout`: several independent reads that may run at once: what native async is for."""

from __future__ import annotations

from asyncdb_bench import PostKnobs, PostScenario


class Fanout(PostScenario[PostKnobs]):
    """Blocking ways do them one after another, async ones at once, all within their budgets."""

    name = "fanout"
    summary = "5 independent reads of a request, at once where a strategy can"
    Knobs = PostKnobs

    def mix(self) -> dict[str, float]:
        """Only these, as entities or as rows."""
        return {"fanout_orm" if self.knobs.entities == "orm" else "fanout": 1.0}
