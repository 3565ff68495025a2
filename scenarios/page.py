"""`page`: several statements one after another in one transaction, half of them related rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncdb_bench import KnobError, PostKnobs, PostScenario, knob

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class PageKnobs(PostKnobs):
    """Habits of applications besides."""

    commit: bool = knob(True, help="false: sessions that only read are closed without COMMIT")
    shapes: int = knob(
        1, unit="shapes", low=1, high=10_000, help="lengths of IN lists, drawn; Core rows"
    )
    part: int = knob(
        0, unit="rows", low=0, high=10_000, help="streamed, so many at a time; 0: at once; Core"
    )


class Page(PostScenario[PageKnobs]):
    """What a page of a web application asks for: each statement waits for the one before."""

    name = "page"
    summary = "5 statements one after another in a transaction; related rows by selectinload"
    Knobs = PageKnobs

    def mix(self) -> dict[str, float]:
        """Only pages: by the ORM or by Core, by lists of keys, or streamed."""
        knobs = self.knobs
        if knobs.part and knobs.shapes > 1:
            raise KnobError("page: part= streams ranges of keys, shapes= asks for lists: take one")
        name = "page" if knobs.entities == "orm" else "page_core"
        name = "listed" if knobs.shapes > 1 else "streamed" if knobs.part else name
        return {name if knobs.commit else f"{name}_uncommitted": 1.0}

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw where the rows begin, and how long a list is."""
        drawn = super().params(operation, rng)
        if operation.startswith("listed"):
            drawn["longer"] = int(rng.integers(self.knobs.shapes))
        if operation.startswith("streamed"):
            drawn["part"] = self.knobs.part or 100
        return drawn
