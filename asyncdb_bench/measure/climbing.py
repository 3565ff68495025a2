"""Rungs of a ladder as turns: which load a variant is asked for next. Pure."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from asyncdb_bench.analysis.step.validity import is_saturated
from asyncdb_bench.measure.turns import TurnOrder
from asyncdb_bench.plan.profiles import rung_window_s
from asyncdb_bench.records.plan import Plan, PlannedScenario
from asyncdb_bench.records.step import Step


class Rung(NamedTuple):
    """A rung to offer: its place in the ladder, and whether the application must settle first."""

    place: int
    settle: bool = False


class Offered(NamedTuple):
    """What came of a rung: whether the objective held, and whether more load adds nothing."""

    holds: bool
    saturated: bool


def climb(ladder: Sequence[float], *, gallop: bool = False) -> Generator[Rung, Offered, None]:
    """Climb until the variant saturates or the ladder ends.

    Parameters
    ----------
    ladder : offered loads, 1/s.
    gallop : climb two rungs at a time, then fill in the one below the first miss.

    Returns
    -------
    A generator that yields the next rung and is sent what came of it.
    """
    missed_before = False
    done: set[int] = set()
    last = len(ladder) - 1
    for place in dict.fromkeys([*range(0, last + 1, 2 if gallop else 1), last]):
        found = yield Rung(place)
        done.add(place)
        if not found.holds and place and place - 1 not in done:
            # the rung that was leapt over, once what this one left has been worked off
            yield Rung(place - 1, settle=True)
            return
        if found.saturated or (missed_before and not found.holds):
            return
        missed_before = not found.holds


ATTEMPTS = 2
"""How often a rung is offered at most where it was not sound."""
LEAD_S = 0.1
SETTLE_S = 0.5
"""Load before a rung's window, at its own rate; longer where the rung before left a queue."""


class Climbing:
    """The ladders of a run.

    Parameters
    ----------
    plan : for the ladders, and how long their windows are.

    Attributes
    ----------
    began : whether the ladder that is being climbed has a rung already.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._latest: Step | None = None
        self.began = False

    def note(self, step: Step) -> None:
        """Take note of what a rung showed, sound or not."""
        self._latest = step

    def climb(self, asked: PlannedScenario, variant: str) -> Iterator[TurnOrder]:
        """Yield rung after rung; what each showed is noted before the next is asked for.

        A rung of which nothing was noted lost a part: what the variant showed before counts for
        nothing either, and it begins anew. Who asks ends where it cannot be asked any more.

        Parameters
        ----------
        asked, variant : which ladder, and who climbs it.
        """
        ended = False
        while not ended:
            self.began = False
            ended = yield from self._climb(asked, variant)

    def _climb(self, asked: PlannedScenario, variant: str) -> Generator[TurnOrder, None, bool]:
        """Climb from the lowest rung; return whether the end was met, and nothing was lost."""
        rungs = climb(asked.ladder, gallop=asked.gallop)
        rung = next(rungs)
        while True:
            yield from self._offer(asked, variant, rung.place, settle=rung.settle)
            step = self._latest
            if step is None:
                return False
            self.began = True
            try:
                rung = rungs.send(Offered(step.holds, _is_over(asked, step)))
            except StopIteration:
                return True

    def _offer(
        self, asked: PlannedScenario, variant: str, place: int, *, settle: bool
    ) -> Iterator[TurnOrder]:
        """Offer a rung, once more where it was not sound but the variant could carry more.

        Far beyond its capacity the next window would begin with the queue of this one.
        """
        settings, rate = self._plan.settings, asked.ladder[place]
        for _ in range(ATTEMPTS):
            self._latest = None
            yield TurnOrder(
                variant,
                asked.label,
                "rung",
                0,
                rung_window_s(settings, asked, rate),
                max(SETTLE_S if settle else LEAD_S, 0.0 if self.began else settings.warmup_s)
                if not asked.shape and not asked.websocket
                else 0.0,
                rate,
                drain_s=settings.drain_s,
            )
            latest: Step | None = self._latest
            if latest is None or latest.valid or _is_over(asked, latest):
                return


def _is_over(asked: PlannedScenario, step: Step) -> bool:
    """Return whether a variant is so far beyond its capacity that higher rungs add nothing."""
    return is_saturated(
        asked.objective,
        step.ledger,
        step.latency,
        step.offered_rps * asked.mean_factor,
        step.achieved_rps,
    )
