"""One trial from start to end: fresh database and processes, warm-up, the ladder, stop."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from asyncdb_bench.analysis.step.validity import audit_doubts
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.records.plan import PlannedScenario, Trial, Variant
from asyncdb_bench.records.step import Step, TrialEnd, end_of
from asyncdb_bench.trial.ladder import Climb
from asyncdb_bench.trial.launch import (
    Launch,
)
from asyncdb_bench.trial.launched import launched
from asyncdb_bench.trial.life import PartLostError
from asyncdb_bench.trial.losses import Losses
from asyncdb_bench.trial.run_context import RunContext
from asyncdb_bench.trial.turns.launching import pin_away


class TrialRunner:
    """Runs trials with real processes.

    Parameters
    ----------
    context : what all trials share.
    """

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.losses = Losses()

    def __call__(
        self, trial: Trial, variant: Variant, scenario: PlannedScenario, place: int
    ) -> tuple[Sequence[Step], Sequence[TrialEnd]]:
        """Run one trial; what breaks in it is recorded in its end and does not end the run.

        A trial that lost a part is run once more, with everything started afresh.

        Parameters
        ----------
        trial, variant, scenario : what to run.
        place : the scenario's place in the plan; with the block it seeds the arrivals, so that all
            variants of a block are offered the same.

        Raises
        ------
        StoreError : the results cannot be written: nothing more can be kept.
        """
        ends: list[TrialEnd] = []
        for attempt in (trial, replace(trial, id=f"{trial.id}-again")):
            if self.losses.out(scenario.label, variant.label):
                break
            steps, end, lost = self._attempt(attempt, variant, scenario, place)
            ends.append(end)
            if lost is None:
                return steps, ends
            self.losses.note(scenario.label, variant.label)
            if lost.shared:
                self.context.recover()
        return (), ends

    def _attempt(
        self, trial: Trial, variant: Variant, scenario: PlannedScenario, place: int
    ) -> tuple[Sequence[Step], TrialEnd, PartLostError | None]:
        context, began = self.context, time.monotonic()
        why, failure, climb = "", "", None
        lost: PartLostError | None = None
        launch = Launch(
            variant=variant,
            scenario=scenario,
            name=trial.id,
            queue=f"asyncdb-bench-{context.run_id}-{trial.id}",
            timeout_s=context.settings.timeout_s,
            outstanding=context.settings.outstanding,
            pinning=context.pinning,
            host=context.address,
            hosts=context.hosts,
            load=context.load_set.child if context.load_set is not None else None,
        )
        if trial.ladder:
            scenario = replace(scenario, ladder=trial.ladder)
        context.event("launch", trial.id)
        try:
            with launched(launch, context.services, context.folder.logs) as processes:
                pin_away(processes)
                climb = Climb(context, trial, variant, scenario, place, processes)
                why = climb.run(began + (trial.limit_s or math.inf))
        except PartLostError as error:
            why, failure, lost = "lost", str(error), error
        except ServiceError as error:
            why, failure = "failed", str(error)
            lost = context.lost_in_start(error, with_broker=bool(variant.brokers))
        audit = climb.recording.audit if climb else None
        end = end_of(
            trial,
            why,
            time.monotonic() - began,
            failure=failure,
            audit=audit,
            reasons=lost.doubts
            if lost
            else tuple(audit_doubts(audit, context.settings.tolerance.audit)),
            notes=climb.recording.notes if climb else (),
            round_trips=climb.recording.round_trips if climb else (),
        )
        context.folder.append_trial(end)
        return climb.steps if climb else (), end, lost
