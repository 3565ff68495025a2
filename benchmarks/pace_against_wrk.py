"""Pace by our client and by wrk: the same applications, the same turns, ratios within rounds.

``PYTHONPATH=. .venv/bin/python benchmarks/pace_against_wrk.py`` keeps `native`, `executor` and
`blocking` alive, all but one of them stopped, and asks each of them in random order for a second by
our closed loop and for a second by wrk, 32 connections each, in so many rounds. It prints each
client's ratios to `native` and the one over the other. It needs wrk.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import random
import statistics
import tempfile
import time
from pathlib import Path

from asyncdb_bench.analysis.step.durations import Times
from asyncdb_bench.analysis.turns.nested import Cells, pair_logs, ratio_of, spread_of
from asyncdb_bench.plan.cores import on_cores
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.trial.launch import (
    offer,
)
from asyncdb_bench.trial.turns.stopping import Stoppable
from benchmarks.against_other_clients import CLOSED, PINNING, Target, wrk
from benchmarks.against_other_clients import application as running

NAMES = ("native", "executor", "blocking")
LEAD_S, TURN_S = 0.1, 1.0


def our_pace(target: Target, seed: int) -> float:
    """Return answers a second by our closed loop."""
    file = target.folder / "pace.npz"
    order = LoadOrder(0, TURN_S, 3.0, (seed,), connections=CLOSED, lead_s=LEAD_S)
    reply = offer(target.load, order, str(file))
    return Times(file, reply.started_ns, TURN_S, 3.0, lead_s=LEAD_S, closed=True).achieved_rps


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--launches", type=int, default=3)
    given = parser.parse_args()
    found: dict[tuple[str, str], dict[int, dict[int, float]]] = {}
    draw = random.Random(2017)
    for launch in range(given.launches):
        with (
            tempfile.TemporaryDirectory() as path,
            on_cores(PINNING.of("postgresql")),
            RunningServices(Path(path), "asyncdb_bench_wrk", with_broker=False) as services,
            contextlib.ExitStack() as stack,
        ):
            folder = Path(path)
            targets = {name: stack.enter_context(running(name, services, folder)) for name in NAMES}
            sleepers = {name: Stoppable([int(pid)]) for name, pid in _pids(targets).items()}
            for each in sleepers.values():
                stack.callback(each.resume)
                each.stop()
            for number in range(given.rounds):
                turns = [(name, client) for client in ("ours", "wrk") for name in NAMES]
                for name, client in draw.sample(turns, len(turns)):
                    sleepers[name].resume()
                    time.sleep(0.03)
                    if client == "ours":
                        pace = our_pace(targets[name], number)
                    else:
                        pace = wrk(targets[name], CLOSED, 1, 0).rate_rps
                    sleepers[name].stop()
                    found.setdefault((client, name), {}).setdefault(launch, {})[number] = pace
    report(found)


def _pids(targets: dict[str, Target]) -> dict[str, int]:
    """Return the application that listens on each target's port."""
    import psutil

    listening = {
        each.laddr.port: each.pid
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.pid and each.laddr
    }
    return {name: listening[target.port] for name, target in targets.items()}


def report(found: dict[tuple[str, str], dict[int, dict[int, float]]]) -> None:
    """Print each client's ratios to native, and by how much the two differ."""
    cells: dict[tuple[str, str], Cells] = dict(found.items())
    print("| variant over native | ours | wrk | ours over wrk |")
    print("|---|---|---|---|")
    for name in NAMES[1:]:
        logs = {}
        texts = []
        for client in ("ours", "wrk"):
            own = [cells[client, each] for each in NAMES]
            ratio = ratio_of(cells[client, "native"], cells[client, name], spread_of(own), 3)
            assert ratio is not None
            low, high = ratio.bounds or (math.nan, math.nan)
            logs[client] = pair_logs(cells[client, "native"], cells[client, name])
            texts.append(f"{ratio.ratio:.3f} ({low:.3f} to {high:.3f})")
        apart = statistics.fmean(logs["ours"][b] - logs["wrk"][b] for b in logs["ours"])
        print(f"| {name} | {texts[0]} | {texts[1]} | {math.exp(apart):.3f} |")
    for name in NAMES:
        paces = {
            client: statistics.geometric_mean(
                [value for rounds in cells[client, name].values() for value in rounds.values()]
            )
            for client in ("ours", "wrk")
        }
        print(f"{name}: ours {paces['ours']:.0f}/s, wrk {paces['wrk']:.0f}/s")


if __name__ == "__main__":
    main()
