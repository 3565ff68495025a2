"""What a schedule orders and is told: the interface between what is pure and what measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncdb_bench.measure.turns import TurnOrder
from asyncdb_bench.records.doubts import Doubt
from asyncdb_bench.records.plan import Plan, Purpose, Trial
from asyncdb_bench.records.step import Step

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
