"""The turns of a run of a walk: all releases in every round, until its time is up. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from asyncdb_bench.measure.turn_schedule import TurnSchedule
from asyncdb_bench.measure.turns import RUN_IN_ROUNDS, LaunchOrder, TurnOrder
from asyncdb_bench.records.plan import TurnKind

LOADED = 3
"""In every so many rounds there is a turn at the common load, for latency and loop freezes."""


class WalkSchedule(TurnSchedule):
    """Launches of all releases, and rounds in which each has its turns.

    Unlike a run's own schedule it knows no leader: neighbours far behind are told apart, too.
    """

    def _stages(self) -> Iterator[LaunchOrder | TurnOrder]:
        total = self._given.settings.blocks
        asked = frozenset(
            (variant.label, scenario.label)
            for variant in self._given.variants
            for scenario in self._given.scenarios
            if not variant.not_run and variant.label not in scenario.refused
        )
        for number in range(total):
            self.launches = number + 1
            until_s = self._now.spent_s + self._now.left_s / (total - number)
            yield LaunchOrder(number, asked)
            yield from self._in_one_launch(until_s)

    def _in_one_launch(self, until_s: float) -> Iterator[TurnOrder]:
        most = self._given.settings.rounds
        number = 0
        while self._alive and self._now.spent_s < until_s and not (most and number >= most):
            if number == RUN_IN_ROUNDS:
                yield from self._rest(self._alive)
            for scenario in self._given.scenarios:
                yield from self._round(scenario.label, "pace", number)
                if number % LOADED == LOADED - 1:
                    yield from self._round(scenario.label, "common", number)
            number += 1

    def _round(self, scenario: str, kind: TurnKind, number: int) -> Iterator[TurnOrder]:
        labels = sorted(label for label, asked in self._alive if asked == scenario)
        for label in self._shuffled(labels):
            key = (label, scenario)
            order = self._turns.make(key, kind, number, group=scenario, compared=labels)
            if order is not None and key in self._alive:
                yield order
