"""How exact the delay proxy is, idle and at 10,000 messages a second, and what it costs.

``PYTHONPATH=. .venv/bin/python benchmarks/delay_precision.py [--seconds 4] [--awake]``

`SELECT 1` by libpq from the application's core, through the proxy on the services' core, while
pgbench (an independent client, of PostgreSQL's own) sends `SELECT 1` on other connections at a
given rate. A message is what passes in one direction: a query or an answer. With `--awake` a loop
of the lowest priority keeps the cores from falling asleep: what a virtual CPU takes to wake up is
then in no figure, and the rest is the proxy's.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from asyncdb_bench.plan.cores import on_cores, share_out, usable_cores
from asyncdb_bench.processes import kernel
from asyncdb_bench.records.plan import Reach
from asyncdb_bench.services.distances import database_round_trips
from asyncdb_bench.services.postgres import bin_folders
from asyncdb_bench.services.reaching import Between
from asyncdb_bench.services.running import RunningServices

TRIPS_MS = (0.3, 0.5, 1.0, 2.0, 5.0)
CLIENTS = 40


def pgbench() -> str:
    """Return PostgreSQL's own load generator."""
    for _, folder in bin_folders():
        if (folder / "pgbench").exists():
            return str(folder / "pgbench")
    found = shutil.which("pgbench")
    if found is None:
        raise SystemExit("pgbench is missing: apt-get install postgresql-contrib")
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--awake", action="store_true")
    given = parser.parse_args()
    pinning = share_out("auto", usable_cores())
    near = pinning.of("app")
    between = Between(tuple(Reach(rtt_ms=each) for each in TRIPS_MS), near=near)
    print("| asked, ms | other messages/s | p50, ms | off | p99, ms | off | proxy's core |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    with (
        awake(given.awake),
        tempfile.TemporaryDirectory() as logs,
        on_cores(pinning.of("postgresql")),
        RunningServices(
            Path(logs), "precision", with_broker=False, environment={}, between=between
        ) as services,
    ):
        pids = services.roles()["delay"]
        script = Path(logs, "select.sql")
        script.write_text("SELECT 1;\n")
        for messages in (0, given.messages):
            for rtt_ms in TRIPS_MS:
                reach = Reach(rtt_ms=rtt_ms)
                services.set_reach(reach)
                url = services.reached(services.postgres.url, reach, through=True)
                with on_cores(near):
                    other = loaded(url, script, messages, given.seconds)
                    time.sleep(0.7 if other else 0)
                    tree = [each.pid for each in kernel.tree(pids)]
                    used, began = kernel.ticks_s(tree), time.monotonic()
                    asked: list[float] = []
                    while time.monotonic() - began < given.seconds - 1.2:
                        asked += database_round_trips(url, 0.3)
                    took = time.monotonic() - began
                    share = (kernel.ticks_s(tree) - used) / took
                rate = 2 * rate_of(other) if other else 0
                p50, p99 = np.percentile(asked, [50, 99])
                print(
                    f"| {rtt_ms:g} | {rate:,.0f} | {p50:.3f} | {p50 - rtt_ms:+.3f} | {p99:.3f} |"
                    f" {p99 - rtt_ms:+.3f} | {share:.0%} |",
                    flush=True,
                )


@contextmanager
def awake(wanted: bool) -> Iterator[None]:
    """Keep all cores from falling asleep."""
    command = ["nice", "-n", "19", sys.executable, "-c", "while True: pass"]
    loops = []
    try:
        for core in usable_cores() if wanted else ():
            with on_cores((core,)):
                loops.append(subprocess.Popen(command))
        yield
    finally:
        for each in loops:
            each.kill()
            each.wait()


def loaded(url: str, script: Path, messages: int, seconds: float) -> subprocess.Popen[str] | None:
    """Start pgbench at a rate; None: there is none."""
    if not messages:
        return None
    return subprocess.Popen(
        [
            *(pgbench(), "-n", "-f", str(script), "-c", str(CLIENTS), "-T", f"{seconds:.0f}"),
            *("-R", str(messages // 2), url),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rate_of(process: subprocess.Popen[str]) -> float:
    """Wait for pgbench's end and return its transactions a second."""
    said, _ = process.communicate(timeout=60)
    for line in said.splitlines():
        if line.startswith("tps = "):
            return float(line.split()[2])
    raise SystemExit(said)


if __name__ == "__main__":
    main()
