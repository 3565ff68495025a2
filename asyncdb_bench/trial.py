"""One trial from start to end: fresh database and processes, warm-up, the ladder, stop."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asyncdb_bench import store
from asyncdb_bench.backlog import curve, moments
from asyncdb_bench.depth import DepthWatch
from asyncdb_bench.errors import MeasurementError, ServiceError
from asyncdb_bench.judge import audit_doubts, is_saturated
from asyncdb_bench.launch import READY_S, Launch, Processes, Services, launched, offer
from asyncdb_bench.model import (
    Asked,
    Audit,
    Calibration,
    Ledger,
    Order,
    Pinning,
    Settings,
    Step,
    Trial,
    TrialEnd,
    Variant,
)
from asyncdb_bench.monitor import Monitor
from asyncdb_bench.observe import Times, merged, peaks, series_columns, window_lag
from asyncdb_bench.plan import window_of
from asyncdb_bench.plugins import make_scenario
from asyncdb_bench.queues import Accounts, ledger_of, task_queue
from asyncdb_bench.record import Clocks, Context, Measured, judged_step, whole_audit

ATTEMPTS = 3
"""How often a step is offered at most where what made it invalid may pass."""
PROMPT_S = 0.05
PROMPT_TIMES = 3
"""An application that answers its health route so often within that time is idle again."""
NO_BEATS: dict[str, Any] = {"at_us": [], "lag_us": [], "gauges": [], "counters": {}}


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trials of a run share."""

    run_id: str
    seed: int
    settings: Settings
    folder: store.RunFolder
    services: Services
    on_step: Callable[[Step], None]
    pinning: Pinning = field(default_factory=Pinning)
    calibration: Calibration | None = None
    intruder: Callable[[], str] = str


def run_trial(
    bench: Bench, trial: Trial, variant: Variant, asked: Asked, place: int, seconds: float
) -> TrialEnd:
    """Run one trial; what breaks in it is recorded in its end and does not end the run.

    Parameters
    ----------
    bench : what all trials share.
    trial, variant, asked : what to run.
    place : the scenario's place in the plan; with the block it seeds the arrivals, so that all
        variants of a block are offered the same.
    seconds : the trial's share of the run's time; the ladder ends before it is over.

    Raises
    ------
    StoreError : the results cannot be written: nothing more can be kept.
    """
    began = time.monotonic()
    why, failure, climb = "", "", None
    try:
        launch = Launch(
            variant=variant,
            asked=asked,
            name=trial.id,
            queue=f"asyncdb-bench-{bench.run_id}-{trial.id}",
            timeout_s=bench.settings.timeout_s,
            outstanding=bench.settings.outstanding,
            pinning=bench.pinning,
        )
        with launched(launch, bench.services, bench.folder.logs) as processes:
            if trial.ladder:
                asked = replace(asked, ladder=trial.ladder)
            climb = Climb(bench, trial, variant, asked, place, processes)
            why = climb.run(began + seconds)
    except (ServiceError, MeasurementError) as error:
        why, failure = "failed", str(error)
    end = TrialEnd(
        trial=trial.id,
        block=trial.block,
        scenario=trial.scenario,
        variant=trial.variant,
        why=why,
        seconds=time.monotonic() - began,
        failure=failure,
        audit=climb.audit if climb else None,
        reasons=tuple(audit_doubts(climb.audit, bench.settings.tolerance.audit)) if climb else (),
        notes=climb.notes if climb else (),
    )
    bench.folder.append_trial(end)
    return end


class Climb:
    """The ladder of one trial."""

    def __init__(
        self,
        bench: Bench,
        trial: Trial,
        variant: Variant,
        asked: Asked,
        place: int,
        processes: Processes,
    ) -> None:
        self.bench = bench
        self.trial = trial
        self.variant = variant
        self.asked = asked
        self.place = place
        self.processes = processes
        assert processes.load is not None
        self.load = processes.load
        self.offered = 0
        self.attempt = 1
        self.ledgers: list[Ledger] = []
        self.audit: Audit | None = None
        self.notes: tuple[str, ...] = ()
        operations = make_scenario(asked.scenario, asked.knobs).workload().operations
        self.context = Context(
            run_id=bench.run_id,
            trial=trial,
            variant=variant,
            objective=asked.objective,
            tolerance=bench.settings.tolerance,
            calibrated_rps=bench.calibration.max_rps if bench.calibration else None,
            counts_rows=all(operations[name].rows is not None for name in asked.mix),
            shape=asked.shape,
            mean_factor=asked.mean_factor,
        )
        self.depth: DepthWatch | None = None

    def run(self, deadline: float) -> str:
        """Climb until the variant saturates, the ladder ends or time is up; return which."""
        services = self.bench.services
        roles = {
            "app": [app.pid for app in self.processes.apps],
            "workers": [each.pid for each in self.processes.workers],
            "load": [self.load.pid],
            **services.roles(),
        }
        watch = Monitor(roles, lambda: services.statistics(self.processes.database))
        with (
            watch as monitor,
            self.bench.folder.scratch() as scratch,
            self._watched_queue() as self.depth,
        ):
            before = monitor.transactions()
            self._warm_up()
            why = self._climb(monitor, scratch, deadline)
            # a backend reports its last transactions to pg_stat_database when it ends
            self.processes.end()
            after = monitor.transactions(at_the_end=True)
            self.audit = whole_audit(self.ledgers, before, after, self.variant.budget)
            self.notes = (monitor.problem,) if monitor.problem else ()
        return why

    @contextlib.contextmanager
    def _watched_queue(self) -> Iterator[DepthWatch | None]:
        """Watch the task queue's depth where the strategy has one."""
        broker = self.bench.services.broker
        if broker is None or not self.variant.brokers:
            yield None
            return
        with DepthWatch(broker, self.processes.queue) as watch:
            yield watch

    def _climb(self, monitor: Monitor, scratch: Path, deadline: float) -> str:
        missed_before = False
        stride = 2 if self.asked.gallop else 1
        last = len(self.asked.ladder) - 1
        done: set[int] = set()
        for place in dict.fromkeys([*range(0, last + 1, stride), last]):
            step = self._offered(place, monitor, scratch, deadline)
            if step is None:
                return "time"
            if self.trial.ladder and not step.holds:
                # one pause of the machine must not end the climb of a trial that is to decide
                self._settle()
                step = self._offered(place, monitor, scratch, deadline) or step
                missed_before = not step.holds
            done.add(place)
            if not step.holds and place and place - 1 not in done:
                # the rung that was leapt over, once what this one left has been worked off
                self._settle()
                self._offered(place - 1, monitor, scratch, deadline)
                return "saturated"
            if self._is_over(step) or (missed_before and not step.holds):
                return "saturated"
            missed_before = not step.holds
        return "top of the ladder"

    def _offered(self, place: int, monitor: Monitor, scratch: Path, deadline: float) -> Step | None:
        """Offer a rung, again where what spoiled it may pass; None where there is no time."""
        settings, rate = self.bench.settings, self.asked.ladder[place]
        step_s = window_of(settings, self.asked, rate) + settings.drain_s
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
            self.asked.objective,
            step.ledger,
            step.latency,
            step.offered_rps * self.asked.mean_factor,
            step.achieved_rps,
        )

    def _settle(self) -> None:
        """Wait until the application answers promptly again, at most as long as it may take."""
        url = f"http://127.0.0.1:{self.processes.port}/healthz"
        deadline = time.monotonic() + self.bench.settings.timeout_s
        prompt = 0
        while prompt < PROMPT_TIMES and time.monotonic() < deadline:
            began = time.monotonic()
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
                pass
            prompt = prompt + 1 if time.monotonic() - began < PROMPT_S else 0
            time.sleep(PROMPT_S)

    def _warm_up(self) -> None:
        seconds = self.bench.settings.warmup_s
        if seconds > 0:
            rate = max(self.asked.ladder[0], 16 / seconds)
            reply = self._offer(rate, seconds, (self.bench.seed, 999), "")
            self.ledgers.append(Ledger(**reply["ledger"]))
            self._note_joins(reply)

    def _mark(self) -> list[dict[str, Any]]:
        """Return what each application noted since the last call."""
        return [app.ask({"do": "mark"}, READY_S) for app in self.processes.apps]

    def _note_joins(self, reply: dict[str, Any]) -> None:
        """Count a chat's joins, each a transaction of its own, among what was asked for."""
        joined = reply.get("joined", 0)
        self.ledgers.append(Ledger(joined, joined, 0, 0, 0, 0))

    def _offer(
        self, rate: float, window_s: float, seed: tuple[int, ...], file: str
    ) -> dict[str, Any]:
        # the warm-up is even, whatever the steps are
        shape = self.asked.shape if file else ()
        order = Order(rate, window_s, self.bench.settings.drain_s, seed, shape=shape)
        return offer(self.load, order, file)

    def _accounts(self, beats: dict[str, Any]) -> Accounts:
        """Return what application and workers have counted of their tasks so far."""
        workers: Counter[str] = Counter()
        try:
            for worker in self.processes.workers:
                workers.update(worker.ask({"do": "mark"}, READY_S)["counts"])
        except ServiceError:
            return Accounts(beats["counters"], None)
        return Accounts(beats["counters"], workers)

    def _step(
        self, place: int, rate: float, monitor: Monitor, scratch: Path, *, may_repeat: bool
    ) -> Step:
        number, window_s = self.offered, window_of(self.bench.settings, self.asked, rate)
        self.offered += 1
        file = scratch / f"{number}.npz"
        clocks = Clocks()
        accounts = self._accounts(merged(self._mark()))
        if self.depth is not None:
            self.depth.take()
        monitor.begin()
        seed = (self.bench.seed, self.trial.block, self.place, place)
        reply = self._offer(rate, window_s, seed, str(file))
        seen = monitor.end()
        died: ServiceError | None = None
        try:
            beats = merged(self._mark())
        except ServiceError as error:
            # what was asked of it until then is a measurement, and what it failed is part of it
            beats, died = NO_BEATS, error
        times = Times(file, reply["started_ns"], window_s, self.bench.settings.drain_s)
        end_us = times.start_us + int(times.lasted_s * 1e6)
        waiting = curve(times.began_us, times.ended_us, moments(times.start_us, end_us))
        tasks = None
        if self.depth is not None and died is None:
            readings = self.depth.take()
            queued = readings[-1][1] if readings else None
            ledger = ledger_of(accounts, self._accounts(beats), queued)
            tasks = task_queue(times.tasks_us, readings, ledger, times.start_us, end_us)
            seen.rows += [(at, "broker_depth", float(count)) for at, count in readings]
        measured = Measured(
            number=number,
            rate=rate,
            window_s=window_s,
            clocks=clocks,
            jump_s=clocks.jump_s(),
            times=times,
            reply=reply,
            seen=seen,
            lag_us=window_lag(beats, reply["started_ns"], window_s),
            gauges=peaks(beats["gauges"]),
            waiting=waiting,
            tasks=tasks,
            attempt=self.attempt,
        )
        self.ledgers.append(measured.ledger)
        self._note_joins(reply)
        step = judged_step(
            self.context, measured, self.bench.intruder(), may_repeat=may_repeat and died is None
        )
        operations = list(self.asked.mix)
        name = f"{self.trial.id}-{number:02d}"
        folder = self.bench.folder
        folder.write_part(
            "requests", name, store.request_columns(self.trial.id, number, operations, file)
        )
        probes = measured.times.probes_ns
        folder.write_part(
            "series", name, series_columns(self.trial.id, number, beats, seen.rows, probes, waiting)
        )
        folder.append_step(step)
        self.bench.on_step(step)
        if died is not None:
            raise ServiceError(f"it ended during the step at {rate:g}/s: {died}") from died
        return step
