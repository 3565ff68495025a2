"""The ladder of one trial, climbed: each step offered, recorded, judged and written down."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from asyncdb_bench.analysis.step.backlog import curve, moments
from asyncdb_bench.analysis.step.durations import Times
from asyncdb_bench.analysis.step.record import Measured, TrialContext, judged_step, whole_audit
from asyncdb_bench.analysis.step.series import (
    NO_BEATS,
    Beats,
    merged,
    peaks,
    series_columns,
    window_lag,
)
from asyncdb_bench.analysis.step.tasks import task_queue
from asyncdb_bench.analysis.step.validity import is_saturated
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.plan.schedule import window_of
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.messages import Heartbeats, Mark, StepReply
from asyncdb_bench.records.plan import (
    PURPOSES,
    LoadOrder,
    Pinning,
    PlannedScenario,
    Settings,
    Trial,
    Variant,
)
from asyncdb_bench.records.request_table import request_columns
from asyncdb_bench.records.run import Calibration
from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.records.step import Audit, Ledger, Step
from asyncdb_bench.services.queue_depth import DepthWatch
from asyncdb_bench.trial.clocks import Clocks
from asyncdb_bench.trial.launch import READY_S, Processes, Services, offer
from asyncdb_bench.trial.monitor import Monitor
from asyncdb_bench.trial.rungs import Offered, climb

ATTEMPTS = 3
"""How often a step is offered at most where what made it invalid may pass."""
PROMPT_S = 0.05
PROMPT_TIMES = 3
"""An application that answers its health route so often within that time is idle again."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all trials of a run share.

    Parameters
    ----------
    run_id, seed, settings, pinning, calibration : of the run.
    folder : where to write.
    services : that run.
    on_step : told of every step as it ends.
    other_run : says who else held the machine since it was asked last; empty: no one.
    """

    run_id: str
    seed: int
    settings: Settings
    folder: RunFolder
    services: Services
    on_step: Callable[[Step], None]
    pinning: Pinning = field(default_factory=Pinning)
    calibration: Calibration | None = None
    other_run: Callable[[], str] = str


class Climb:
    """The ladder of one trial."""

    def __init__(
        self,
        run_context: RunContext,
        trial: Trial,
        variant: Variant,
        scenario: PlannedScenario,
        place: int,
        processes: Processes,
    ) -> None:
        self.run_context = run_context
        self.trial = trial
        self.variant = variant
        self.scenario = scenario
        self.place = place
        self.processes = processes
        assert processes.load is not None
        self.load = processes.load
        self.offered = 0
        self.attempt = 1
        self.ledgers: list[Ledger] = []
        self.audit: Audit | None = None
        self.notes: tuple[Doubt, ...] = ()
        self.steps: list[Step] = []
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
        )
        self.depth: DepthWatch | None = None

    def run(self, deadline: float) -> str:
        """Climb until the variant saturates, the ladder ends or time is up; return which."""
        services = self.run_context.services
        roles = {
            "app": [app.pid for app in self.processes.apps],
            "workers": [each.pid for each in self.processes.workers],
            "load": [self.load.pid],
            **services.roles(),
        }
        watch = Monitor(roles, lambda: services.statistics(self.processes.database))
        with (
            watch as monitor,
            self.run_context.folder.scratch() as scratch,
            self._watched_queue() as self.depth,
        ):
            before = monitor.transactions()
            self._warm_up()
            why = self._climb(monitor, scratch, deadline)
            # a backend reports its last transactions to pg_stat_database when it ends
            self.processes.end()
            after = monitor.transactions(at_the_end=True)
            self.audit = whole_audit(self.ledgers, before, after, self.variant.budget)
            if monitor.problem:
                self.notes = (Doubt(DoubtKind.UNWATCHED, subject=monitor.problem),)
        return why

    @contextlib.contextmanager
    def _watched_queue(self) -> Iterator[DepthWatch | None]:
        """Watch the task queue's depth where the strategy has one."""
        broker = self.run_context.services.broker
        if broker is None or not self.variant.brokers:
            yield None
            return
        with DepthWatch(broker, self.processes.queue) as watch:
            yield watch

    def _climb(self, monitor: Monitor, scratch: Path, deadline: float) -> str:
        gallop = self.scenario.gallop or self.trial.gallop
        rungs = climb(self.scenario.ladder, gallop=gallop, retry_missed=self.trial.retry_missed)
        try:
            rung = next(rungs)
            while True:
                if rung.settle:
                    self._settle()
                step = self._offered(rung.place, monitor, scratch, deadline)
                came = None if step is None else Offered(step.holds, self._is_over(step))
                rung = rungs.send(came)
        except StopIteration as end:
            return str(end.value)

    def _offered(self, place: int, monitor: Monitor, scratch: Path, deadline: float) -> Step | None:
        """Offer a rung, again where what spoiled it may pass; None where there is no time."""
        settings, rate = self.run_context.settings, self.scenario.ladder[place]
        step_s = window_of(settings, self.scenario, rate) + settings.drain_s
        if self.offered and time.monotonic() + step_s > deadline:
            return None
        for attempt in range(1, ATTEMPTS + 1):
            may_repeat = attempt < ATTEMPTS and time.monotonic() + 2 * step_s <= deadline
            self.attempt = attempt
            step = self._step(place, rate, monitor, scratch, may_repeat=may_repeat)
            if not step.repeated:
                break
        return step

    def _is_over(self, step: Step) -> bool:
        return is_saturated(
            self.scenario.objective,
            step.ledger,
            step.latency,
            step.offered_rps * self.scenario.mean_factor,
            step.achieved_rps,
        )

    def _settle(self) -> None:
        """Wait until the application answers promptly again, at most as long as it may take."""
        url = f"http://127.0.0.1:{self.processes.port}/healthz"
        deadline = time.monotonic() + self.run_context.settings.timeout_s
        prompt = 0
        while prompt < PROMPT_TIMES and time.monotonic() < deadline:
            began = time.monotonic()
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
                pass
            prompt = prompt + 1 if time.monotonic() - began < PROMPT_S else 0
            time.sleep(PROMPT_S)

    def _warm_up(self) -> None:
        seconds = self.run_context.settings.warmup_s
        if seconds > 0:
            rate = max(self.scenario.ladder[0], 16 / seconds)
            self._note(self._offer(rate, seconds, (self.run_context.seed, 999), ""))

    def _mark(self) -> Beats:
        """Return what the applications noted since the last call."""
        return merged([app.ask(Mark(), Heartbeats, READY_S) for app in self.processes.apps])

    def _note(self, reply: StepReply) -> None:
        """Count what was asked for; a chat's joins are transactions of their own."""
        self.ledgers.append(reply.ledger)
        self.ledgers.append(Ledger(reply.joined, reply.joined, 0, 0, 0, 0))

    def _offer(self, rate: float, window_s: float, seed: tuple[int, ...], file: str) -> StepReply:
        # the warm-up is even, whatever the steps are
        shape = self.scenario.shape if file else ()
        order = LoadOrder(rate, window_s, self.run_context.settings.drain_s, seed, shape=shape)
        return offer(self.load, order, file)

    def _step(
        self, place: int, rate: float, monitor: Monitor, scratch: Path, *, may_repeat: bool
    ) -> Step:
        settings, folder = self.run_context.settings, self.run_context.folder
        number, window_s = self.offered, window_of(settings, self.scenario, rate)
        self.offered += 1
        file = scratch / f"{number}.npz"
        clocks = Clocks()
        self._mark()
        if self.depth is not None:
            self.depth.take()
        monitor.begin()
        seed = (*self._seed(), self.place, place)
        reply = self._offer(rate, window_s, seed, str(file))
        observed = monitor.end()
        died: ServiceError | None = None
        try:
            beats = self._mark()
        except ServiceError as error:
            # what was asked of it until then is a measurement, and what it failed is part of it
            beats, died = NO_BEATS, error
        operations = list(self.scenario.mix)
        times = Times(
            file, reply.started_ns, window_s, settings.drain_s, operations, self.scenario.counted
        )
        end_us = times.start_us + int(times.lasted_s * 1e6)
        waiting = curve(times.began_us, times.ended_us, moments(times.start_us, end_us))
        tasks = None
        if self.depth is not None and died is None:
            readings = self.depth.take()
            tasks = task_queue(times.tasks_us, readings, times.start_us, end_us)
            observed.rows += [(at, "broker_depth", float(count)) for at, count in readings]
        measured = Measured(
            number=number,
            rate=rate,
            window_s=window_s,
            started_at=clocks.started_at,
            jump_s=clocks.jump_s(),
            times=times,
            reply=reply,
            observed=observed,
            lag_us=window_lag(beats, reply.started_ns, window_s),
            gauges=peaks(beats.gauges),
            waiting=waiting,
            tasks=tasks,
            attempt=self.attempt,
        )
        self._note(reply)
        other_run = self.run_context.other_run()
        step = judged_step(self.context, measured, other_run, may_repeat=may_repeat and not died)
        name = f"{self.trial.id}-{number:02d}"
        columns = request_columns(self.trial.id, number, operations, file, times.each_latency_us)
        folder.write_part("requests", name, columns)
        series = series_columns(
            self.trial.id, number, beats, observed.rows, times.probes_ns, waiting
        )
        folder.write_part("series", name, series)
        folder.append_step(step)
        self.run_context.on_step(step)
        self.steps.append(step)
        if died is not None:
            raise ServiceError(f"it ended during the step at {rate:g}/s: {died}") from died
        return step

    def _seed(self) -> tuple[int, ...]:
        """Return what the arrivals of a block are drawn by: all its variants are offered the same.

        Blocks of another purpose are numbered by themselves, and draw arrivals of their own.
        """
        seed, block = self.run_context.seed, self.trial.block
        if self.trial.purpose == "measure":
            return (seed, block)
        return (seed, PURPOSES.index(self.trial.purpose), block)
