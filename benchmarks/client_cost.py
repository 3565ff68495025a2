"""What an arrival costs our client, Locust's FastHttpUser and wrk: CPU, on the same core.

``PYTHONPATH=. .venv/bin/python benchmarks/client_cost.py`` takes a minute and needs wrk; nothing
else should run meanwhile. ``--rounds`` and ``--seconds`` make it longer, ``--locust`` is for its
own use.

One small server on uvloop answers at once, on the application's core; each client asks it the same
requests over as many connections, one client after another in short turns, in rounds. CPU is the
whole process's: what our client does after the window, judging answers, is in it, and is told
apart. Then our client offers arrivals at a rate, as it does in a run, and is asked how many a
second one process offers within its limits.
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from scipy import stats

from asyncdb_bench.contract.data.accounts import balance_of
from asyncdb_bench.measure.client_calibration import Client, Sizes, calibrated_scenario, max_rate
from asyncdb_bench.measure.launch import READY_S, load_for, offer
from asyncdb_bench.plan.cores import on_cores, permitted, share_out, usable_cores
from asyncdb_bench.processes.child import Child
from asyncdb_bench.records.messages import NullConfig, Ready
from asyncdb_bench.records.plan import LoadOrder

PINNING = permitted(share_out("auto", usable_cores()))
CONNECTIONS = 32
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"account":1}'
"""


class Turn(NamedTuple):
    """What a client did: CPU seconds, those in its window, and arrivals."""

    cpu_s: float
    window_cpu_s: float
    arrivals: int

    @property
    def each_us(self) -> float:
        """CPU of an arrival, microseconds."""
        return self.cpu_s / self.arrivals * 1e6


@dataclass
class Ours:
    """Our client, which goes on running between turns.

    Parameters
    ----------
    child : its process.
    seconds : of a turn.
    """

    child: Child
    seconds: float
    turns: int = 0

    def closed(self) -> Turn:
        """Ask again and again on each connection."""
        return self._turn(0, CONNECTIONS)

    def open(self, rate: float) -> Turn:
        """Offer arrivals at a rate, 1/s."""
        return self._turn(rate, 0)

    def _turn(self, rate: float, connections: int) -> Turn:
        self.turns += 1
        order = LoadOrder(
            rate, self.seconds, 5.0, (self.turns,), probe=False, connections=connections
        )
        process = psutil.Process(self.child.pid)
        before = process.cpu_times()
        reply = offer(self.child, order)
        after = process.cpu_times()
        used = after.user + after.system - before.user - before.system
        assert reply.ledger.ok == reply.ledger.scheduled, reply.errors
        return Turn(used, reply.cpu_s, reply.ledger.scheduled)


@dataclass
class Wrk:
    """wrk, started for each turn: what it needs to start is some milliseconds.

    Parameters
    ----------
    port, script : whom and what it asks.
    seconds : of a turn, whole ones.
    """

    port: int
    script: Path
    seconds: float

    def closed(self) -> Turn:
        """Ask again and again on each connection."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with on_cores(PINNING.of("load")):
            said = subprocess.run(
                [
                    *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(self.seconds))}s"),
                    *("-s", str(self.script), f"http://127.0.0.1:{self.port}/op/read"),
                ],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        (count,) = re.findall(r"(\d+) requests in", said)
        return Turn(used, used, int(count))


@dataclass
class Locust:
    """Locust's FastHttpUser in a process that goes on running between turns.

    Parameters
    ----------
    port : whom it asks.
    seconds : of a turn.
    """

    port: int
    seconds: float
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, __file__, "--locust", str(self.port)]
        with on_cores(PINNING.of("load")):
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )

    def closed(self) -> Turn:
        """Ask again and again, as many users as there are connections."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self.seconds}\n")
        self.process.stdin.flush()
        used, count, failed = self.process.stdout.readline().split()
        assert failed == "0", f"{failed} of Locust's requests failed"
        return Turn(float(used), float(used), int(count))

    def end(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def serve_locust(port: int) -> int:
    """Have FastHttpUsers ask for as many seconds as each line of standard input says."""
    # importing Locust changes the standard library, which the others need as it is
    import gevent
    from locust import FastHttpUser, constant, task
    from locust.env import Environment

    from asyncdb_bench.load.process import Orders

    accounts = cycle(np.random.default_rng(1).integers(1, 1000, 1024).tolist())

    class Asking(FastHttpUser):
        """Asks for accounts, and checks their balance."""

        host = f"http://127.0.0.1:{port}"
        wait_time = constant(0)

        @task
        def ask(self) -> None:
            """Ask once."""
            account = next(accounts)
            with self.client.post(
                "/op/read",
                data=f'{{"account":{account}}}',
                headers={"Content-Type": "application/json"},
                catch_response=True,
            ) as response:
                answer: Any = response.json()
                if answer["id"] != account or answer["balance"] != balance_of(account):
                    response.failure("wrong answer")

    environment = Environment(user_classes=[Asking])
    runner = environment.create_local_runner()
    orders = Orders()
    while True:
        seconds = float(orders.next())
        runner.start(CONNECTIONS, spawn_rate=100)
        # until all are there, and warm
        gevent.sleep(CONNECTIONS / 100 + 0.2)
        environment.stats.reset_all()
        before = resource.getrusage(resource.RUSAGE_SELF)
        gevent.sleep(seconds)
        after = resource.getrusage(resource.RUSAGE_SELF)
        total = environment.stats.total
        count, failed = total.num_requests, total.num_failures
        runner.stop()
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(used, count, failed, flush=True)


def interval(ratios: Sequence[float]) -> str:
    """Return the geometric mean of ratios and its 95 % interval in words."""
    logs = np.log(ratios)
    middle, half = float(logs.mean()), 0.0
    if len(logs) > 1:
        half = float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5)
    low, most, high = np.exp([middle - half, middle, middle + half])
    return f"{most:.2f} x ({low:.2f} to {high:.2f})"


def turns_of(clients: dict[str, Callable[[], Turn]], rounds: int) -> dict[str, list[Turn]]:
    """Let all take turns, in an order that changes; the first round only warms up."""
    found: dict[str, list[Turn]] = {name: [] for name in clients}
    rng = np.random.default_rng(1)
    for number in range(rounds + 1):
        for name in rng.permutation(list(clients)).tolist():
            turn = clients[name]()
            if number:
                found[name].append(turn)
    return found


def tell(found: dict[str, list[Turn]], seconds: float) -> None:
    """Print what an arrival costs each client, and our client's beside the others'."""
    print(f"closed loop of {CONNECTIONS}, {len(found['wrk'])} rounds: CPU of an arrival")
    for name, turns in found.items():
        each = np.median([turn.each_us for turn in turns])
        inside = np.median([turn.window_cpu_s / turn.arrivals * 1e6 for turn in turns])
        pace = np.median([turn.arrivals for turn in turns]) / seconds
        print(f"  {name:<12} {each:6.1f} us, {inside:6.1f} us of it in the window; {pace:6.0f}/s")
    ours = [turn.each_us for turn in found["ours"]]
    locust = [turn.each_us for turn in found["Locust"]]
    wrk = [turn.each_us for turn in found["wrk"]]
    print(f"  Locust / ours {interval(np.divide(locust, ours).tolist())}")
    print(f"  ours / wrk    {interval(np.divide(ours, wrk).tolist())}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=1000.0, help="of the arrivals, 1/s")
    parser.add_argument("--locust", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.locust:
        return serve_locust(options.locust)
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / "ask.lua"
        script.write_text(SCRIPT)
        with on_cores(PINNING.of("app")):
            module = "asyncdb_bench.app.null_server"
            server = Child(module, NullConfig(), folder / "null.log", "the null server")
        port = server.receive(Ready, READY_S).port
        cores = PINNING.of("load")
        load = load_for([calibrated_scenario()], 5.0, 4000, folder / "load.log", cores, port)
        ours, locust = Ours(load, options.seconds), Locust(port, options.seconds)
        try:
            wrk = Wrk(port, script, options.seconds)
            clients = {"ours": ours.closed, "Locust": locust.closed, "wrk": wrk.closed}
            tell(turns_of(clients, options.rounds), options.seconds)
            paced = [ours.open(options.rate) for _ in range(options.rounds)]
            each = np.median([turn.each_us for turn in paced])
            inside = np.median([turn.window_cpu_s / turn.arrivals * 1e6 for turn in paced])
            print(
                f"ours, {options.rate:.0f} arrivals/s: {each:.1f} us, {inside:.1f} us of it in the"
                " window, where it also waits for what is due"
            )
        finally:
            locust.end()
            load.stop(0)
            server.stop()
        most, _ = max_rate(Client(folder, PINNING), Sizes(), lambda _: None)
        print(f"one process of ours keeps its limits up to {most:.0f} arrivals/s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
