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
from collections.abc import Iterator
from pathlib import Path

from asyncdb_bench.launch import Launch, launched
from asyncdb_bench.plan import make_asked, make_variant
from asyncdb_bench.plugins import Spec, make_scenario
from asyncdb_bench.process import Child
from asyncdb_bench.services.running import RunningServices

STRATEGIES = ("blocking", "executor", "native")
CONNECTIONS = 32
WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
math.randomseed(7)
request = function()
  return wrk.format(nil, "/op/read", nil, '{"account": ' .. math.random(1, 100000) .. '}')
end
"""


def wrk(port: int, seconds: float, script: Path) -> float:
    """Return requests per second that a closed loop of 32 connections gets answered."""
    answer = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds:g}s",
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
def ours(name: str, services: RunningServices, logs: Path) -> Iterator[int]:
    """Run our application; yield its port."""
    launch = Launch(
        make_variant(Spec(name, {"gc_freeze": "false"}), 8),
        make_asked(Spec("read", {}), {}),
        f"ours_{name}",
        "none",
        10,
    )
    with launched(launch, services, logs) as processes:
        yield processes.port


@contextlib.contextmanager
def minimal(name: str, services: RunningServices, logs: Path) -> Iterator[int]:
    """Run the hand-written handler; yield its port."""
    data = make_scenario("read", {}).workload().data
    url = services.clone(data, f"minimal_{name}")
    config = {"way": name, "database_url": url}
    child = Child("benchmarks.minimal_handlers", config, logs / f"minimal-{name}.log", name)
    try:
        yield child.receive(20)["port"]
    finally:
        child.stop()
        services.drop(url)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
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
                measure(name, services, logs, script, options.seconds, options.rounds)
    return 0


def measure(
    name: str, services: RunningServices, logs: Path, script: Path, seconds: float, rounds: int
) -> None:
    """Measure one strategy both ways, in turn, and print medians and the median ratio."""
    with ours(name, services, logs) as our_port, minimal(name, services, logs) as their_port:
        for port in (our_port, their_port):
            wrk(port, 2, script)
        pairs = []
        for number in range(rounds):
            # the order turns, so that neither always comes first
            if number % 2:
                theirs = wrk(their_port, seconds, script)
                pairs.append((wrk(our_port, seconds, script), theirs))
            else:
                mine = wrk(our_port, seconds, script)
                pairs.append((mine, wrk(their_port, seconds, script)))
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    ours_rps, theirs_rps = (statistics.median(column) for column in zip(*pairs, strict=True))
    spread = ", ".join(f"{mine / theirs:.3f}" for mine, theirs in pairs)
    print(
        f"{name:<9} ours {ours_rps:6.0f}/s  minimal {theirs_rps:6.0f}/s  ratio {ratio:.3f}"
        f"  (rounds: {spread})",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
