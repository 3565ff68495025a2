"""What a turn cost in CPU time, with and without what a variant uses at rest. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asyncdb_bench.records.plan import TurnKind
from asyncdb_bench.records.step import Step

OWN_ROLES = ("app", "workers", "broker")
"""Roles whose CPU time a variant is charged with: what it needs beside the database."""
ANSWERED_S = 0.05
"""A turn's accounts begin so much before its load, and end after its last answer."""


def sound(steps: Iterable[Step], kind: TurnKind) -> list[Step]:
    """Return the turns of one kind that were measured soundly."""
    return [step for step in steps if step.turn.kind == kind and step.valid]


LONGEST_PACE_S = 2.0
"""Window of a turn at full speed, at most."""
FEWEST_COMPLETIONS = 3
"""In a window at full speed, unless it is as long as it may be: fewer say nothing of a pace. It
happens in a first window, as long as nobody knows how slow a variant is."""


def tells_pace(step: Step) -> bool:
    """Return whether a turn at full speed was long enough to say what a variant does."""
    completions = step.achieved_rps * step.window_s
    long_enough = step.window_s >= LONGEST_PACE_S or completions >= FEWEST_COMPLETIONS - 0.5
    return step.achieved_rps > 0 and long_enough


@dataclass(frozen=True, slots=True)
class Rest:
    """What a variant uses with nothing to do.

    Parameters
    ----------
    beat_s : CPU seconds of the application for each heartbeat: a busy loop has fewer.
    other : of workers and broker, CPU seconds a second.
    app : of the application, CPU seconds a second.
    """

    beat_s: float = 0.0
    other: float = 0.0
    app: float = 0.0

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Rest:
        """Return the use of one variant's turns at rest; nothing where there are none.

        Parameters
        ----------
        steps : all of the variant's turns in a launch. What workers and broker use at rest is no
            more than in any turn at full speed: more is something else, such as the rest of a
            start.
        """
        steps = list(steps)
        idle, busy = sound(steps, "idle"), sound(steps, "pace")
        seconds = sum(step.lasted_s for step in idle)
        if not seconds:
            return cls()
        app = sum(_used_s(step, OWN_ROLES[:1]) for step in idle)
        beats = sum(step.turn.beats for step in idle)
        other = sum(_used_s(step, OWN_ROLES[1:]) for step in idle) / seconds
        least = min(
            (_used_s(e, OWN_ROLES[1:]) / (e.lasted_s + ANSWERED_S) for e in busy), default=other
        )
        return cls(app / beats if beats else 0.0, min(other, least), app / seconds)

    @property
    def busy(self) -> float:
        """Share of a core that is used at rest, by all of its processes."""
        return self.app + self.other


def gross_ms(step: Step) -> float | None:
    """Return the CPU time per right answer of application, workers and broker, milliseconds."""
    if not step.ledger.ok:
        return None
    return _used_s(step, OWN_ROLES) * 1000 / step.ledger.ok


def net_ms(step: Step, rest: Rest) -> float | None:
    """Return the same without what the variant uses at rest."""
    gross = gross_ms(step)
    if gross is None:
        return None
    seconds = step.lasted_s + ANSWERED_S
    idle_s = rest.beat_s * step.turn.beats + rest.other * seconds
    return gross - idle_s * 1000 / step.ledger.ok


def _used_s(step: Step, roles: Iterable[str]) -> float:
    """Return the CPU seconds that some roles used in a turn."""
    return sum(step.usage[role].cpu_s for role in roles if role in step.usage)
