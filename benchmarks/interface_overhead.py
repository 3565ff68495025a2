"""What our interface costs: our application against hand-written Tornado handlers, by wrk.

``.venv/bin/python benchmarks/interface_overhead.py`` starts one PostgreSQL, then for each of
blocking, executor and native measures our application and a minimal handler doing the same query
in the same way, in turn, several times, and prints medians and their ratio. Needs wrk.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.processes.child import Child
from asyncdb_bench.processes.kernel import descendants, ticks_s, tree
from asyncdb_bench.records.messages import Ready
from asyncdb_bench.services.running import RunningServices
from benchmarks.minimal_handlers import MinimalConfig

STRATEGIES = ("blocking", "executor", "native")
CONNECTIONS = 32
ALL_CORES = psutil.Process().cpu_affinity() if psutil.LINUX else []
WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
math.randomseed(7)
request = function()
  return wrk.format(nil, "/op/read", nil, '{"account": ' .. math.random(1, 100000) .. '}')
end
"""


class Target(NamedTuple):
    """A server to measure: its port and its process."""

    port: int
    pid: int


def pin(servers: list[int], database: list[int]) -> None:
    """Give servers (of which one works at a time), wrk and PostgreSQL cores of their own."""
    cores = ALL_CORES
    if len(cores) < 2:
        return
    psutil.Process().cpu_affinity([cores[1]])
    for process in tree(servers):
        process.cpu_affinity([cores[0]])
    for process in tree(database):
        process.cpu_affinity(cores[2:] or cores[1:])


def wrk(port: int, seconds: float, script: Path) -> float:
    """Return requests per second that a closed loop of 32 connections gets answered."""
    answer = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds:.0f}s",
            "-s",
            str(script),
            f"http://127.0.0.1:{port}/",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", answer.stdout)
    if bad:
        raise SystemExit(f"{bad.group(1)} failed requests:\n{answer.stdout}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", answer.stdout)
    assert found is not None
    return float(found.group(1))


@contextlib.contextmanager
def ours(name: str, services: RunningServices, logs: Path) -> Iterator[Target]:
    """Run our application; yield where it is."""
    launch = Launch(
        make_variant(Spec(name, {"gc_freeze": "false", "timing": "0"}), 8),
        (plan_scenario(Spec("read", {}), {}),),
        f"ours_{name}",
        "none",
        10,
    )
    with launched(launch, services, logs) as processes:
        yield Target(processes.port, processes.apps[0].pid)


@contextlib.contextmanager
def minimal(name: str, services: RunningServices, logs: Path) -> Iterator[Target]:
    """Run the hand-written handler; yield where it is."""
    data = make_scenario("read", {}).workload().data
    url = services.clone(data, f"minimal_{name}")
    config = MinimalConfig(way=name, database_url=url)
    child = Child("benchmarks.minimal_handlers", config, logs / f"minimal-{name}.log", name)
    try:
        yield Target(child.receive(Ready, 20).port, child.pid)
    finally:
        child.stop()
        services.drop(url)


Measure = Callable[[str, RunningServices, Path, Path, argparse.Namespace], None]


def run(measure: Measure, words: str | None, rounds: int, starts: int) -> int:
    """Measure each strategy against a PostgreSQL of its own with wrk; return the exit code.

    Parameters
    ----------
    measure : measures one strategy and prints what it found.
    words : what this is, for ``--help``.
    rounds, starts : how often, unless told otherwise.
    """
    parser = argparse.ArgumentParser(description=(words or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--starts", type=int, default=starts)
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder)
        script = logs / "read.lua"
        script.write_text(WRK_SCRIPT)
        with RunningServices(logs, "overhead", with_broker=False) as services:
            for name in options.strategies.split(","):
                measure(name, services, logs, script, options)
    return 0


def slice_of(target: Target, seconds: float, script: Path) -> tuple[float, float]:
    """Return requests per second, and the server's CPU milliseconds for each request."""
    before = ticks_s(descendants([target.pid]))
    rate = wrk(target.port, seconds, script)
    return rate, (ticks_s(descendants([target.pid])) - before) * 1000 / (rate * seconds)


def pairs_of(
    name: str, services: RunningServices, logs: Path, script: Path, seconds: float, rounds: int
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return what ours and theirs did in each round, both started afresh.

    Short slices in turn, so that what else the shared machine does falls on both alike; the order
    turns, so that neither always comes first.
    """
    with ours(name, services, logs) as mine, minimal(name, services, logs) as theirs:
        pin([mine.pid, theirs.pid], services.roles()["postgresql"])
        for target in (mine, theirs):
            wrk(target.port, 2, script)
        pairs = []
        for number in range(rounds):
            order = (theirs, mine) if number % 2 else (mine, theirs)
            found = {target: slice_of(target, seconds, script) for target in order}
            pairs.append((found[mine], found[theirs]))
    return pairs


def measure(
    name: str, services: RunningServices, logs: Path, script: Path, options: argparse.Namespace
) -> None:
    """Measure one strategy both ways and print medians and median ratios.

    Several starts: two processes of the same program differ by some percent for as long as they
    live (memory layout, hash seeds).
    """
    pairs = [
        pair
        for _ in range(options.starts)
        for pair in pairs_of(name, services, logs, script, options.seconds, options.rounds)
    ]
    rates = [(one[0], other[0]) for one, other in pairs]
    costs = [(one[1], other[1]) for one, other in pairs]
    low, ratio, high = statistics.quantiles([one / other for one, other in rates], n=4)
    cost = statistics.median(one / other for one, other in costs)
    ours_rps, theirs_rps = (statistics.median(column) for column in zip(*rates, strict=True))
    print(
        f"{name:<9} ours {ours_rps:5.0f}/s  minimal {theirs_rps:5.0f}/s"
        f"  ratio {ratio:.3f} (quartiles {low:.3f} to {high:.3f}, {len(pairs)} rounds)"
        f"  CPU per request {cost:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(run(measure, __doc__, rounds=7, starts=5))
