"""Our client against others: the same application, rate and duration, in turn.

``PYTHONPATH=. .venv/bin/python benchmarks/against_other_clients.py`` measures, for `native` and
`blocking`, what wrk gets from a closed loop, then at 20, 50 and 80 % of that what our client, wrk
and autocannon report of p50 and p99, several times, and prints the medians of the ratios.

- wrk as an open model: many connections, each with an exponential pause (its ``delay()``) much
  longer than the answer, which together make a Poisson process. It runs at the same time as ours,
  half of the load each: what a shared machine does falls on both alike, where in turn it does not.
- autocannon ``-R``, with and without its correction for coordinated omission, in turn with ours:
  it sends in bursts, from which ours would suffer. It is fetched by npm.
- wrk as a closed loop, in turn with ours offered half as much again: completions per second.

First all are held against a server whose delay is known.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from asyncdb_bench.analysis.statistics import percentiles
from asyncdb_bench.analysis.step.durations import Times
from asyncdb_bench.measure.client_calibration import Client, null_bench
from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch, load_for, offer
from asyncdb_bench.plan.cores import on_cores, share_out, usable_cores
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.processes.child import Child
from asyncdb_bench.records.messages import NullConfig
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.services.running import RunningServices

CLOSED = 32
SPREAD = 200
"""Connections of wrk as an open model: at 100/s each pauses for two seconds between requests."""
PINNING = share_out("auto", usable_cores())
BODY = '{"account": 1}'
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"account": 1}'
local pause = tonumber(os.getenv("PAUSE_MS"))
if pause > 0 then
  function init() math.randomseed(os.time()) end
  function delay() return math.floor(-pause * math.log(1 - math.random()) + 0.5) end
end
function done(summary, latency, requests)
  io.write(string.format("FOUND %d %d %d %d\\n", latency:percentile(50), latency:percentile(99),
    summary.requests, summary.duration))
end
"""


class Seen(NamedTuple):
    """What a client reports, milliseconds and 1/s."""

    p50_ms: float
    p99_ms: float
    rate_rps: float


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked, and by which process of ours."""

    port: int
    load: Child
    folder: Path


def ours(target: Target, rate: float, seconds: float, seed: int) -> Seen:
    """Measure with our client: latency from the intended arrival."""
    file = target.folder / "ours.npz"
    reply = offer(target.load, LoadOrder(rate, seconds, 3.0, (seed,), probe=False), str(file))
    times = Times(file, reply.started_ns, seconds, 3.0)
    seen = percentiles(times.latency_us)
    return Seen(seen.p50_ms or 0.0, seen.p99_ms or 0.0, times.achieved_rps)


def _run(command: list[str], **environment: str) -> str:
    with on_cores(PINNING.of("load")):
        answer = subprocess.run(
            ["nice", "-n", "-10", *command] if os.geteuid() == 0 else command,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | environment,
        )
    return answer.stdout


def wrk(target: Target, connections: int, seconds: float, pause_ms: float) -> Seen:
    """Measure with wrk: a closed loop, or with pauses what comes near to an open one."""
    script = target.folder / "ask.lua"
    script.write_text(SCRIPT)
    out = _run(
        [
            *("wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(script)),
            f"http://127.0.0.1:{target.port}/op/read",
        ],
        PAUSE_MS=str(pause_ms),
    )
    found = re.search(r"FOUND (\d+) (\d+) (\d+) (\d+)", out)
    assert found is not None, out
    p50_us, p99_us, count, duration_us = map(int, found.groups())
    return Seen(p50_us / 1000, p99_us / 1000, count / duration_us * 1e6)


def autocannon(target: Target, rate: float, seconds: float, program: Path, *more: str) -> Seen:
    """Measure with autocannon at a fixed rate."""
    out = _run(
        [
            *(str(program), "-j", "-R", f"{rate:.0f}", "-c", "10", "-d", f"{seconds:.0f}"),
            *("-m", "POST", "-H", "content-type: application/json", "-b", BODY, *more),
            f"http://127.0.0.1:{target.port}/op/read",
        ]
    )
    found = json.loads(out)
    latency = found["latency"]
    return Seen(latency["p50"], latency["p99"], found["requests"]["average"])


def others(program: Path | None) -> dict[str, Callable[[Target, float, float], Seen]]:
    """Return the clients that are asked in turn with ours, by name."""
    found: dict[str, Callable[[Target, float, float], Seen]] = {}
    if program is not None:
        found["autocannon -R"] = lambda target, rate, seconds: autocannon(
            target, rate, seconds, program
        )
        found["autocannon -R, uncorrected"] = lambda target, rate, seconds: autocannon(
            target, rate, seconds, program, "--ignoreCoordinatedOmission"
        )
    return found


def find_autocannon(folder: Path) -> Path | None:
    """Return autocannon's program, fetched by npm into a folder; None where there is no npm."""
    if shutil.which("npm") is None:
        print("npm is not installed: without autocannon", file=sys.stderr)
        return None
    subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "autocannon@9"],
        cwd=folder,
        check=True,
    )
    return folder / "node_modules" / ".bin" / "autocannon"


@contextlib.contextmanager
def application(name: str, services: RunningServices, folder: Path) -> Iterator[Target]:
    """Run an application and our load, warmed up."""
    asked = plan_scenario(Spec("read", {"rows": "1"}), {})
    variant = make_variant(Spec(name, {}), 8)
    launch = Launch(variant, (asked,), f"others_{name}", "none", 10.0, pinning=PINNING)
    with launched(launch, services, folder) as processes, contextlib.ExitStack() as stack:
        load = load_for(
            [asked], 10.0, 4000, folder / "load.log", PINNING.of("load"), processes.port
        )
        stack.callback(load.stop, 0)
        target = Target(processes.port, load, folder)
        ours(target, 50, 1, 0)
        yield target


def together(target: Target, rate: float, seconds: float, seed: int) -> tuple[Seen, Seen]:
    """Measure with ours and with wrk at the same time, half of the rate each."""
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(wrk, target, SPREAD, seconds, 1000 * SPREAD / (rate / 2))
        mine = ours(target, rate / 2, seconds, seed)
        return mine, theirs.result()


def compare(
    what: str,
    target: Target,
    rate: float,
    options: argparse.Namespace,
    clients: dict[str, Callable[[Target, float, float], Seen]],
) -> None:
    """Measure with all and print the medians of ours over theirs."""
    print(f"{what} at {rate:.0f}/s:", flush=True)
    at_once = [
        together(target, rate, options.seconds, number) for number in range(2 * options.rounds)
    ]
    tell("wrk with pauses, at once", at_once)
    for name, measure in clients.items():
        pairs = []
        for number in range(options.rounds):
            mine = ours(target, rate, options.seconds, number)
            pairs.append((mine, measure(target, rate, options.seconds)))
        tell(f"{name}, in turn", pairs)


def tell(name: str, pairs: list[tuple[Seen, Seen]]) -> None:
    """Print medians of what both reported, and of the ratios."""
    columns = [
        ", ".join(f"{statistics.median(column):.2f}" for column in zip(*side, strict=True))
        for side in zip(*pairs, strict=True)
    ]
    ratios = [
        statistics.median(mine[place] / max(other[place], 1e-9) for mine, other in pairs)
        for place in (0, 1)
    ]
    print(
        f"    {name:<34} ours p50, p99 ms, rate {columns[0]:<22} theirs {columns[1]:<22}"
        f" ours / theirs: p50 {ratios[0]:.2f}, p99 {ratios[1]:.2f}",
        flush=True,
    )


def saturation(what: str, target: Target, options: argparse.Namespace) -> float:
    """Return what wrk gets from a closed loop, and print what ours gets when it offers more."""
    pairs = []
    for number in range(options.rounds):
        closed = wrk(target, CLOSED, options.seconds, 0)
        offered = ours(target, closed.rate_rps * 1.5, options.seconds, 100 + number)
        pairs.append((closed.rate_rps, offered.rate_rps))
    ratio = statistics.median(open_ / closed for closed, open_ in pairs)
    capacity = statistics.median(closed for closed, _ in pairs)
    print(
        f"{what}: wrk, closed loop of {CLOSED}: {capacity:.0f}/s; ours, offered 1.5 x that,"
        f" completes {ratio:.2f} x as many",
        flush=True,
    )
    return capacity


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strategies", default="native,blocking")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clients = others(find_autocannon(folder))
        delay = NullConfig(kind="constant", ms=20, count=1)
        with null_bench(delay, Client(folder, PINNING)) as bench:
            target = Target(bench.port, bench.load, folder)
            compare("a server that takes 20 ms", target, 200, options, clients)
        with (
            on_cores(PINNING.of("postgresql")),
            RunningServices(folder, "others", with_broker=False) as services,
        ):
            for strategy in options.strategies.split(","):
                with application(strategy, services, folder) as target:
                    capacity = saturation(strategy, target, options)
                    for share in (0.2, 0.5, 0.8):
                        what = f"{strategy}, {share:.0%} of capacity"
                        compare(what, target, capacity * share, options, clients)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
