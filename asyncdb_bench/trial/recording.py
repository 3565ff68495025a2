"""Offering one load to a running variant, and writing down what came of it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from asyncdb_bench.analysis.step.backlog import curve, moments
from asyncdb_bench.analysis.step.durations import Times
from asyncdb_bench.analysis.step.record import (
    Measured,
    TrialContext,
    judged_step,
    unsure,
    whole_audit,
)
from asyncdb_bench.analysis.step.series import (
    NO_BEATS,
    Beats,
    merged,
    peaks,
    series_columns,
    window_lag,
)
from asyncdb_bench.analysis.step.tasks import task_queue
from asyncdb_bench.errors import SaidFailedError, ServiceError, WriteError
from asyncdb_bench.plan.reach import reach_of
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.observed import Observed
from asyncdb_bench.records.plan import (
    LoadOrder,
    PlannedScenario,
    Trial,
    Variant,
)
from asyncdb_bench.records.request_table import request_columns
from asyncdb_bench.records.step import Audit, Ledger, RoundTrip, Step, Turn
from asyncdb_bench.services.queue_depth import DepthWatch
from asyncdb_bench.trial.child import Child
from asyncdb_bench.trial.clocks import Clocks
from asyncdb_bench.trial.hosts.watch import HostWatch
from asyncdb_bench.trial.launch import (
    Processes,
    offer,
)
from asyncdb_bench.trial.life import LifeWatch, PartLostError
from asyncdb_bench.trial.monitor import Monitor
from asyncdb_bench.trial.round_trips import off, round_trips_of
from asyncdb_bench.trial.run_context import RunContext

HANGS_S = 5.0
"""How long an application may take to say what it noted before it counts as hanging; it does so in
a thread of its own, so that a loop that is blocked answers, too."""
AUTOVACUUM = 60
"""Transactions of autovacuum's visits to a database within a trial of a minute or two (measured: 20
to 30 each); of a server that is not ours it cannot be switched off."""


class Recording:
    """A running variant: offers it loads, and writes a step for each.

    A context manager: the database and the queue are watched while it is open.

    Parameters
    ----------
    run_context, trial, variant, scenario : whose steps.
    processes : that run.
    load : the process that offers.
    """

    def __init__(
        self,
        run_context: RunContext,
        trial: Trial,
        variant: Variant,
        scenario: PlannedScenario,
        processes: Processes,
        load: Child,
    ) -> None:
        self.run_context = run_context
        self.trial = trial
        self.variant = variant
        self.scenario = scenario
        self.processes = processes
        self.load = load
        self.offered = 0
        self.ledgers: list[Ledger] = []
        self.steps: list[Step] = []
        self.audit: Audit | None = None
        self.notes: tuple[Doubt, ...] = ()
        operations = make_scenario(scenario.scenario, scenario.knobs).workload().operations
        self.context = TrialContext(
            run_id=run_context.run_id,
            trial=trial,
            variant=variant,
            objective=scenario.objective,
            tolerance=run_context.settings.tolerance,
            calibrated_rps=run_context.calibration.max_rps if run_context.calibration else None,
            counts_rows=all(operations[name].rows is not None for name in scenario.mix),
            shape=scenario.shape,
            mean_factor=scenario.mean_factor,
            autocommit=bool(variant.knobs.get("autocommit")),
        )
        services = run_context.services
        roles = {
            "app": processes.app_pids,
            "workers": processes.worker_pids,
            "load": [load.pid],
            **services.roles(),
        }
        self.away = HostWatch.of(processes, run_context.hosts, with_broker=bool(variant.brokers))
        for role in {role for watch in self.away for role in watch.roles}:
            roles.pop(role, None)
        if not variant.brokers:
            roles.pop("broker", None)
        watched = (lambda: services.statistics(processes.database)) if processes.database else None
        self.monitor = Monitor(roles, watched, self.away)
        self.life = LifeWatch(
            [
                *(each.part() for each in (*processes.apps, *processes.workers) if each.pid),
                load.part(shared=True),
                *services.parts(with_broker=bool(variant.brokers)),
                *(watch.host.part() for watch in self.away),
            ]
        )
        self.depth: DepthWatch | None = None
        if services.broker is not None and variant.brokers:
            self.depth = DepthWatch(services.broker, processes.queue)
        self._stack = contextlib.ExitStack()
        self._before: int | None = None
        self._visits = 0
        self._more_transactions = 0
        self.reach = reach_of(scenario, variant)
        self._way_before: Mapping[str, float] = {}
        self.round_trips: tuple[RoundTrip, ...] = ()

    def __enter__(self) -> Recording:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.monitor)
            stack.enter_context(self.life)
            if self.depth is not None:
                stack.enter_context(self.depth)
            self._before = self.monitor.transactions()
            self._visits = AUTOVACUUM if self.monitor.has_autovacuum() else 0
            self._way_before = self._look()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def finish(self) -> None:
        """End the processes, and hold all that was asked against the database's own count."""
        self.round_trips = round_trips_of(self.reach, self._way_before, self._look())
        self.notes += off(self.round_trips)
        # a backend reports its last transactions to pg_stat_database when it ends
        self.processes.end()
        after = self.monitor.transactions(at_the_end=True)
        besides = self.variant.budget + self._visits + self._more_transactions
        self.audit = whole_audit(self.ledgers, self._before, after, besides)
        if self.monitor.problem:
            self.notes += (Doubt(DoubtKind.UNWATCHED, subject=self.monitor.problem),)

    def offer(self, order: LoadOrder, file: str = "") -> StepReply:
        """Have a load offered and count what was asked for.

        A chat's joins are transactions of their own.
        """
        processes = self.processes
        order = replace(
            order,
            port=processes.port,
            host=processes.host,
            health=processes.health,
            clock=processes.clock,
        )
        reply = offer(self.load, order, file)
        self.ledgers.append(reply.ledger)
        self.ledgers.append(Ledger(reply.joined, reply.joined, 0, 0, 0, 0))
        each = math.ceil(reply.transactions / max(reply.ledger.ok, 1))
        self._more_transactions += max(0, reply.transactions - reply.ledger.ok)
        self._more_transactions += max(0, each - 1) * unsure(reply.ledger)
        return reply

    def _look(self) -> Mapping[str, float]:
        with_broker = bool(self.variant.brokers)
        looks = self.run_context.round_trips
        return looks.look(self.reach, with_broker=with_broker)

    def beats(self, timeout_s: float = HANGS_S) -> Beats:
        """Return what the applications noted since the last call."""
        return merged([app.beats(timeout_s) for app in self.processes.apps])

    def step(
        self,
        order: LoadOrder,
        scratch: Path,
        *,
        turn: Turn | None = None,
        attempt: int = 1,
        may_repeat: bool = False,
        around: Callable[[], Callable[[Turn, Beats], Turn]] | None = None,
    ) -> Step:
        """Offer a load, judge what came of it, and write it down.

        Parameters
        ----------
        order : what to offer.
        scratch : folder for what the load hands over.
        turn : what makes it a turn; None: it is a rung.
        attempt, may_repeat : how often it was offered, and whether it may be offered again.
        around : called before the load; what it returns completes the turn after it.

        Raises
        ------
        PartLostError : a part was lost; what was counted until then is written down as void.
        """
        folder = self.run_context.folder
        number = self.offered
        self.offered += 1
        file = scratch / f"{number}.npz"
        clocks = Clocks()
        self.run_context.event("window", f"{self.trial.id} {order.lead_s + order.window_s:.3f}")
        self._begin()
        after = around() if around is not None else None
        self.monitor.begin()
        reply = self._offered(order, str(file))
        # a turn is short, and memory does not change from one to the next
        observed = self.monitor.end(memory=turn is None or turn.kind == "limit")
        beats, silent = self._beats_or_why()
        if turn is not None and after is not None:
            turn = after(turn, beats)
        broken = self._broken(observed, silent, reply.lost)
        operations = list(self.scenario.mix)
        times = Times(
            file,
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
        if self.depth is not None and not broken:
            readings = self.depth.take()
            tasks = task_queue(times.tasks_us, readings, times.start_us, end_us)
            observed.rows += [(at, "broker_depth", float(count)) for at, count in readings]
        measured = Measured(
            number=number,
            rate=order.rate_rps or times.arrivals_rps,
            window_s=order.window_s,
            started_at=clocks.started_at,
            jump_s=clocks.jump_s(),
            times=times,
            reply=reply,
            observed=observed,
            lag_us=window_lag(beats, times.start_us * 1000, order.window_s),
            gauges=peaks(beats.gauges),
            waiting=waiting,
            tasks=tasks,
            attempt=attempt,
            lead_s=order.lead_s,
            turn=turn,
            broken=broken,
            lowest=order.rate_rps <= self.scenario.ladder[0],
        )
        other_run = self.run_context.other_run()
        step = judged_step(self.context, measured, other_run, may_repeat=may_repeat)
        name = f"{self.trial.id}-{number:03d}"
        columns = request_columns(self.trial.id, number, operations, file, times.each_latency_us)
        folder.write_part("requests", name, columns)
        series = series_columns(
            self.trial.id, number, beats, observed.rows, times.probes_ns, waiting
        )
        folder.write_part("series", name, series)
        self.keep(step)
        file.unlink(missing_ok=True)
        if lost := [doubt for doubt in step.reasons if doubt.breaking]:
            raise PartLostError(lost, shared=self.life.shared)
        return step

    def warm_up(self, order: LoadOrder) -> None:
        """Have a load offered whose answers are counted and not recorded.

        Raises
        ------
        PartLostError : a part of it was lost.
        """
        self.run_context.event("warm-up", self.trial.id)
        self.life.begin()
        reply = self._offered(order)
        lost = (*self.life.end(), *self._lost_workers(reply.lost))
        if lost:
            raise PartLostError(lost, shared=self.life.shared)

    def rest(self, seconds: float) -> tuple[Observed, Beats]:
        """Watch it with nothing to do for some seconds.

        Raises
        ------
        PartLostError : a part of it was lost.
        """
        self.run_context.event("rest", self.trial.id)
        self._begin()
        self.monitor.begin()
        time.sleep(seconds)
        observed = self.monitor.end(memory=False)
        beats, silent = self._beats_or_why()
        if lost := self._broken(observed, silent):
            raise PartLostError(lost, shared=self.life.shared)
        return observed, beats

    def _begin(self) -> None:
        """Forget what was noted before the window, and see that all are alive."""
        self.life.begin()
        _, silent = self._beats_or_why()
        if self.depth is not None:
            self.depth.take()
        if silent is not None:
            lost = self.life.end() or (silent,)
            raise PartLostError(lost, shared=self.life.shared)

    def _offered(self, order: LoadOrder, file: str = "") -> StepReply:
        try:
            reply = self.offer(order, file)
        except SaidFailedError as error:
            # in the middle of a run it has but one reason to say so
            raise WriteError(f"{error}; what was measured before is kept") from error
        except ServiceError as error:
            # no one knows what was asked: there is no ledger, and so no step
            lost = self.life.end() or (Doubt(DoubtKind.SILENT, subject=str(error)),)
            raise PartLostError(lost, shared=True) from error
        if reply.lost and not reply.ledger.scheduled:
            # nothing was offered: there is no step either
            raise PartLostError([*self.life.end(), *self._lost_workers(reply.lost)], shared=True)
        return reply

    def _beats_or_why(self) -> tuple[Beats, Doubt | None]:
        try:
            return self.beats(), None
        except ServiceError as error:
            return NO_BEATS, Doubt(DoubtKind.SILENT, subject=str(error))

    def _lost_workers(self, lost: Sequence[str]) -> list[Doubt]:
        """Return that load workers were lost, which all variants need."""
        if lost:
            self.life.shared = True
        return [Doubt(DoubtKind.DIED, subject=each) for each in lost]

    def _broken(
        self, observed: Observed, silent: Doubt | None, lost: Sequence[str] = ()
    ) -> tuple[Doubt, ...]:
        """Return what broke since the window was begun: a death before what follows from it."""
        found = [*self.life.end(), *self._lost_workers(lost)]
        cut = [watch for watch in self.away if watch.cut]
        found += [Doubt(DoubtKind.NETWORK, subject=watch.cut) for watch in cut]
        if any(watch.host.shared for watch in cut):
            self.life.shared = True
        breaks = [observed.broken] + ([self.depth.lost()] if self.depth is not None else [])
        found += [Doubt(DoubtKind.RESTARTED, subject=each) for each in breaks if each]
        if any(breaks):
            self.life.shared = True
        return tuple(found) if found else (silent,) if silent else ()

    def keep(self, step: Step) -> None:
        """Write a step down and show it."""
        self.run_context.folder.append_step(step)
        self.run_context.on_step(step)
        self.steps.append(step)
