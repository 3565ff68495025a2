"""One overload: goodput before, in and after it, and how long it took to be over.

A request is judged by when it was due: a way that answers late work for clients that have gone does
not answer what is due now.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.plan import CALM_SHARE, Overload
from asyncdb_bench.records.step import Observed, Outcome, Overloaded, Span, Work

CALM = 0.9
"""Of the requests before an overload that must be answered in time: else it did not begin calm."""
FEWEST = 10
"""Requests that must be due before it."""
BEYOND = 1.25
"""Times its pace that a variant cannot answer: the pace was not what it can do."""
OFFERED = 0.9
"""Of an overload's requests that the client must ask in time: else it did not offer it."""
USUAL, SLACK, SLACK_US = 0.95, 1.25, 2000
"""Latency is back where it is below this quantile of what it was before, and a little more."""
LONG_S, SLOW = 0.5, 0.2
"""It is back from a request on if of those due within so long no more than this share is slower: a
twentieth was before, too."""
BIN_S = 0.2
UNAVAILABLE, GATEWAY_TIMEOUT = 503, 504


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The requests of a turn's window, in the order in which they were due.

    Parameters
    ----------
    due_us : when each was due, from the window's start, shape (n,).
    waited_us : from then until it was answered or given up.
    outcome, status : what became of it, and HTTP's status; 0: no answer came.
    """

    due_us: NDArray[np.int64]
    waited_us: NDArray[np.int64]
    outcome: NDArray[np.int8]
    status: NDArray[np.int16]

    @classmethod
    def read(cls, file: Path, start_ns: int) -> Arrivals:
        """Return the arrivals that a load wrote down.

        Parameters
        ----------
        file : of the load.
        start_ns : of the window; what was due before it is left out.
        """
        with np.load(file) as columns:
            intended = columns["intended_ns"]
            inside = intended >= start_ns
            return cls(
                (intended[inside] - start_ns) // 1000,
                (columns["done_ns"][inside] - intended[inside]) // 1000,
                columns["outcome"][inside],
                columns["status"][inside],
            )

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which were answered rightly while their client waited."""
        return np.equal(self.outcome, int(Outcome.OK))


def edges_us(overload: Overload) -> tuple[int, int, int]:
    """Return when an overload begins and ends, and the turn ends, from the window's start."""
    begin = overload.before_s
    end = begin + overload.length_s
    return int(begin * 1e6), int(end * 1e6), int((end + overload.after_s) * 1e6)


def span(found: Arrivals, from_us: int, to_us: int) -> Span:
    """Return what became of the requests that were due in a part of a turn."""
    own = (found.due_us >= from_us) & (found.due_us < to_us)
    status = found.status[own]
    gone = (found.outcome[own] == Outcome.TIMEOUT) & (status != GATEWAY_TIMEOUT)
    return Span(
        seconds=(to_us - from_us) / 1e6,
        due=int(own.sum()),
        right=int(found.right[own].sum()),
        left=int(gone.sum()),
        timed_out=int((status == GATEWAY_TIMEOUT).sum()),
        refused=int((status == UNAVAILABLE).sum()),
    )


def calm_us(found: Arrivals, begin_us: int) -> float:
    """Return the latency up to which it is as before an overload, microseconds; 0: not known."""
    before = found.waited_us[found.right & (found.due_us < begin_us)]
    if not len(before):
        return 0.0
    return float(np.quantile(before, USUAL)) * SLACK + SLACK_US


def recovery_s(found: Arrivals, limit_us: float, end_us: int, last_us: int) -> float | None:
    """Return how long after an overload latency was back, seconds.

    Parameters
    ----------
    found : the requests.
    limit_us : latency up to which a request is as before.
    end_us, last_us : when the overload ended, and the turn.

    Returns
    -------
    From the end of the overload until the first request from which on hardly any that was due
    within half a second was slower than before or was not answered; None: there is none.
    """
    after = found.due_us >= end_us
    due = found.due_us[after]
    slow = ~found.right[after] | (found.waited_us[after] > limit_us)
    wanted = max(FEWEST, round(len(due) * LONG_S * 1e6 / max(last_us - end_us, 1)))
    if len(due) < wanted:
        return None
    slow_before = np.concatenate([[0], np.cumsum(slow)])
    each = (slow_before[wanted:] - slow_before[:-wanted]) / wanted
    # a request that was slow itself is no return
    back = np.flatnonzero((each <= SLOW) & ~slow[: len(each)])
    if not len(back):
        return None
    first = int(back[0])
    return float(due[first] - end_us) / 1e6 if first else 0.0


def for_nobody(work: Work | None, reply: StepReply) -> tuple[int | None, float | None]:
    """Return how many requests the database carried out that nobody waited for, and its seconds.

    By rows, of which each request has as many: what was returned beyond those of the right answers.

    Parameters
    ----------
    work : what the database counted; None: it does not tell.
    reply : of the load.
    """
    if work is None or not reply.ledger.ok or not reply.rows:
        return None, None
    more = max(0, work.rows - reply.rows)
    share = more / work.rows if work.rows else 0.0
    return round(more * reply.ledger.ok / reply.rows), work.seconds * share


def overloaded(
    overload: Overload,
    base_rps: float,
    found: Arrivals,
    reply: StepReply,
    observed: Observed,
    rest_s: float | None,
) -> Overloaded:
    """Return what a variant did in an overload.

    Parameters
    ----------
    overload : what was asked for.
    base_rps : load before and after it, half of the variant's pace.
    found, reply, observed : what was recorded.
    rest_s : how long it took until nothing was under way; None: it still was.
    """
    begin, end, last = edges_us(overload)
    limit_us = calm_us(found, begin)
    requests, seconds = for_nobody(observed.work, reply)
    bins = np.arange(0, last + 1, int(BIN_S * 1e6))
    return Overloaded(
        factor=overload.factor,
        pace_rps=base_rps / CALM_SHARE,
        patience_ms=overload.patience_ms,
        before=span(found, 0, begin),
        during=span(found, begin, end),
        after=span(found, end, last),
        recovery_s=recovery_s(found, limit_us, end, last) if limit_us else None,
        calm_ms=limit_us / 1000,
        for_nobody=requests,
        for_nobody_s=seconds,
        sessions=observed.work.sessions if observed.work is not None else None,
        rest_s=rest_s,
        taken_before=observed.taken_before,
        taken_after=observed.taken_after,
        bin_s=BIN_S,
        answered=tuple(np.histogram(found.due_us[found.right], bins)[0].tolist()),
    )


def doubts_of(found: Overloaded, reply: StepReply) -> tuple[Doubt, ...]:
    """Return why a turn says nothing of an overload.

    It was not offered, it did not begin calm, or it was none, since the pace just before was that
    of a bad moment: whatever is due in it can be answered until a patience after its end.
    """
    asked = found.during.due
    missing = (reply.late + reply.ledger.skipped) / asked if asked else 1.0
    if missing > 1 - OFFERED:
        rate = asked / found.during.seconds
        return (Doubt(DoubtKind.NOT_OFFERED, rate, found.factor, 1 - missing),)
    before = found.before
    if before.due < FEWEST or before.share < CALM:
        return (Doubt(DoubtKind.NOT_CALM, before.right, CALM, before.due, FEWEST),)
    could_s = found.during.seconds + found.patience_ms / 1000
    does = found.during.right / could_s / found.pace_rps
    return (Doubt(DoubtKind.NO_OVERLOAD, does, found.factor),) if does > BEYOND else ()
