"""How often what was measured was lost, and what follows: once more, or not measured. Pure."""

from __future__ import annotations

from collections import Counter

from asyncdb_bench.analysis.standing import MOST


class Losses:
    """Counts losses in a run, by scenario and variant."""

    def __init__(self) -> None:
        self._count: Counter[tuple[str, str]] = Counter()

    def note(self, scenario: str, variant: str) -> bool:
        """Note a loss; return whether the variant is measured once more."""
        self._count[scenario, variant] += 1
        return self._count[scenario, variant] < MOST

    def out(self, scenario: str, variant: str) -> bool:
        """Return whether a variant is not measured in a scenario any more."""
        return self._count[scenario, variant] >= MOST
