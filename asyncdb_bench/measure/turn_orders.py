"""What a turn asks for: how long, at which load, by what is known of the variant. Pure."""

from __future__ import annotations

import math
import random
from collections import defaultdict, deque
from collections.abc import Hashable, Sequence

from asyncdb_bench.analysis.findings import tried_by
from asyncdb_bench.analysis.ladder import limit_load
from asyncdb_bench.analysis.values import tells_pace
from asyncdb_bench.measure.turns import (
    CARRIES,
    DRAIN_S,
    LEAD_S,
    LIMIT_LEAD_S,
    OVERLOAD_LEAD_S,
    USUAL_REST_S,
    Key,
    TurnOrder,
    common_load,
    load_window_s,
    pace_lead_s,
    pace_window_s,
)
from asyncdb_bench.records.plan import CALM_SHARE, Plan, TurnKind
from asyncdb_bench.records.step import Step

LOADS: tuple[TurnKind, ...] = ("common", "limit", "common", "share")
"""Kinds of turns at a load, one after another."""
USUAL_AT_ONCE = 8
"""Requests that an application serves at once of which that is not known."""
GIVEN_UP_S = 1.0
"""Seconds after the timeout in which the application answers what it gave up."""
WORKERS_WARM_S = 1.0
"""Load before the first window of a launch for workers behind a broker: each of their processes
takes its first task more slowly than all others."""
LATEST = 8
"""Windows at full speed that say what a variant's pace is now."""


class TurnOrders:
    """Makes orders of turns.

    Parameters
    ----------
    plan : for settings and budgets.
    chance : draws how long the load before a window is.

    Attributes
    ----------
    commons : by group of variants that are compared, the load common to them, 1/s.
    """

    def __init__(self, plan: Plan, chance: random.Random) -> None:
        self._settings = plan.settings
        self._at_once = {
            each.label: min(each.limits.values(), default=each.budget or USUAL_AT_ONCE)
            for each in plan.variants
        }
        self._overloads = {e.label: e.overload for e in plan.scenarios if e.overload is not None}
        self._chance = chance
        self._drain_s = max(DRAIN_S, plan.settings.timeout_s + GIVEN_UP_S)
        self._paces: dict[Key, deque[float]] = defaultdict(lambda: deque(maxlen=LATEST))
        self._tried: dict[Key, list[Step]] = defaultdict(list)
        self._slow: dict[Key, float] = {}
        self._warm: set[Key] = set()
        self._over_broker = {each.label for each in plan.variants if each.brokers}
        self.commons: dict[Hashable, float] = {}

    def begin_launch(self) -> None:
        """Take note that all were launched afresh: the first window of each is warmed up for."""
        self._warm.clear()

    def note(self, order: TurnOrder, step: Step) -> None:
        """Take note of what a sound turn showed."""
        key = (order.variant, order.scenario)
        if order.kind == "pace" and tells_pace(step):
            self._paces[key].append(step.achieved_rps)
        elif order.kind == "pace" and step.ledger.ok:
            # few answers came within the window, most of them after it
            self._slow[key] = step.ledger.ok / step.lasted_s
        elif order.kind in LOADS:
            self._tried[key].append(step)

    def pace(self, key: Key) -> float:
        """Return what a variant does at full speed now, 1/s; 0: not known."""
        known = self._paces[key]
        return math.exp(sum(map(math.log, known)) / len(known)) if known else 0.0

    def drains_s(self, order: TurnOrder) -> float:
        """Return how long the connections of a closed loop wait for their last answer, seconds.

        Of an overload, how long it mostly takes until nothing is under way.
        """
        key = (order.variant, order.scenario)
        if order.kind == "overload":
            return self._overloads[order.scenario].patience_ms / 1000 + USUAL_REST_S
        pace = self.pace(key) or self._slow.get(key, 0.0)
        return self._settings.connections / pace if pace and order.kind == "pace" else 0.0

    def make(
        self,
        key: Key,
        kind: TurnKind,
        number: int,
        *,
        group: Hashable,
        compared: Sequence[str],
        place: int = 0,
    ) -> TurnOrder | None:
        """Return a variant's turn; None: it cannot have one of that kind.

        Parameters
        ----------
        key : labels of variant and scenario.
        kind : ``"pace"``, ``"overload"`` or one of :data:`LOADS`.
        number : of the round.
        group, compared : which variants the common load is common to, and their labels.
        place : of turns at a share of the own pace, which share.
        """
        label, scenario = key
        pace, at_once = self.pace(key), self._at_once[label]
        if kind == "pace":
            lead_s = pace_lead_s(pace, at_once, self._chance.random())
            fresh = all(warm != label for warm, _ in self._warm)
            if key not in self._warm:
                lead_s += self._settings.warmup_s
            if label in self._over_broker and fresh:
                lead_s += WORKERS_WARM_S
            self._warm.add(key)
            known = pace or self._slow.get(key, 0.0)
            window_s = pace_window_s(self._settings.turn_s, known, at_once)
            return TurnOrder(label, scenario, kind, number, window_s, lead_s, drain_s=self._drain_s)
        if kind == "overload":
            return self._overload(key, number, pace)
        load, share = self._load(key, kind, pace, group, compared, place)
        if not load:
            return None
        lead_s = LIMIT_LEAD_S if kind == "limit" else 2 * LEAD_S
        window_s = load_window_s(kind, load)
        return TurnOrder(
            label, scenario, kind, number, window_s, lead_s, load, share, self._drain_s
        )

    def fits(self, key: Key) -> bool:
        """Return whether the client keeps as many requests under way as an overload may have."""
        overload = self._overloads[key[1]]
        under_way = overload.factor * self.pace(key) * overload.patience_ms / 1000
        return under_way <= self._settings.outstanding

    def _overload(self, key: Key, number: int, pace: float) -> TurnOrder | None:
        """Return a variant's overload; None: its pace is not known, or the client cannot."""
        overload = self._overloads[key[1]]
        if not pace or not self.fits(key):
            return None
        return TurnOrder(
            *key, "overload", number, overload.window_s, OVERLOAD_LEAD_S,
            CALM_SHARE * pace, CALM_SHARE, max(self._drain_s, overload.patience_ms / 1000 + 1),
        )  # fmt: skip

    def _load(
        self,
        key: Key,
        kind: TurnKind,
        pace: float,
        group: Hashable,
        compared: Sequence[str],
        place: int,
    ) -> tuple[float, float | None]:
        """Return a turn's load, 1/s, and its share of the variant's pace; 0: none."""
        if not pace:
            return 0.0, None
        if kind == "common":
            if group not in self.commons:
                self.commons[group] = common_load([self.pace((e, key[1])) for e in compared])
            load = self.commons[group]
            return (load, load / pace) if load <= CARRIES * pace else (0.0, None)
        if kind == "share":
            shares = self._settings.shares
            share = shares[place % len(shares)]
        else:
            share = limit_load(tried_by(self._tried[key])).share
        return share * pace, share
