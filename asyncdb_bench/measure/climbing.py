"""Rungs of a ladder as turns: which load a variant is asked for next. Pure."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from asyncdb_bench.analysis.step.validity import is_saturated
from asyncdb_bench.measure.rungs import Offered, climb
from asyncdb_bench.measure.turns import TurnOrder
from asyncdb_bench.plan.climbs import rung_window_s
from asyncdb_bench.records.plan import Plan, PlannedScenario
from asyncdb_bench.records.step import Step

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
