"""A turn: what one variant does in a window while the others are paused, and how long. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncdb_bench.analysis.values import LONGEST_PACE_S
from asyncdb_bench.records.doubts import Doubt
from asyncdb_bench.records.plan import Plan, Purpose, Trial, TurnKind
from asyncdb_bench.records.step import Step

COMMON_SHARE = 0.5
"""Of the slowest variant's pace: the load common to all."""
FAR_SLOWER = 0.25
"""A variant with less of the best pace does not set the common load: the others would idle."""
CARRIES = 0.9
"""Of its pace up to which a variant is asked for the common load."""

CYCLES = 6
"""Batches of requests that a window at full speed should hold: those that are let in together end
together, and of fewer it is felt which of them the window cuts."""
LEAST_CYCLES = 2.5
"""Likewise of requests that take so long that `CYCLES` of them are too many."""
LEAD_S, LEAD_CYCLES = 0.04, 1.0
"""Load before a window: until as many requests as are served at once have been answered, so that
the queue that it measures under is there."""
LONGEST_LEAD_S = 0.5
JITTER = 0.5
"""Share of the lead by which it is longer at random: answers that come in bunches, one for each
connection of the pool, are then cut at any place."""

ARRIVALS = 80
"""Arrivals that a window at a load should have: fewer say little of a p99."""
LOAD_S, LONGEST_LOAD_S = 0.5, 2.0
"""Bounds of a window at a load. A queue builds up over many arrivals, so that a window of 0.2 s
would show less of it than a server that runs on has."""
LIMIT_S, LIMIT_LEAD_S = 1.0, 0.3
"""Least window, and load before it, near the limit: there a queue takes longest to fill."""
IDLE_S = 0.5
"""Length of a turn at rest: at 1,000 heartbeats a second, whose cost is what it finds."""
RUN_IN_ROUNDS = 2
"""Rounds of each scenario in a launch before its variants rest: what is left over of their start
(Celery's workers go on for a second or two after their first answer) is not what they use with
nothing to do."""
OVERLOAD_LEAD_S = 0.3
"""Load before an overload's turn, at what it is before the overload."""
LONGEST_REST_S = 15.0
"""How long a turn waits after an overload until nothing is under way."""
USUAL_REST_S = 1.0
"""Likewise of most; what the budget reckons with."""
DRAIN_S = 3.0
"""How long a turn waits for what is under way at its end, at least."""


@dataclass(frozen=True, slots=True)
class TurnOrder:
    """A turn to take.

    Parameters
    ----------
    variant, scenario, kind : whose, asked for what, and what for.
    round : of the scenario in the launch, from 0.
    window_s, lead_s : measured, and loaded before it.
    load_rps : arrivals a second; 0: at rest, or a closed loop.
    share : of the variant's own pace; None where that is not known.
    drain_s : how long it waits for what is under way at its end.
    """

    variant: str
    scenario: str
    kind: TurnKind
    round: int
    window_s: float
    lead_s: float = 0.0
    load_rps: float = 0.0
    share: float | None = None
    drain_s: float = DRAIN_S


def pace_window_s(least_s: float, pace_rps: float, at_once: int) -> float:
    """Return the length of a window at full speed, seconds.

    Parameters
    ----------
    least_s : of the settings.
    pace_rps : of the variant, 1/s; 0: not known yet.
    at_once : requests that it serves at once at most.
    """
    if not pace_rps:
        return least_s
    cycle_s = at_once / pace_rps
    return min(max(least_s, CYCLES * cycle_s), max(LONGEST_PACE_S, LEAST_CYCLES * cycle_s))


def pace_lead_s(pace_rps: float, at_once: int, random: float) -> float:
    """Return the load before a window at full speed, seconds.

    Parameters
    ----------
    pace_rps, at_once : as :func:`pace_window_s`.
    random : uniform from 0 to 1.
    """
    cycle = LEAD_CYCLES * at_once / pace_rps if pace_rps else 0.0
    return min(max(LEAD_S, cycle), LONGEST_LEAD_S) * (1 + JITTER * random)


def load_window_s(kind: TurnKind, load_rps: float, least_s: float = 0.0) -> float:
    """Return the length of a window at a load, seconds.

    Parameters
    ----------
    kind : of the turn.
    load_rps : offered, 1/s.
    least_s : of the settings, where they ask for longer windows.
    """
    shortest = max(LIMIT_S if kind == "limit" else LOAD_S, least_s)
    return min(max(shortest, ARRIVALS / load_rps), max(LONGEST_LOAD_S, least_s))


def common_load(paces: Sequence[float]) -> float:
    """Return the load common to all variants, 1/s; 0: none has a pace.

    Half of the slowest pace, those far slower than the best left out, rounded down to a tenth of a
    decade (the Renard series R10, ISO 3): runs on the same machine then mostly share it.
    """
    known = [each for each in paces if each > 0]
    if not known:
        return 0.0
    slowest = min(each for each in known if each >= FAR_SLOWER * max(known))
    load = math.pow(10, math.floor(10 * math.log10(COMMON_SHARE * slowest)) / 10)
    return max(round(load, 0 if load >= 40 else 1), 0.1)


Key = tuple[str, str]
"""Labels of a variant and a scenario."""


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """What to launch next; what runs then is ended first.

    Parameters
    ----------
    number : of the launch, from 0, counted for each purpose by itself.
    asked : variants and scenarios, labels; what is refused or lost for good is left out.
    purpose : what it is for.
    notes : what a reader should know of all that it measures.
    """

    number: int
    asked: frozenset[Key]
    purpose: Purpose = "measure"
    notes: tuple[Doubt, ...] = ()


@dataclass(frozen=True, slots=True)
class Now:
    """The time of a run, as a schedule sees it.

    Parameters
    ----------
    spent_s : since the first launch began.
    left_s : that measuring may still take; infinity: no limit.
    """

    spent_s: float
    left_s: float


class Schedule(Protocol):
    """Says what comes next. Pure: it starts nothing and reads no clock."""

    @property
    def plan(self) -> Plan:
        """The variants and scenarios that its orders refer to, and the trials that were begun."""

    def next(self, now: Now) -> LaunchOrder | TurnOrder | None:
        """Return what is done next; None: nothing more."""

    def note_launch(self, order: LaunchOrder, trials: Sequence[Trial]) -> None:
        """Take note of the trials that were begun: they can be asked now."""

    def note_step(self, order: TurnOrder, step: Step | None) -> None:
        """Take note of what a turn showed; None: nothing, as a part was lost."""

    def note_lost(self, trials: Sequence[Trial]) -> None:
        """Take note that what some trials measured counts for nothing, as a part was lost."""

    def note_out(self, variant: str, scenario: str, purpose: Purpose) -> None:
        """Take note that a variant cannot be asked a scenario any more in this launch."""

    def news(self) -> list[str]:
        """Return what a person should be told since the last call, a line each."""
