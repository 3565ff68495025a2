"""Rungs of a ladder as turns: which load a variant is asked for next. Pure."""

from __future__ import annotations

from collections.abc import Iterator

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
        """Take note of what a rung showed."""
        self._latest = step

    def climb(self, asked: PlannedScenario, variant: str, number: int) -> Iterator[TurnOrder]:
        """Yield rung after rung; what each showed is noted before the next is asked for.

        Parameters
        ----------
        asked, variant : which ladder, and who climbs it.
        number : of the scenario's climbs in this launch, from 0.
        """
        self.began = False
        rungs = climb(asked.ladder, gallop=asked.gallop)
        try:
            rung = next(rungs)
            while True:
                yield from self._offer(asked, variant, number, rung.place, settle=rung.settle)
                step = self._latest
                self.began = True
                rung = rungs.send(
                    None if step is None else Offered(step.holds, _is_over(asked, step))
                )
        except StopIteration:
            return

    def _offer(
        self, asked: PlannedScenario, variant: str, number: int, place: int, *, settle: bool
    ) -> Iterator[TurnOrder]:
        settings, rate = self._plan.settings, asked.ladder[place]
        for _ in range(ATTEMPTS):
            self._latest = None
            yield TurnOrder(
                variant,
                asked.label,
                "rung",
                number,
                rung_window_s(settings, asked, rate),
                max(SETTLE_S if settle else LEAD_S, 0.0 if self.began else settings.warmup_s)
                if not asked.shape and not asked.websocket
                else 0.0,
                rate,
                drain_s=settings.drain_s,
            )
            latest: Step | None = self._latest
            if latest is None or latest.valid:
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
