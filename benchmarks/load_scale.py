"""How the load grows with its processes: CPU per arrival, harness work, prediction, simulation.

``.venv/bin/python benchmarks/load_scale.py`` starts load from one process, and sets of 1, 2, 4 and
8, all against one null server; they take turns of a second, in random order, at the same offered
load. Where there are few cores the CPU time of an arrival is what can be measured; from it the load
that so many cores can offer is predicted, and simulated.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from asyncdb_bench.analysis.step.durations import Times
from asyncdb_bench.load.arrivals import drawn, owners, share_of
from asyncdb_bench.load.merging import packed_records, together, unpacked_records
from asyncdb_bench.load.recorder import Recorder, save
from asyncdb_bench.plan.cores import on_cores, share_out, usable_cores
from asyncdb_bench.plan.load_workers import Workers
from asyncdb_bench.processes import kernel
from asyncdb_bench.processes.child import Child
from asyncdb_bench.processes.load_set import LoadSet
from asyncdb_bench.records.messages import (
    LoadConfig,
    NullConfig,
    Offer,
    Ready,
    StepReply,
)
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.records.step import Outcome, request_columns

SIZES = (1, 2, 4, 8)
NEAR_RPS = 3500.0
"""Offered by one process where the cost of an arrival is taken that the prediction rests on: the
faster they come, the more are served in one round of the event loop."""
LAG_MS = 2.0
BUSY = 0.9
"""What a load process may have of a core and of lateness, as in a run (docs/method.md)."""


@contextlib.contextmanager
def loads(folder: Path, sizes: Sequence[int]) -> Iterator[dict[int, tuple[Child, list[int]]]]:
    """Start a load of one process (0) and sets of several, all ready to ask one null server.

    Each has its process that is asked, and the ids of all.
    """
    pinning = share_out("auto", usable_cores())
    with contextlib.ExitStack() as stack:
        with on_cores(pinning.of("app")):
            server = Child(
                "asyncdb_bench.app.null_server", NullConfig(), folder / "null.log", "null"
            )
        stack.callback(server.stop)
        port = server.receive(Ready, 30).port
        asked = LoadConfig(
            host="127.0.0.1",
            port=port,
            scenario="read",
            scenario_knobs={},
            timeout_s=5.0,
            outstanding=4000,
        )
        with on_cores(pinning.of("load")):
            alone = Child("asyncdb_bench.load", asked, folder / "load.log", "load")
        stack.callback(alone.stop, 0)
        alone.receive(Ready, 30)
        made = {0: (alone, [alone.pid])}
        for size in sizes:
            logs = folder / f"set{size}"
            logs.mkdir()
            # all on the same cores: one each would take what only a set has
            with on_cores(pinning.of("load")):
                load_set = stack.enter_context(LoadSet(Workers(size), (), logs))
            child = load_set.configure(asked)
            made[size] = child, [child.pid, *(each.pid for each in load_set.parts())]
        yield made


Case = tuple[int, float]
"""How many processes, and what each of them offers, 1/s."""


def cases(rate: float, most: float) -> list[Case]:
    """Return what is compared: each set beside one process that offers as much as each of it.

    Parameters
    ----------
    rate : of a process, 1/s.
    most : that all of a set may offer together: they share a core here.
    """
    sets = [(size, min(rate, most / size)) for size in SIZES]
    return [*((0, each) for each in dict.fromkeys(own for _, own in sets)), *sets]


def cpu_per_arrival(
    made: dict[int, tuple[Child, list[int]]], compared: Sequence[Case], rounds: int, file: Path
) -> dict[Case, list[tuple[float, float]]]:
    """Return the CPU time of an arrival in each round, ms: of the workers, and with the master."""
    found: dict[Case, list[tuple[float, float]]] = {each: [] for each in compared}
    order = list(compared)
    for number in range(-1, rounds):
        random.Random(number).shuffle(order)
        for size, rate in order:
            child, pids = made[size]
            step = LoadOrder(rate * max(size, 1), 1.0, 2.0, (number + 2,), probe=False)
            before = kernel.ticks_s(kernel.descendants(pids))
            reply = child.ask(Offer(step, str(file)), StepReply, 60)
            used = kernel.ticks_s(kernel.descendants(pids)) - before
            assert not reply.lost, reply.lost
            if number >= 0:
                each = (reply.cpu_s * 1000 / reply.ledger.ok, used * 1000 / reply.ledger.ok)
                found[size, rate].append(each)
    return found


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Return the geometric mean of ratios and its 95 % interval (Student)."""
    logs = np.log(ratios)
    mean = float(logs.mean())
    half = float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs)))
    return float(np.exp(mean)), float(np.exp(mean - half)), float(np.exp(mean + half))


def most_on_schedule(cpu_ms: float, workers: int, cores: int, seconds: float = 4.0) -> float:
    """Simulate: the highest rate that workers offer on schedule, 1/s.

    Each worker is a queue with one server that takes `cpu_ms` for an arrival, longer where workers
    share cores; its arrivals are its part of the plan. On schedule: it is busy for less than 90 %
    of the time and the median of its lateness below 2 ms.
    """
    service_ns = cpu_ms * 1e6 * max(1.0, workers / cores)
    low, high = 100.0, 2.0 * cores * 1000 / cpu_ms
    while high / low > 1.02:
        rate = (low * high) ** 0.5
        plan = drawn(LoadOrder(rate, seconds, 1.0, (1,)), {"read": 1.0})
        whose = owners(len(plan.intended_ns), workers, (1,))
        late = [
            lateness(plan.intended_ns[whose == worker], service_ns) for worker in range(workers)
        ]
        busy = rate / workers * service_ns / 1e9
        kept = busy < BUSY and max(float(np.median(each)) for each in late) < LAG_MS * 1e6
        low, high = (rate, high) if kept else (low, rate)
    return low


def lateness(due_ns: Any, service_ns: float) -> Any:
    """Return by how much each arrival is served late by a server that takes so long for each."""
    # Lindley's recursion as running extremes: start_i = max_j<=i (due_j + (i - j) service)
    steps = np.arange(len(due_ns)) * service_ns
    return np.maximum.accumulate(due_ns - steps) + steps - due_ns


def harness_work(folder: Path, requests: int, workers: int) -> dict[str, float]:
    """Return what the harness does itself for one window, seconds, by part."""
    plan = drawn(LoadOrder(requests, 1.0, 1.0, (1,)), {"read": 1.0})
    took: dict[str, float] = {}

    def timed(name: str, began: float) -> None:
        took[name] = took.get(name, 0.0) + time.process_time() - began

    began = time.process_time()
    shares = [share_of(plan, number, workers, (1,)) for number in range(workers)]
    timed("sharing out", began)
    no_probes = np.zeros((0, 2), np.int64)
    sent = [packed_records(worker_columns(each.intended_ns), no_probes) for each in shares]
    began = time.process_time()
    file = folder / "window.npz"
    save(file, *together([unpacked_records(each, -(10**12)) for each in sent]))
    timed("putting together", began)
    began = time.process_time()
    times = Times(file, 10**12, 1.0, 1.0, ["read"])
    request_columns("trial", 0, ["read"], file, times.each_latency_us)
    timed("durations and columns", began)
    return took


def worker_columns(intended_ns: Any) -> dict[str, Any]:
    """Return a worker's records: every answer right, after a millisecond or so."""
    rng = np.random.default_rng(2)
    made = Recorder(intended_ns, np.zeros(len(intended_ns))).columns(0)
    made["sent_ns"] = intended_ns + rng.integers(10_000, 200_000, len(intended_ns))
    made["done_ns"] = made["sent_ns"] + rng.gamma(2, 500_000, len(intended_ns)).astype(np.int64)
    made["outcome"] = np.full(len(intended_ns), Outcome.OK, np.int8)
    return made


def full_cost_ms(child: Child) -> float:
    """Return the CPU time of an arrival near the most that one process can offer, ms."""
    costs = []
    for number in range(5):
        step = LoadOrder(NEAR_RPS, 1.0, 2.0, (number,), probe=False)
        reply = child.ask(Offer(step, ""), StepReply, 60)
        costs.append(reply.cpu_s * 1000 / reply.ledger.ok)
    return float(np.median(costs))


def line(
    size: int,
    rate: float,
    own: Sequence[tuple[float, float]],
    alone: Sequence[tuple[float, float]],
    full_ms: float,
) -> str:
    """Return a set's figures in words.

    Parameters
    ----------
    size, rate : of the set, and of each of its processes.
    own, alone : CPU times of an arrival in each round, of the set and of one process.
    full_ms : CPU time of an arrival of one process near its most.
    """
    ratios = [interval([a[k] / b[k] for a, b in zip(own, alone, strict=True)]) for k in (0, 1)]
    (workers, *bounds), (whole_, *whole_bounds) = ratios
    cost = full_ms * workers
    return (
        f"{size} at {rate:.0f}/s each: CPU of an arrival {workers:.2f} x one process"
        f" ({bounds[0]:.2f} to {bounds[1]:.2f}), with the master {whole_:.2f} x"
        f" ({whole_bounds[0]:.2f} to {whole_bounds[1]:.2f}); on {size} cores"
        f" {BUSY * 1000 / cost * size:,.0f}/s predicted,"
        f" {most_on_schedule(cost, size, size):,.0f}/s simulated; all on one core"
        f" {most_on_schedule(cost, size, 1):,.0f}/s simulated"
    )


def main() -> None:
    """Measure, predict, simulate and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, default=400, help="of each process, 1/s")
    parser.add_argument("--most", type=float, default=1600, help="of a whole set, 1/s")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with loads(folder, SIZES) as made:
            compared = cases(options.rate, options.most)
            found = cpu_per_arrival(made, compared, options.rounds, folder / "step.npz")
            full = full_cost_ms(made[0][0])
        print(f"one process at {NEAR_RPS:,.0f}/s: {full:.3f} ms of CPU an arrival")
        for (size, rate), each in found.items():
            if size:
                print(line(size, rate, each, found[0, rate], full))
        for size in (1, 8):
            took = harness_work(folder, 100_000, size)
            listed = ", ".join(f"{part} {seconds:.3f} s" for part, seconds in took.items())
            print(f"harness, 100,000 requests from {size}: {sum(took.values()):.3f} s ({listed})")


if __name__ == "__main__":
    main()
