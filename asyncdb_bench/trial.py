"""One trial from start to end: fresh database and processes, warm-up, the ladder, stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncdb_bench import stats, store
from asyncdb_bench.errors import MeasurementError, ServiceError
from asyncdb_bench.judge import Evidence, doubts, is_saturated, misses
from asyncdb_bench.launch import READY_S, Launch, Processes, Services, launched
from asyncdb_bench.model import Asked, Ledger, Settings, Step, Trial, TrialEnd, Variant
from asyncdb_bench.monitor import Monitor, Observed
from asyncdb_bench.observe import Times, peaks, series_columns, window_lag
from asyncdb_bench.plan import window_of


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trials of a run share."""

    run_id: str
    seed: int
    settings: Settings
    folder: store.RunFolder
    services: Services
    on_step: Callable[[Step], None]


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
    why, failure = "", ""
    try:
        launch = Launch(
            variant=variant,
            asked=asked,
            name=trial.id,
            queue=f"asyncdb-bench-{bench.run_id}-{trial.id}",
            timeout_s=bench.settings.timeout_s,
            outstanding=bench.settings.outstanding,
        )
        with launched(launch, bench.services, bench.folder.logs) as processes:
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

    def run(self, deadline: float) -> str:
        """Climb until the variant saturates, the ladder ends or time is up; return which."""
        settings, services = self.bench.settings, self.bench.services
        roles = {
            "app": [self.processes.app.pid],
            "workers": [each.pid for each in self.processes.workers],
            "load": [self.load.pid],
            **services.roles(),
        }
        missed_before = False
        watch = Monitor(roles, lambda: services.monitor_connection(self.processes.database))
        with watch as monitor, self.bench.folder.scratch() as scratch:
            self._warm_up()
            for number, rate in enumerate(self.asked.ladder):
                window_s = window_of(settings, rate)
                if number and time.monotonic() + window_s + settings.drain_s > deadline:
                    return "time"
                step = self._step(number, rate, window_s, monitor, scratch)
                saturated = is_saturated(
                    self.asked.objective, step.ledger, step.latency, rate, step.achieved_rps
                )
                if saturated or (missed_before and not step.holds):
                    return "saturated"
                missed_before = not step.holds
        return "top of the ladder"

    def _warm_up(self) -> None:
        seconds = self.bench.settings.warmup_s
        if seconds > 0:
            rate = max(self.asked.ladder[0], 16 / seconds)
            self._offer(rate, seconds, (self.bench.seed, 999), "")

    def _offer(
        self, rate: float, window_s: float, seed: tuple[int, ...], file: str
    ) -> dict[str, Any]:
        drain_s = self.bench.settings.drain_s
        order = {"rate_rps": rate, "window_s": window_s, "drain_s": drain_s, "seed": seed}
        reply = self.load.ask(
            {"do": "step", "step": order, "file": file}, window_s + drain_s + READY_S
        )
        if reply.get("event") != "step":
            raise MeasurementError(f"the load generator answered {reply}")
        return reply

    def _step(
        self, number: int, rate: float, window_s: float, monitor: Monitor, scratch: Path
    ) -> Step:
        file = scratch / f"{number}.npz"
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.processes.app.ask({"do": "mark"}, READY_S)
        monitor.begin()
        seed = (self.bench.seed, self.trial.block, self.place, number)
        reply = self._offer(rate, window_s, seed, str(file))
        seen = monitor.end()
        beats = self.processes.app.ask({"do": "mark"}, READY_S)
        step = self._judged(number, rate, window_s, started_at, file, reply, seen, beats)
        operations = list(self.asked.mix)
        name = f"{self.trial.id}-{number:02d}"
        folder = self.bench.folder
        folder.write_part(
            "requests", name, store.request_columns(self.trial.id, number, operations, file)
        )
        folder.write_part("series", name, series_columns(self.trial.id, number, beats, seen.rows))
        folder.append_step(step)
        self.bench.on_step(step)
        return step

    def _judged(
        self,
        number: int,
        rate: float,
        window_s: float,
        started_at: str,
        file: Path,
        reply: dict[str, Any],
        seen: Observed,
        beats: dict[str, Any],
    ) -> Step:
        times = Times(file, reply["started_ns"], window_s, self.bench.settings.drain_s)
        ledger = Ledger(**reply["ledger"])
        latency = stats.percentiles(times.latency_us)
        send_lag = stats.percentiles(times.send_lag_us)
        evidence = Evidence(
            ledger=ledger,
            latency=latency,
            send_lag=send_lag,
            client_busy=reply["cpu_s"] / window_s,
            attempted=reply["attempted"],
            counted=reply["locust_count"],
            wrong_answers=sum(
                count for why, count in reply["errors"].items() if why.startswith("wrong answer")
            ),
            budget=self.variant.budget,
            connections_peak=seen.connections_peak,
        )
        missed, reasons = misses(self.asked.objective, ledger, latency), doubts(evidence)
        return Step(
            run_id=self.bench.run_id,
            trial=self.trial.id,
            block=self.trial.block,
            scenario=self.trial.scenario,
            variant=self.trial.variant,
            strategy=self.variant.strategy,
            step=number,
            offered_rps=rate,
            achieved_rps=times.achieved_rps,
            window_s=window_s,
            started_at=started_at,
            ledger=ledger,
            latency=latency,
            latency_bounds=stats.bounds(times.latency_us),
            service=stats.percentiles(times.service_us),
            send_lag=send_lag,
            loop_lag=stats.percentiles(window_lag(beats, reply["started_ns"], window_s)),
            usage=seen.usage,
            connections_peak=seen.connections_peak,
            connections_active_peak=seen.connections_active_peak,
            gauges=peaks(beats["gauges"]),
            errors=reply["errors"],
            holds=not missed,
            misses=missed,
            valid=not reasons,
            reasons=reasons,
        )
