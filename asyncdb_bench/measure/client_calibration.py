"""`calibrate`: what the client can do on this machine, measured in less than a minute.

Two questions: how fast can it offer on schedule, and by how much is what it reports wrong.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.step.durations import Times
from asyncdb_bench.analysis.step.record import busiest_s
from asyncdb_bench.analysis.step.validity import STOLEN, Evidence, client_doubts
from asyncdb_bench.app.null_server import draw
from asyncdb_bench.errors import MeasurementError
from asyncdb_bench.measure.launch import (
    READY_S,
    load_config,
    offer,
)
from asyncdb_bench.plan.cores import on_cores, permitted, share_out, usable_cores
from asyncdb_bench.plan.load_workers import Workers
from asyncdb_bench.plan.profiles import read_calibrated_scenario
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import plan_scenario
from asyncdb_bench.processes import kernel
from asyncdb_bench.processes.child import Child
from asyncdb_bench.processes.host import describe_machine, fingerprint
from asyncdb_bench.processes.load_set import LoadSet
from asyncdb_bench.processes.lock import MachineLock
from asyncdb_bench.records.doubts import Doubt, DoubtKind, sentence
from asyncdb_bench.records.messages import Anew, Mark, NullConfig, Ready, StepReply
from asyncdb_bench.records.plan import LoadOrder, Pinning, PlannedScenario, Tolerance
from asyncdb_bench.records.run import SCHEMA_VERSION, Calibration, RecordingError
from asyncdb_bench.records.step import Percentiles

FIRST_RPS = 250.0
TRIES = 3
GROWTH = 1.3
MOST_RPS = 20_000.0
LEVELS = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
RECORDED = 2500
JUMP = 0.001


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long each part takes, seconds; the tests take less."""

    climb_s: float = 1.2
    lag_s: float = 2.5
    recorded: int = RECORDED


def measure_client(
    say: Callable[[str], None],
    cpus: str = "auto",
    sizes: Sizes | None = None,
    processes: int = 1,
) -> Calibration:
    """Calibrate client and machine.

    Parameters
    ----------
    say : told of each figure as it is found.
    cpus : which role runs where, as in a run.
    sizes : how long each part takes.
    processes : that offer the load.

    Raises
    ------
    ServiceError : a process did not start.
    MeasurementError : another run holds the machine, or the client keeps no schedule at all.
    """
    sizes = sizes or Sizes()
    pinning = permitted(share_out(cpus, usable_cores()))
    with (
        MachineLock(["calibrate"]) as lock,
        tempfile.TemporaryDirectory(prefix="asyncdb-bench-calibrate-") as name,
        on_cores(pinning.of("postgresql")),
    ):
        if lock.holder is not None:
            raise MeasurementError(f"another run holds this machine: {lock.holder}; wait for it")
        folder = Path(name)
        before = kernel.stolen()
        client = Client(folder, pinning, processes)
        most, workers = max_rate(client, sizes, say)
        lags = send_lags(client, most, sizes, say)
        errors = tuple(recording_errors(client, most, sizes, say))
        stolen = kernel.stolen_share(before)
        if stolen > STOLEN:
            say(
                f"the hypervisor took {stolen:.0%} of the CPU time asked for (steal): lags and"
                " noise are this machine's more than the load generator's"
            )
        if other := lock.other_run():
            raise MeasurementError(f"another run held the machine: {other}; calibrate again")
    return Calibration(
        schema_version=SCHEMA_VERSION,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=fingerprint(describe_machine()),
        cpus=pinning.cores,
        max_rps=most,
        send_lag=lags,
        errors=errors,
        stolen=stolen,
        load_processes=processes,
        workers=workers,
    )


@dataclass(frozen=True, slots=True)
class Client:
    """The load generator that is calibrated.

    Parameters
    ----------
    folder : for logs and records.
    pinning : where it runs.
    processes : that offer the load.
    """

    folder: Path
    pinning: Pinning
    processes: int = 1

    @contextlib.contextmanager
    def started(self) -> Iterator[Child]:
        """Start it, and end it again."""
        cores = self.pinning.of("load")
        with contextlib.ExitStack() as stack:
            if self.processes > 1:
                made = LoadSet(Workers(self.processes), cores, self.folder)
                yield stack.enter_context(made).child
                return
            with on_cores(cores):
                log = self.folder / "load.log"
                load = Child("asyncdb_bench.load", None, log, "the load generator")
            stack.callback(load.stop, 0)
            yield load


@dataclass(frozen=True, slots=True)
class NullBench:
    """A null server and the client that is calibrated against it."""

    server: Child
    load: Child
    port: int
    folder: Path

    def offer(self, rate: float, window_s: float) -> tuple[StepReply, Times]:
        """Offer a step; return the client's words and its records."""
        self.server.ask(Mark(), Anew, READY_S)
        file = self.folder / "step.npz"
        reply = offer(self.load, LoadOrder(rate, window_s, 2.0, (1,), probe=False), str(file))
        return reply, Times(file, reply.started_ns, window_s, 2.0)


@contextlib.contextmanager
def null_bench(delay: NullConfig, client: Client) -> Iterator[NullBench]:
    """Start a null server and a client, each where its role runs; warmed up."""
    with contextlib.ExitStack() as stack:
        with on_cores(client.pinning.of("app")):
            module = "asyncdb_bench.app.null_server"
            server = Child(module, delay, client.folder / "null.log", "the null server")
        stack.callback(server.stop)
        load = stack.enter_context(client.started())
        port = server.receive(Ready, READY_S).port
        load.send(load_config([calibrated_scenario()], 5.0, 4000, port))
        load.receive(Ready, READY_S)
        bench = NullBench(server, load, port, client.folder)
        bench.offer(200, 0.5)
        yield bench


def calibrated_scenario() -> PlannedScenario:
    """Return the scenario of ``bench.toml`` that a calibration asks for."""
    return plan_scenario(Spec(read_calibrated_scenario(), {}), {})


def on_schedule(rate: float, window_s: float, reply: StepReply, times: Times) -> list[Doubt]:
    """Return why a client did not keep a rate; empty where it did.

    Late at the median, at another rate than asked, or out of CPU: that is the client's. The p99 of
    the send lag is not asked here: on a shared machine it is the machine's pauses, which come at
    any rate; it is reported beside, and each step of a run is judged by its own.
    """
    ledger = reply.ledger
    median = statistics.percentiles(times.send_lag_us).p50_ms
    evidence = Evidence(
        ledger=ledger,
        # only the floor of the tolerance counts: the server takes no time
        latency=Percentiles(ledger.ok, p50_ms=0.0),
        send_lag=Percentiles(ledger.ok, p50_ms=median),
        client_busy=busiest_s(reply) / window_s,
        attempted=reply.attempted,
        counted=reply.locust_count,
        wrong_answers=reply.wrong_answers,
        budget=1,
        connections_peak=None,
        offered_rps=rate,
        arrivals_rps=times.arrivals_rps,
    )
    unanswered = ledger.scheduled - ledger.ok
    failed = [Doubt(DoubtKind.UNANSWERED, unanswered)] if unanswered else []
    return client_doubts(evidence, Tolerance()) + failed


def max_rate(
    client: Client, sizes: Sizes, say: Callable[[str], None]
) -> tuple[float, dict[str, float]]:
    """Return the highest rate that the client offers on schedule against a null handler, 1/s.

    Of several processes also each one's own, at the highest rate of all at which it was on
    schedule.

    A rate that fails is tried again, and the climb ends at the second in a row that fails three
    times: a shared machine pauses now and then.
    """
    kept, rate, failures = 0.0, FIRST_RPS, 0
    workers: dict[str, float] = {}
    with null_bench(NullConfig(), client) as bench:
        while rate <= MOST_RPS * client.processes and failures < 2:
            for _ in range(TRIES):
                reply, times = bench.offer(rate, sizes.climb_s)
                late = on_schedule(rate, sizes.climb_s, reply, times)
                workers |= on_schedule_alone(reply, sizes.climb_s)
                if not late:
                    break
            lag = statistics.percentiles(times.send_lag_us)
            lags = f"send lag p50 {lag.p50_ms:.2f}, p99 {lag.p99_ms:.2f} ms"
            say(f"{rate:7,.0f}/s: {sentence(late[0]) if late else 'on schedule'}; {lags}")
            kept, failures = (kept, failures + 1) if late else (rate, 0)
            rate = round(rate * GROWTH, -1)
    if not kept:
        raise MeasurementError(
            f"the load generator did not keep {FIRST_RPS:g}/s ({sentence(late[0])}):"
            " is the machine busy?"
        )
    if workers:
        listed = ", ".join(f"{name} {each:,.0f}/s" for name, each in workers.items())
        say(f"of the load processes by themselves: {listed}")
    return kept, workers


def on_schedule_alone(reply: StepReply, window_s: float) -> dict[str, float]:
    """Return the rates of those load processes that kept their own part of a step's schedule."""
    tolerance = Tolerance()
    return {
        each.name: each.arrivals / window_s
        for each in reply.workers
        if (each.send_lag_p50_ms or 0.0) <= tolerance.send_lag_floor_ms
        and each.cpu_s / window_s <= tolerance.client_busy
    }


def send_lags(
    client: Client, most: float, sizes: Sizes, say: Callable[[str], None]
) -> dict[str, Percentiles]:
    """Return the client's send lag at 25, 50 and 75 % of its highest rate."""
    found = {}
    with null_bench(NullConfig(), client) as bench:
        for percent in (25, 50, 75):
            _, times = bench.offer(most * percent / 100, sizes.lag_s)
            lag = found[str(percent)] = statistics.percentiles(times.send_lag_us)
            say(
                f"at {percent} % ({most * percent / 100:,.0f}/s): send lag p50 {lag.p50_ms:.2f},"
                f" p99 {lag.p99_ms:.2f}, p99.9 {lag.p999_ms:.2f} ms"
            )
    return found


def recording_errors(
    client: Client, most: float, sizes: Sizes, say: Callable[[str], None]
) -> Iterator[RecordingError]:
    """Yield what the client makes of servers whose delays are known."""
    rate = min(500.0, most / 4)
    count = sizes.recorded
    for words, delay in (
        ("constant 20 ms", NullConfig(kind="constant", ms=20, count=count)),
        ("uniform 5 to 15 ms", NullConfig(kind="uniform", ms=10, count=count)),
        ("5 ms, 1 % of them 50 ms", NullConfig(kind="tail", ms=5, count=count)),
    ):
        with null_bench(delay, client) as bench:
            _, times = bench.offer(rate, count / rate)
        known = quantiles(draw(delay))
        error = errors_of(times.service_us / 1000, draw(delay))
        listed = ", ".join(f"{name} {value:+.2f}" for name, value in error.items())
        say(f"{words} at {rate:g}/s: error {listed} ms")
        yield RecordingError(words, len(times.service_us), known, error)


def quantiles(values_ms: Any) -> dict[str, float]:
    """Return the percentiles of a sample by nearest rank."""
    return {
        name: float(np.quantile(values_ms, level, method="inverted_cdf"))
        for name, level in LEVELS.items()
    }


def errors_of(measured_ms: Any, known_ms: Any) -> dict[str, float]:
    """Return by how much the percentiles of a sample exceed those that are known, milliseconds.

    Where the known distribution jumps (1 % at ten times the rest: p99 lies on the edge), every
    value within the jump is right: a tenth of a percentage point to either side is allowed for.
    """
    errors = {}
    for name, value in quantiles(measured_ms).items():
        around = [min(max(LEVELS[name] + step, 0), 1) for step in (-JUMP, JUMP)]
        low, high = np.quantile(known_ms, around, method="inverted_cdf")
        errors[name] = value - min(max(value, float(low)), float(high))
    return errors
