"""What noting the phases of every request costs: the same variant with it and without, by wrk.

``PYTHONPATH=. .venv/bin/python benchmarks/phases_cost.py`` runs each strategy twice side by side,
``timing=1`` and ``timing=0``, lets wrk ask both in turn, several times and from several starts,
and prints the medians of the ratios of requests/s and of CPU per request. Needs wrk.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Iterator
from pathlib import Path

from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.services.running import RunningServices
from benchmarks.interface_overhead import Target, pin, run, slice_of, wrk


@contextlib.contextmanager
def serving(name: str, timing: float, services: RunningServices, logs: Path) -> Iterator[Target]:
    """Run an application; yield where it is."""
    launch = Launch(
        make_variant(Spec(name, {"timing": str(timing)}), 8),
        (plan_scenario(Spec("read", {}), {}),),
        f"cost_{name}_{timing:g}".replace(".", "_"),
        "none",
        10,
    )
    with launched(launch, services, logs) as processes:
        yield Target(processes.port, processes.apps[0].pid)


def measure(
    name: str, services: RunningServices, logs: Path, script: Path, options: argparse.Namespace
) -> None:
    """Measure one strategy with and without and print the medians of the ratios."""
    rates, costs = [], []
    for _ in range(options.starts):
        with (
            serving(name, 1, services, logs) as noting,
            serving(name, 0, services, logs) as plain,
        ):
            pin([noting.pid, plain.pid], services.roles()["postgresql"])
            for target in (noting, plain):
                wrk(target.port, 2, script)
            for number in range(options.rounds):
                order = (plain, noting) if number % 2 else (noting, plain)
                found = {target: slice_of(target, options.seconds, script) for target in order}
                rates.append(found[noting][0] / found[plain][0])
                costs.append(found[noting][1] / found[plain][1])
    low, middle, high = statistics.quantiles(rates, n=4)
    print(
        f"{name:<9} requests/s with / without: {middle:.3f} (quartiles {low:.3f} to {high:.3f},"
        f" {len(rates)} rounds); CPU per request {statistics.median(costs):.3f}",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(run(measure, __doc__, rounds=8, starts=4))
