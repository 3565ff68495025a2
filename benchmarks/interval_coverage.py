"""How often the intervals of a run hold the truth, on a quiet machine and on a busy one.

``PYTHONPATH=. .venv/bin/python benchmarks/interval_coverage.py`` (15 minutes) measures `native`
beside itself and beside itself with a known CPU cost in each request, in as many runs as asked for,
each of launches of its own. The truths are known: a ratio of 1, and that of the CPU times with and
without the cost; of the paces with the cost, what all runs together show.

``--share 0.3`` has a process on the application's core busy in random bursts meanwhile,
``--everywhere 2`` two busy processes on each core. ``--of RUN`` evaluates a run that was measured
before.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.inference import CPU, PACE, Metric
from asyncdb_bench.analysis.metric_table import Table, brokers_of, table_of
from asyncdb_bench.analysis.values import values_of
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.records.run_folder import RunFolder, open_run
from asyncdb_bench.records.step import Step
from benchmarks.many_launches import busy, measured


def measure(runs: int, launches: int, rounds: int, seed: int, cost_ms: float) -> RunFolder:
    """Measure all launches of all runs."""
    choices = Choices("quick", "native", "read", seed, {"time_budget_s": 0, "blocks": 1000})
    plan = make_plan(replace(choices, inject=f"cpu_ms={cost_ms}"), read_profiles())
    plain, faulty = plan.variants
    variants = (plain, replace(plain, label="native#2"), faulty)
    scenarios = tuple(each for each in plan.scenarios if not each.aside)
    plan = replace(plan, variants=variants, scenarios=scenarios)
    return measured(plan, runs * launches, rounds)


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


def tables(steps: Sequence[Step], variants: Sequence[Variant]) -> dict[str, Table]:
    """Return the tables of pace and CPU."""
    brokers = brokers_of(variants)
    return {m.name: table_of(values_of(steps, m, brokers), brokers, {}) for m in (PACE, CPU)}


def evaluate(folder: RunFolder, launches: int) -> list[str]:
    """Return the table's lines."""
    variants = folder.manifest().plan.variants
    plain, again, faulty = (each.label for each in variants)
    fault = variants[2].fault
    assert fault is not None
    steps = folder.steps()
    whole = tables(steps, variants)
    cost = statistics.geometric_mean([whole[CPU.name].values[name] for name in (plain, again)])
    base = statistics.geometric_mean([whole[PACE.name].values[name] for name in (plain, again)])
    slower = whole[PACE.name].values[faulty] / base
    dearer = 1 + fault.cpu_ms / cost
    pairs: list[tuple[Metric, Coverage, str, str]] = [
        (PACE, Coverage("pace, A/A", 1.0), plain, again),
        (PACE, Coverage("pace, with the cost (truth: all together)", slower), plain, faulty),
        (CPU, Coverage("CPU per request, A/A", 1.0), plain, again),
        (CPU, Coverage(f"CPU per request, {fault.cpu_ms:g} ms more", dearer), plain, faulty),
        (CPU, Coverage("the same, against the other copy", dearer), again, faulty),
    ]
    all_of = {metric.name: [0, 0] for metric in (PACE, CPU)}
    last = max(step.block for step in steps) + 1
    for first in range(0, last - launches + 1, launches):
        own = [step for step in steps if first <= step.block < first + launches]
        found = tables(own, variants)
        held = {metric.name: True for metric in (PACE, CPU)}
        for metric, coverage, one, other in pairs:
            held[metric.name] &= coverage.add(found[metric.name], one, other)
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


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--launches", type=int, default=1, help="of each run")
    parser.add_argument("--rounds", type=int, default=10, help="of each launch")
    parser.add_argument("--share", type=float, default=0.0, help="of the application's core taken")
    parser.add_argument("--everywhere", type=int, default=0, help="busy processes on each core")
    parser.add_argument("--seed", type=int, default=2017)
    parser.add_argument("--cost-ms", type=float, default=0.1)
    parser.add_argument("--of", default="", help="evaluate this run, measure nothing")
    given = parser.parse_args()
    if given.of:
        folder = open_run(Path("results").resolve(), given.of)
    else:
        with busy(given.share, given.seed, everywhere=given.everywhere):
            folder = measure(given.runs, given.launches, given.rounds, given.seed, given.cost_ms)
    print("\n".join(evaluate(folder, given.launches)))
    print(f"results: {folder.path}")


if __name__ == "__main__":
    main()
