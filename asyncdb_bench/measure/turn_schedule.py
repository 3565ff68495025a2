"""What schedules of turns share: what was begun, who can be asked, who rested in a launch. Pure."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from asyncdb_bench.measure.climbing import Climbing
from asyncdb_bench.measure.turn_orders import TurnOrders
from asyncdb_bench.measure.turns import IDLE_S, Key, LaunchOrder, Now, TurnOrder
from asyncdb_bench.records.files import Seen
from asyncdb_bench.records.plan import Plan, Purpose, Trial
from asyncdb_bench.records.step import Step


class TurnSchedule(ABC):
    """The part of a :class:`asyncdb_bench.measure.turns.Schedule` that does not choose.

    Parameters
    ----------
    plan : variants, scenarios and settings.
    seen : spreads of launches on this machine before.

    Attributes
    ----------
    launches : how many there were, those to confirm aside.
    """

    def __init__(self, plan: Plan, seen: Seen) -> None:
        self.launches = 0
        self._given = plan
        self._seen = seen
        self._random = random.Random(plan.seed)
        self._turns = TurnOrders(plan, self._random)
        self._climbing = Climbing(plan)
        self._begun: list[Trial] = []
        self._alive: set[Key] = set()
        self._rested: dict[str, str] = {}
        self._news: list[str] = []
        self._now = Now(0.0, math.inf)
        self._orders = self._stages()

    @abstractmethod
    def _stages(self) -> Iterator[LaunchOrder | TurnOrder]:
        """Yield what is done, from the first launch on; what each showed is noted in between."""

    @property
    def plan(self) -> Plan:
        """The plan with the trials that were begun."""
        settings = replace(self._given.settings, blocks=max(self.launches, 1))
        return replace(self._given, trials=tuple(self._begun), settings=settings)

    def next(self, now: Now) -> LaunchOrder | TurnOrder | None:
        """Return what is done next; None: nothing is left to tell, or time is up."""
        self._now = now
        return next(self._orders, None)

    def note_launch(self, order: LaunchOrder, trials: Sequence[Trial]) -> None:
        """Take note of what can be asked now."""
        self._begun += trials
        self._alive = {(each.variant, each.scenario) for each in trials}
        self._rested.clear()
        self._turns.begin_launch()

    def note_step(self, order: TurnOrder, step: Step | None) -> None:
        """Take note of what a turn showed."""
        if step is None:
            return
        if order.kind == "rung":
            self._climbing.note(step)
        if step.valid:
            self._turns.note(order, step)

    def note_lost(self, trials: Sequence[Trial]) -> None:
        """Take note that what some trials measured counts for nothing, as a part was lost."""
        for each in trials:
            if self._rested.get(each.variant) == each.scenario:
                del self._rested[each.variant]

    def note_out(self, variant: str, scenario: str, purpose: Purpose) -> None:
        """Take note that a variant cannot be asked a scenario any more in this launch."""
        self._alive.discard((variant, scenario))

    def news(self) -> list[str]:
        """Return what was decided since the last call."""
        news = list(self._news)
        self._news.clear()
        return news

    def _shuffled(self, labels: Sequence[str]) -> list[str]:
        return self._random.sample(labels, len(labels))

    def _rest(self, asked: Iterable[Key]) -> Iterator[TurnOrder]:
        """Have each variant rest once in a launch: what it uses with nothing to do."""
        resting: dict[str, str] = {}
        for variant, scenario in sorted(asked):
            if variant not in self._rested:
                resting.setdefault(variant, scenario)
        for variant in self._shuffled(list(resting)):
            if (variant, resting[variant]) in self._alive:
                self._rested[variant] = resting[variant]
                yield TurnOrder(variant, resting[variant], "idle", 0, IDLE_S)
