"""What one variant did in the windows of one scenario: raw records -> steps, written down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncdb_bench.analysis.step.durations import Times, curve, moments
from asyncdb_bench.analysis.step.overload import Arrivals, overloaded
from asyncdb_bench.analysis.step.record import (
    Measured,
    TrialContext,
    judged_step,
    resting_step,
    unsure,
)
from asyncdb_bench.analysis.step.series import Beats, peaks, series_columns, task_queue, window_lag
from asyncdb_bench.measure.round_trips import Clocks
from asyncdb_bench.measure.run_context import RunContext
from asyncdb_bench.plan.reach import reach_of
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.records.doubts import Doubt
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.plan import LoadOrder, PlannedScenario, Trial, Variant
from asyncdb_bench.records.step import Ledger, Observed, Overloaded, Step, Turn, request_columns
from asyncdb_bench.services.watching import Reading


@dataclass(frozen=True, slots=True)
class Window:
    """What was recorded of one window, before it is judged.

    Parameters
    ----------
    turn, order : what was asked for.
    clocks : at its start.
    observed : what the processes used, and what the database counted.
    beats : of the application's loop.
    broken : what was lost meanwhile: the step is void.
    reply, file : of the load, and where it wrote the requests; None: at rest.
    depths : readings of the task queue; None: there is none.
    rest_s : after an overload, until nothing was under way; None: it still was.
    """

    turn: Turn
    order: LoadOrder
    clocks: Clocks
    observed: Observed
    beats: Beats
    broken: tuple[Doubt, ...] = ()
    reply: StepReply | None = None
    file: Path | None = None
    depths: Sequence[Reading] | None = None
    rest_s: float | None = None


class Recording:
    """The steps of one variant in one scenario of one launch.

    Parameters
    ----------
    run_context, trial, variant, scenario : whose steps.
    """

    def __init__(
        self, run_context: RunContext, trial: Trial, variant: Variant, scenario: PlannedScenario
    ) -> None:
        self.run_context = run_context
        self.trial = trial
        self.scenario = scenario
        self.reach = reach_of(scenario, variant)
        self.steps: list[Step] = []
        self.ledgers: list[Ledger] = []
        self.more_transactions = 0
        self.trips_before: Mapping[str, float] = {}
        operations = make_scenario(scenario.scenario, scenario.knobs).workload().operations
        self.commits = all(operations[name].commits for name in scenario.mix)
        self.context = TrialContext(
            run_id=run_context.run_id,
            trial=trial,
            variant=variant,
            objective=scenario.objective,
            tolerance=run_context.settings.tolerance,
            counts_rows=all(operations[name].rows is not None for name in scenario.mix),
            autocommit=bool(variant.knobs.get("autocommit")) or not self.commits,
        )

    def count(self, reply: StepReply) -> None:
        """Count what was asked for; a chat's joins are transactions of their own."""
        each = math.ceil(reply.transactions / max(reply.ledger.ok, 1))
        if not self.commits:
            # what is rolled back the database does not count as committed
            self.more_transactions += reply.transactions + each * unsure(reply.ledger)
            return
        self.ledgers.append(reply.ledger)
        self.ledgers.append(Ledger(reply.joined, reply.joined, 0, 0, 0, 0))
        self.more_transactions += max(0, reply.transactions - reply.ledger.ok)
        self.more_transactions += max(0, each - 1) * unsure(reply.ledger)

    def judge(self, window: Window, number: int) -> Step:
        """Judge a window, write it down, and return its step.

        Parameters
        ----------
        window : what was recorded.
        number : of the step among all of the processes that it was measured with.

        Raises
        ------
        StoreError : it cannot be written.
        """
        other_run = self.run_context.other_run()
        if window.reply is None or window.file is None:
            return self._keep(
                resting_step(
                    self.context,
                    number,
                    window.turn,
                    window.order.window_s,
                    window.clocks.started_at,
                    window.observed,
                    other_run,
                )
            )
        reply, order, observed = window.reply, window.order, window.observed
        operations = list(self.scenario.mix)
        times = Times(
            window.file,
            reply.started_ns,
            order.window_s,
            order.drain_s,
            operations,
            self.scenario.counted,
            lead_s=order.lead_s,
            closed=order.connections > 0,
        )
        end_us = times.start_us + int(times.lasted_s * 1e6)
        waiting = curve(times.began_us, times.ended_us, moments(times.start_us, end_us))
        tasks = None
        if window.depths is not None and not window.broken:
            tasks = task_queue(times.tasks_us, window.depths, times.start_us, end_us)
            observed.rows += [(at, "broker_depth", float(count)) for at, count in window.depths]
        measured = Measured(
            number=number,
            rate=order.rate_rps or times.arrivals_rps,
            window_s=order.window_s,
            started_at=window.clocks.started_at,
            jump_s=window.clocks.jump_s(),
            times=times,
            reply=reply,
            observed=observed,
            lag_us=window_lag(window.beats, times.start_us * 1000, order.window_s),
            gauges=peaks(window.beats.gauges),
            waiting=waiting,
            tasks=tasks,
            lead_s=order.lead_s,
            turn=window.turn,
            broken=window.broken,
            lowest=order.rate_rps <= self.scenario.ladder[0],
            shape=order.shape,
            overload=self._overloaded(window, times),
        )
        step = judged_step(self.context, measured, other_run)
        requests = request_columns(
            self.trial.id, number, operations, window.file, times.each_latency_us
        )
        series = series_columns(
            self.trial.id, number, window.beats, observed.rows, times.probes_ns, waiting
        )
        window.file.unlink(missing_ok=True)
        return self._keep(step, requests=requests, series=series)

    def _overloaded(self, window: Window, times: Times) -> Overloaded | None:
        """Return what the variant did in an overload; None: the window was none, or broke."""
        asked, reply, file = self.scenario.overload, window.reply, window.file
        if window.turn.kind != "overload" or asked is None or reply is None or file is None:
            return None
        found = Arrivals.read(file, times.start_us * 1000)
        rate = window.order.rate_rps
        return overloaded(asked, rate, found, reply, window.observed, window.rest_s)

    def _keep(self, step: Step, **tables: Mapping[str, Any]) -> Step:
        """Write a step down with its columns, and show it."""
        folder = self.run_context.folder
        folder.append_step(step)
        for table, columns in tables.items():
            folder.add_rows(table, columns)
        self.run_context.on_step(step)
        self.steps.append(step)
        return step
