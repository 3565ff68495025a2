"""Whether the length of a window moves a ratio: our closed loop in many lengths, and wrk.

``PYTHONPATH=. .venv/bin/python benchmarks/window_length.py`` (15 minutes) keeps `native` twice,
`executor` and `blocking` running, all but one of them paused, and asks each of them in random
order in windows of each length, as many of each as take as long together, and for 2 s by wrk.
It prints each length's ratios to `native`, their standard errors, and paces beside wrk's. Needs
wrk.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import re
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from asyncdb_bench.analysis.step.durations import Times
from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch, load_for, offer
from asyncdb_bench.measure.turns import pace_lead_s
from asyncdb_bench.plan.cores import on_cores, share_out, usable_cores
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.processes.cleanup import Cleanup
from asyncdb_bench.processes.pausing import Stoppable
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.services.running import RunningServices

NAMES = {"native": "native", "native#2": "native", "executor": "executor", "blocking": "blocking"}
CONNECTIONS = 32
PINNING = share_out("auto", usable_cores())
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"account": 1, "seconds": 0.05}'
function done(summary, latency, requests)
  io.write(string.format("FOUND %d %d\\n", summary.requests, summary.duration))
end
"""
Paces = dict[tuple[str, str], dict[tuple[int, int], float]]
"""By length or wrk and by variant: the pace in each launch and round, 1/s."""


def wrk_pace(url: str, script: Path, seconds: int) -> float:
    """Return answers a second by wrk."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script)]
    nice = ["nice", "-n", "-10"] if os.geteuid() == 0 else []
    with on_cores(PINNING.of("load")):
        answer = subprocess.run(
            [*nice, *command, url],
            capture_output=True,
            text=True,
            check=True,
        )
    found = re.search(r"FOUND (\d+) (\d+)", answer.stdout)
    assert found is not None, answer.stdout
    return int(found[1]) / int(found[2]) * 1e6


def measure(name: str, lengths: list[float], launches: int, rounds: int) -> Paces:
    """Measure all; a round has each variant for a second in windows of each length, and by wrk."""
    found: Paces = defaultdict(dict)
    scenario = plan_scenario(Spec(name, {}), {})
    draw = random.Random(2017)
    for launch in range(launches):
        with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
            folder = Path(scratch)
            # who is paused cannot see by itself that this process was killed
            cleanup = stack.enter_context(Cleanup())
            stack.enter_context(on_cores(PINNING.of("postgresql")))
            services = stack.enter_context(
                RunningServices(folder, "asyncdb_bench_length", with_broker=False)
            )
            script = folder / "ask.lua"
            script.write_text(SCRIPT)
            load = load_for([scenario], 5.0, 4000, folder / "load.log", PINNING.of("load"))
            stack.callback(load.stop, 0)
            ports: dict[str, int] = {}
            paused: dict[str, Stoppable] = {}
            own: list[int] = []
            for label, strategy in NAMES.items():
                variant = make_variant(Spec(strategy, {}), 8)
                what = Launch(
                    variant, (scenario,), f"{label[:6]}{len(ports)}", "none", 5.0, pinning=PINNING
                )
                processes = stack.enter_context(launched(what, services, folder))
                ports[label] = processes.port
                paused[label] = Stoppable([each.pid for each in processes.apps])
                stack.callback(paused[label].resume)
                own += [each.pid for each in processes.apps]
                cleanup.watch(own)
                paused[label].stop()
            known: dict[str, float] = {}
            for number in range(rounds):
                for label in draw.sample(list(NAMES), len(NAMES)):
                    turns = [each for each in lengths for _ in range(max(1, round(1 / each)))]
                    for window_s in [*draw.sample(turns, len(turns)), 0.0]:
                        paused[label].resume()
                        if window_s:
                            pace = known.get(label, 0.0)
                            lead_s = pace_lead_s(pace, 8, draw.random()) + 0.3 * (not pace)
                            order = LoadOrder(
                                0, window_s, 3.0, (launch, number, len(found)), lead_s=lead_s,
                                connections=CONNECTIONS, port=ports[label], probe=False,
                                scenario=scenario.label,
                            )  # fmt: skip
                            file = folder / "pace.npz"
                            reply = offer(load, order, str(file))
                            times = Times(
                                file, reply.started_ns, window_s, 3.0, lead_s=lead_s, closed=True
                            )
                            known[label] = pace = times.achieved_rps
                            key = (f"{window_s:g}", label)
                        else:
                            time.sleep(0.03)
                            url = f"http://127.0.0.1:{ports[label]}/op/{name}"
                            pace, key = wrk_pace(url, script, 2), ("wrk", label)
                            # what wrk left unanswered is worked off by whoever had it queued
                            time.sleep(2 * CONNECTIONS / pace)
                        paused[label].stop()
                        found[key][launch, len(found[key])] = pace
    return found


def report(found: Paces) -> None:
    """Print ratios by length, and paces beside wrk's."""
    lengths = list(dict.fromkeys(length for length, _ in found))
    print("| window, s | windows | native#2 | executor | blocking | se of one ratio after 20 s |")
    print("|---|---:|---|---|---|---:|")
    for length in lengths:
        logs = {label: np.log(list(found[length, label].values())) for label in NAMES}
        cells, errors = [], []
        for label in list(NAMES)[1:]:
            error = math.hypot(
                logs[label].std(ddof=1) / math.sqrt(len(logs[label])),
                logs["native"].std(ddof=1) / math.sqrt(len(logs["native"])),
            )
            ratio = math.exp(logs[label].mean() - logs["native"].mean())
            cells.append(f"{ratio:.3f} ± {2 * error * ratio:.3f}")
            seconds = len(logs[label]) * (1.0 if length == "wrk" else float(length) + 0.1)
            errors.append(error * math.sqrt(seconds / 20))
        print(
            f"| {length} | {len(logs['native'])} | {' | '.join(cells)} |"
            f" {sum(errors) / len(errors):.1%} |"
        )
    print("| pace, 1/s | " + " | ".join(f"{each}" for each in lengths) + " |")
    for label in NAMES:
        told = [math.exp(np.log(list(found[length, label].values())).mean()) for length in lengths]
        print(f"| {label} | " + " | ".join(f"{each:.0f}" for each in told) + " |")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scenario", default="read", help="read or slow")
    parser.add_argument("--lengths", default="0.1,0.2,0.5,1")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--launches", type=int, default=3)
    parser.add_argument("--keep", default="", help="write the paces to this file, as JSON")
    given = parser.parse_args()
    lengths = [float(each) for each in given.lengths.split(",")]
    found = measure(given.scenario, lengths, given.launches, given.rounds)
    if given.keep:
        rows = [[*key, list(each.values())] for key, each in found.items()]
        Path(given.keep).write_text(json.dumps(rows))
    report(found)


if __name__ == "__main__":
    main()
