"""Rounds of overloads as turns: who is loaded beyond its pace next. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from asyncdb_bench.measure.turn_orders import TurnOrders
from asyncdb_bench.measure.turns import Key, TurnOrder
from asyncdb_bench.records.doubts import DoubtKind, sentence
from asyncdb_bench.records.plan import Plan, TurnKind
from asyncdb_bench.records.step import Step

ROUNDS = 4
"""Overloads of each variant in a launch, once all have their first paces."""
MOST = 2
"""Overloads that were not offered, after which a variant is asked for none."""
BOTH: tuple[TurnKind, ...] = ("pace", "overload")
"""Turns of a variant in a round."""


class Overloading:
    """The overloads of a run.

    Parameters
    ----------
    plan : for the scenarios that have one.
    turns : makes the orders.
    news : what a person should be told is appended.

    Attributes
    ----------
    had : rounds of each scenario, over all launches.
    """

    def __init__(self, plan: Plan, turns: TurnOrders, news: list[str]) -> None:
        self._scenarios = {e.label for e in plan.scenarios if e.overload is not None}
        self._turns = turns
        self._news = news
        self._not_offered: Counter[Key] = Counter()
        self.had: Counter[str] = Counter()

    def of(self, scenario: str) -> bool:
        """Return whether a scenario is one of overloads."""
        return scenario in self._scenarios

    def take_back(self, scenario: str, had: int) -> None:
        """Count `had` rounds of a scenario at most: a variant had no part in later ones."""
        self.had[scenario] = min(self.had[scenario], had)

    def note(self, order: TurnOrder, step: Step | None) -> None:
        """Take note of what a turn showed.

        Who was not offered its load is asked once more: it may have been a bad moment.
        """
        key = (order.variant, order.scenario)
        reasons = step.reasons if step is not None and order.kind == "overload" else ()
        for doubt in reasons:
            if doubt.kind is DoubtKind.NOT_OFFERED:
                self._not_offered[key] += 1
                if self._not_offered[key] == MOST:
                    self._say(key, sentence(doubt))

    def round(
        self,
        scenario: str,
        labels: Sequence[str],
        number: int,
        left_s: float,
        is_alive: Callable[[Key], bool],
    ) -> Iterator[TurnOrder]:
        """Yield a round's turns, one variant after another: there is time for all, or for none.

        Each has a turn at full speed just before, so that the load is relative to the pace of now.

        Parameters
        ----------
        scenario, labels, number : whose round, in their order, and which it is.
        left_s : seconds that there are; of the first round it does not matter: without it there
            would be no answer.
        is_alive : whether a variant can still be asked.
        """
        first = not self.had[scenario]
        self.had[scenario] += 1
        known = [(label, scenario) for label in labels if self._turns.pace((label, scenario))]
        keys = [key for key in known if self._not_offered[key] < MOST]
        needed_s = sum(
            each.lead_s + each.window_s + self._turns.drains_s(each)
            for key in keys
            for kind in BOTH
            if (each := self._make(key, kind, number)) is not None
        )
        if not first and needed_s > left_s:
            return
        for key in keys:
            # one after another, since the first says how much load the second is
            for kind in BOTH:
                order = self._make(key, kind, number) if is_alive(key) else None
                if order is not None:
                    yield order
            if is_alive(key) and not self._turns.fits(key):
                self._not_offered[key] = MOST
                self._say(key, "not offered: more requests would wait than `outstanding`")

    def _make(self, key: Key, kind: TurnKind, number: int) -> TurnOrder | None:
        return self._turns.make(key, kind, number, group=key[1], compared=())

    def _say(self, key: Key, why: str) -> None:
        """Say why a variant has no further overload."""
        self._news.append(f"{key[1]}: {key[0]} {why}")
