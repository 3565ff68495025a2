"""What the overloads of a scenario come to, by variant. Pure.

Goodput is told as a share of the variant's own pace, since each was loaded relative to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from asyncdb_bench.records.step import Overloaded, Step


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a variant's overloads of a scenario come to; medians over its sound turns.

    Parameters
    ----------
    variant, turns : whose, and how many.
    factor, after_s : load over the own pace, and for how long was looked after it.
    pace_rps : of its own.
    before, during, after : right answers in time: of those due, of the pace, of those due.
    share : of what the pace allows, from the overload's begin to the turn's end.
    recovery_s : until latency was back; None: in half of the turns or more it was not.
    longest_s : the longest; None: it was not back in one.
    for_nobody : of the requests that the database carried out, the share nobody waited for.
    for_nobody_s : seconds of the database for them, in a turn.
    sessions, most_connections : opened in a turn, and open at once in any.
    lag_p99_ms : of the loop, over the turn.
    threads, connections : held after the turn beyond those before it.
    left, timed_out, refused : of the requests in overload, shares.
    course : right answers over the pace, by time.
    bin_s : of the course.
    """

    variant: str
    turns: int
    factor: float
    after_s: float
    pace_rps: float
    before: float
    during: float
    after: float
    share: float
    recovery_s: float | None
    longest_s: float | None
    for_nobody: float | None
    for_nobody_s: float | None
    sessions: float | None
    most_connections: int | None
    lag_p99_ms: float | None
    threads: float | None
    connections: float | None
    left: float
    timed_out: float
    refused: float
    course: tuple[float, ...]
    bin_s: float


def outcomes(steps: Sequence[Step]) -> dict[str, Outcomes]:
    """Return what the sound overloads of one scenario come to, by variant."""
    turns: dict[str, list[Step]] = {}
    for step in steps:
        if step.overload is not None and step.valid:
            turns.setdefault(step.variant, []).append(step)
    return {name: _outcomes(name, own) for name, own in turns.items()}


def _outcomes(name: str, steps: Sequence[Step]) -> Outcomes:
    found = [step.overload for step in steps if step.overload is not None]
    back = sorted(each.recovery_s if each.recovery_s is not None else np.inf for each in found)
    middle = float(back[len(back) // 2])
    after = [
        (each.for_nobody / max(each.for_nobody + step.ledger.ok, 1), each.for_nobody_s or 0.0)
        for step, each in zip(steps, found, strict=True)
        if each.for_nobody is not None
    ]
    length = min(len(each.answered) for each in found)
    course = [
        median(each.answered[place] / each.bin_s / each.pace_rps for each in found)
        for place in range(length)
    ]
    in_overload = sum(each.during.due for each in found) or 1
    return Outcomes(
        variant=name,
        turns=len(found),
        factor=found[0].factor,
        after_s=found[0].after.seconds,
        pace_rps=median(each.pace_rps for each in found),
        before=median(each.before.share for each in found),
        during=median(each.share_during for each in found),
        after=median(each.after.share for each in found),
        share=median(each.share for each in found),
        recovery_s=middle if np.isfinite(middle) else None,
        longest_s=float(back[-1]) if np.isfinite(back[-1]) else None,
        for_nobody=median(share for share, _ in after) if after else None,
        for_nobody_s=median(seconds for _, seconds in after) if after else None,
        sessions=_median([each.sessions for each in found]),
        most_connections=max((s.connections_peak or 0 for s in steps), default=0) or None,
        lag_p99_ms=_median([step.loop_lag.p99_ms for step in steps]),
        threads=_more(found, "threads"),
        connections=_more(found, "connections"),
        left=sum(each.during.left for each in found) / in_overload,
        timed_out=sum(each.during.timed_out for each in found) / in_overload,
        refused=sum(each.during.refused for each in found) / in_overload,
        course=tuple(course),
        bin_s=found[0].bin_s,
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return float(median(known)) if known else None


def _more(found: Sequence[Overloaded], what: str) -> float | None:
    pairs = [(getattr(e.taken_before, what), getattr(e.taken_after, what)) for e in found]
    known = [after - before for before, after in pairs if None not in (before, after)]
    return float(median(known)) if known else None
