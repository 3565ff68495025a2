"""How often the intervals of turns hold the truth, while something takes the application's core.

``PYTHONPATH=. .venv/bin/python benchmarks/interval_coverage.py`` (20 minutes) measures `native`
beside itself and beside itself with a known CPU cost in each request, in as many runs as asked for,
each of blocks of its own, while a process on the application's core is busy in random bursts. The
truths are known: a ratio of 1, and that of the CPU times with and without the cost.

``--of RUN`` evaluates a run that was measured before.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.turns.answers import Table, table_of
from asyncdb_bench.analysis.turns.nested import block_values
from asyncdb_bench.analysis.turns.values import CPU, PACE, Axis
from asyncdb_bench.cli.progress import Progress
from asyncdb_bench.plan.cores import on_cores, share_out, usable_cores
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.records.plan import Block, Plan
from asyncdb_bench.records.run_folder import RunFolder, open_run
from asyncdb_bench.records.step import Step
from asyncdb_bench.run import Places, run_schedule
from asyncdb_bench.trial.schedule_loop import Results

NOISE = """
import random, sys, threading, time, os
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
draw, share = random.Random(int(sys.argv[1])), float(sys.argv[2])
while True:
    burst = draw.uniform(0.02, 0.3)
    until = time.monotonic() + burst
    while time.monotonic() < until:
        pass
    time.sleep(burst * (1 - share) / share * draw.uniform(0.5, 1.5))
"""


@contextlib.contextmanager
def bursts(share: float, seed: int) -> Iterator[None]:
    """Keep the application's core busy for a share of the time, in bursts of up to 0.3 s."""
    if not share:
        yield
        return
    cores = share_out("auto", usable_cores()).of("app")
    with on_cores(cores):
        process = subprocess.Popen(
            [sys.executable, "-c", NOISE, str(seed), str(share)], stdin=subprocess.PIPE
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


class ManyBlocks:
    """So many blocks of turns at full speed; see :class:`Schedule`."""

    def __init__(self, plan: Plan, rounds: int) -> None:
        self.plan = plan
        self.rounds = rounds

    def next(self, results: Results) -> Block | None:
        """Return the next block."""
        done = len({(end.block) for end in results.ends})
        trials = tuple(trial for trial in self.plan.trials if trial.block == done)
        return Block(trials, ("pace",), self.rounds) if trials else None

    def news(self) -> list[str]:
        """Return nothing."""
        return []


class Quiet(Progress):
    """Shows the blocks alone."""

    def step(self, step: Step) -> None:
        """Show nothing."""

    def end(self, end: object) -> None:
        """Show nothing."""


def measure(runs: int, blocks: int, share: float, seed: int, cost_ms: float) -> RunFolder:
    """Measure all blocks of all runs."""
    plan = make_plan(
        Choices(
            "quick",
            "native",
            "read",
            seed,
            {"blocks": runs * blocks, "time_budget_s": 0},
            inject=f"cpu_ms={cost_ms}",
        ),
        read_profiles(),
    )
    plain, faulty = plan.variants
    again = replace(plain, label="native#2")
    variants = (plain, again, faulty)
    trials = tuple(
        replace(plan.trials[0], id=f"t{block * 3 + place:04d}", block=block, variant=each.label)
        for block in range(runs * blocks)
        for place, each in enumerate(variants)
    )
    plan = replace(plan, variants=variants, trials=trials)
    with bursts(share, seed):
        return run_schedule(
            plan,
            Places(Path("results").resolve(), Path("reports").resolve()),
            Quiet(plan, 0, sys.stdout),
            lambda known: ManyBlocks(known, 1),
        ).folder


@dataclass
class Coverage:
    """How often an interval held a truth."""

    what: str
    truth: float
    held: int = 0
    n: int = 0
    widths: float = 0.0

    def add(self, table: Table, one: str, other: str) -> bool:
        """Count one interval; return whether it held."""
        ratio = table.ratio(one, other)
        bounds = ratio.bounds if ratio else None
        if ratio is None or bounds is None:
            return True
        holds = bounds[0] <= self.truth <= bounds[1]
        self.n += 1
        self.held += holds
        self.widths += ratio.half_width
        return holds

    def row(self) -> str:
        """Return a line of the table."""
        low, high = statistics.share_interval(self.held, self.n)
        width = math.exp(self.widths / self.n) - 1
        return (
            f"| {self.what} | {self.truth:.3f} | {self.held} of {self.n} |"
            f" {self.held / self.n:.0%} | {low:.0%} to {high:.0%} | ± {width:.1%} |"
        )


def evaluate(folder: RunFolder, blocks: int) -> list[str]:
    """Return the table's lines."""
    manifest = folder.manifest()
    plain, again, faulty = (each.label for each in manifest.plan.variants)
    fault = manifest.plan.variants[2].fault
    assert fault is not None
    steps = [step for step in folder.steps() if step.turn is not None]
    labels = (plain, again, faulty)
    truth = 1 + fault.cpu_ms / cost_of(steps, (plain, again))
    pace_truth = true_ratio(steps, PACE, (plain, again), faulty)
    pairs = [
        (PACE, Coverage("pace, A/A", 1.0), plain, again),
        (
            PACE,
            Coverage("pace, with the cost (truth: all runs together)", pace_truth),
            plain,
            faulty,
        ),
        (CPU, Coverage("CPU per request, A/A", 1.0), plain, again),
        (CPU, Coverage(f"CPU per request, with {fault.cpu_ms:g} ms more", truth), plain, faulty),
        (CPU, Coverage("the same, against the other copy", truth), again, faulty),
    ]
    all_of = {axis.name: [0, 0] for axis in (PACE, CPU)}
    last = max(step.block for step in steps) + 1
    for first in range(0, last - blocks + 1, blocks):
        own = [step for step in steps if first <= step.block < first + blocks]
        tables = {axis.name: table_of(own, axis, labels) for axis in (PACE, CPU)}
        held = {axis.name: True for axis in (PACE, CPU)}
        for axis, coverage, one, other in pairs:
            held[axis.name] &= coverage.add(tables[axis.name], one, other)
        for name, each in held.items():
            all_of[name][0] += each
            all_of[name][1] += 1
    lines = [
        "| interval | truth | held | share | 95 % interval | half-width |",
        "|---|---:|---:|---:|---|---:|",
        *(coverage.row() for _, coverage, _, _ in pairs),
    ]
    for name, (hits, n) in all_of.items():
        low, high = statistics.share_interval(hits, n)
        lines.append(
            f"| {name}, all its intervals at once | | {hits} of {n} | {hits / n:.0%} |"
            f" {low:.0%} to {high:.0%} | |"
        )
    return lines


def cost_of(steps: Sequence[Step], labels: Sequence[str]) -> float:
    """Return the CPU time per request of unchanged copies over all blocks, milliseconds."""
    table = table_of(steps, CPU, labels)
    return statistics.geometric_mean(list(table.values.values()))


def true_ratio(steps: Sequence[Step], axis: Axis, plain: Sequence[str], faulty: str) -> float:
    """Return a ratio over all blocks, which is many times sharper than one run's."""
    table = table_of(steps, axis, (*plain, faulty))
    means = {
        name: statistics.geometric_mean(list(block_values(cells).values()))
        for name, cells in table.cells.items()
    }
    return means[faulty] / statistics.geometric_mean([means[name] for name in plain])


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--blocks", type=int, default=3, help="of each run")
    parser.add_argument("--share", type=float, default=0.3, help="of the core; 0: no noise")
    parser.add_argument("--seed", type=int, default=2017)
    parser.add_argument("--cost-ms", type=float, default=0.1)
    parser.add_argument("--of", default="", help="evaluate this run, measure nothing")
    given = parser.parse_args()
    if given.of:
        folder = open_run(Path("results").resolve(), given.of)
    else:
        folder = measure(given.runs, given.blocks, given.share, given.seed, given.cost_ms)
    print("\n".join(evaluate(folder, given.blocks)))
    print(f"results: {folder.path}")


if __name__ == "__main__":
    main()
