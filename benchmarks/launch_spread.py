"""How far launches of one variant stray: where the prior of the intervals comes from.

``PYTHONPATH=. .venv/bin/python benchmarks/launch_spread.py`` (25 minutes) launches two copies of
some strategies again and again, has each launch take some rounds, and takes the rounds' part off
the spread of the launches, as an additive model of variants and launches leaves it.

``--of RUN`` evaluates runs that were measured before, together: of several machines, say.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

from asyncdb_bench.analysis.findings import findings_of
from asyncdb_bench.analysis.inference import MEASURED
from asyncdb_bench.analysis.launch_spread import spread_of_launches
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.records.run_folder import RunFolder, open_run
from benchmarks.many_launches import copies_of, measured


def measure(strategies: str, scenario: str, launches: int, rounds: int, seed: int) -> RunFolder:
    """Measure all launches."""
    choices = Choices("quick", strategies, scenario, seed, {"time_budget_s": 0})
    plan = make_plan(choices, read_profiles())
    plan = replace(
        plan,
        variants=copies_of(plan.variants, 2),
        scenarios=tuple(each for each in plan.scenarios if not each.aside),
    )
    return measured(plan, launches, rounds, ("pace", "common"))


def lines_of(folder: RunFolder) -> list[str]:
    """Return a line for each metric and kind of variant."""
    manifest = folder.manifest()
    steps = folder.steps()
    found = []
    for asked in manifest.plan.scenarios:
        own = [step for step in steps if step.scenario == asked.label]
        findings = findings_of(
            own, manifest.plan.variants, manifest.plan.settings, asked.objective.p99_ms, {}
        )
        for table in findings.tables.values():
            for with_broker in (False, True):
                spread = spread_of_launches(table, with_broker=with_broker)
                if spread is None:
                    continue
                round_sd = table.spread_of(
                    *[n for n, b in table.brokers.items() if b == with_broker]
                ).round
                found.append(
                    f"| {manifest.machine['cpu']} | {asked.label} | {table.metric.title} |"
                    f" {'with' if with_broker else 'without'} |"
                    f" {signed_root(spread.variance):.2%} | {spread.freedom:.0f} |"
                    f" {round_sd:.1%} | {MEASURED[table.metric.name][with_broker]:.2%} |"
                )
    return found


def signed_root(variance: float) -> float:
    """Return a standard deviation; below 0 where rounds alone explain more than was seen."""
    return math.copysign(math.sqrt(abs(variance)), variance)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--strategies", default="native,executor,blocking,celery")
    parser.add_argument("--scenario", default="read")
    parser.add_argument("--launches", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=2017)
    parser.add_argument("--of", action="append", default=[])
    given = parser.parse_args()
    folders = [open_run(Path("results").resolve(), each) for each in given.of]
    if not folders:
        folders = [
            measure(given.strategies, given.scenario, given.launches, given.rounds, given.seed)
        ]
    print("| machine | scenario | metric | broker | launch strays by | freedom | round | prior |")
    print("|---|---|---|---|---:|---:|---:|---:|")
    for folder in folders:
        print("\n".join(lines_of(folder)))
    print("; ".join(f"results: {folder.path}" for folder in folders))


if __name__ == "__main__":
    main()
