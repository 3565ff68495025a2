"""What becomes of a request that nobody waits for: a table of events by ways.

``PYTHONPATH=. .venv/bin/python benchmarks/abandoned.py [--strategy native,executor:abandon=query]
[--reach direct,pgbouncer,0.5,20] [--event left,504,killed,SIGTERM] [--sockets 4000]``

One request whose query takes 6 s is abandoned after half a second: its client leaves, the
application's time-out answers it by 504 (``asyncio.timeout`` in the handler is how it does), the
part that works for it is killed, or the application gets SIGTERM with ten seconds to drain. Read
from ``pg_stat_activity``: queries that still run 0.1, 1 and 5 s later, and the backends' pids.
With --sockets so many clients leave, and descriptors and memory are read instead.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from asyncdb_bench.contract.route import REQUEST_TIMEOUT
from asyncdb_bench.errors import BenchError
from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch, Processes
from asyncdb_bench.plan.registry import names, strategy_class
from asyncdb_bench.plan.request import Spec, parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.processes.host import versions
from asyncdb_bench.records.plan import PlannedScenario
from asyncdb_bench.services.reaching import Between
from asyncdb_bench.services.running import RunningServices

QUERY_S, AFTER_S, TIMEOUT_MS, DRAIN_S = 6.0, 0.5, 500, 10.0
LOOKS_S = (0.1, 1.0, 5.0)
EVENTS = ("left", "504", "killed", "SIGTERM")
BACKENDS = (
    "SELECT pid, state <> 'idle' FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one event.

    Parameters
    ----------
    running : queries 0.1, 1 and 5 s later.
    before, kept, new : connections before it, and of those afterwards.
    following : what the next request sees.
    logged : lines.
    """

    running: tuple[int, ...]
    before: int
    kept: int
    new: int
    following: str
    logged: int

    @property
    def cell(self) -> str:
        """The running queries; the rest where it is not as before."""
        told = ["-".join(map(str, self.running))]
        if self.kept + self.new == 0:
            told.append("closed")
        elif self.kept < self.before:
            told.append(f"{self.before - self.kept} lost")
        if self.new:
            told.append(f"{self.new} new")
        if not self.following.startswith("200"):
            told.append(self.following)
        if self.logged:
            told.append(f"{self.logged} lines logged")
        return ", ".join(told)


class Subject:
    """A running application and what its database says of it."""

    def __init__(self, processes: Processes, logs: Path) -> None:
        self.processes = processes
        self.logs = logs
        self.watch = psycopg.connect(processes.database, autocommit=True)
        self.app = psutil.Process(processes.apps[0].pid)

    def sent(self, timeout_ms: int = 0) -> http.client.HTTPConnection:
        """Send the request."""
        client = http.client.HTTPConnection("127.0.0.1", self.processes.port, timeout=60)
        own = {REQUEST_TIMEOUT: str(timeout_ms)} if timeout_ms else {}
        body = json.dumps({"account": 1, "seconds": QUERY_S})
        client.request("POST", "/op/slow", body, own)
        return client

    def following(self) -> str:
        """Return what the next request sees, and after how long."""
        began = time.monotonic()
        client = http.client.HTTPConnection("127.0.0.1", self.processes.port, timeout=60)
        try:
            client.request("POST", "/op/read", '{"account": 7}')
            answer = client.getresponse()
            right = answer.status != 200 or json.load(answer)["id"] == 7
            said = f"{answer.status}" if right else "another's row"
        except OSError as error:
            said = type(error).__name__
        finally:
            client.close()
        return f"{said} in {(time.monotonic() - began) * 1000:.0f} ms"

    def backends(self) -> dict[int, bool]:
        """Return the backends by pid, and whether each works."""
        return {int(pid): bool(busy) for pid, busy in self.watch.execute(BACKENDS)}

    def lines(self) -> int:
        """Return how many lines the application and its workers logged."""
        return sum(len(each.read_text().splitlines()) for each in self.logs.glob("way-*.log"))


def abandoned(subject: Subject, event: str) -> Seen:
    """Abandon one request and look."""
    before, lines = subject.backends(), subject.lines()
    client = subject.sent(TIMEOUT_MS if event == "504" else 0)
    began = time.monotonic()
    time.sleep(AFTER_S)
    following = strike(subject, client, event)
    running = []
    for look in LOOKS_S:
        time.sleep(max(0.0, began + AFTER_S + look - time.monotonic()))
        running.append(sum(subject.backends().values()))
    while any(subject.backends().values()):
        time.sleep(0.05)
    if event == "SIGTERM":
        while alive(subject.app):
            time.sleep(0.05)
    after = subject.backends()
    kept = len(before.keys() & after.keys())
    client.close()
    return Seen(
        tuple(running),
        len(before),
        kept,
        len(after) - kept,
        following(),
        subject.lines() - lines,
    )


def strike(subject: Subject, client: http.client.HTTPConnection, event: str) -> Callable[[], str]:
    """Do what abandons the request; return what says how the next one fares."""
    if event == "left":
        client.close()
    elif event == "killed":
        subject_of_work(subject).send_signal(signal.SIGKILL)
        client.close()
        return lambda: "no application" if not alive(subject.app) else subject.following()
    elif event == "SIGTERM":
        subject.app.terminate()
        began = time.monotonic()
        try:
            said = f"this one {client.getresponse().status}"
        except OSError as error:
            said = f"this one {type(error).__name__}"
        told = f"{said} {time.monotonic() - began:.1f} s later"
        return lambda: told
    # the client of the 504 waits for it
    return subject.following


def subject_of_work(subject: Subject) -> psutil.Process:
    """Return the process that works for the request: a worker, a pool's, or the application."""
    workers = [psutil.Process(each.pid) for each in subject.processes.workers]
    children = [child for each in workers for child in each.children()] or workers
    spawned = [each for each in subject.app.children() if "spawn_main" in " ".join(each.cmdline())]
    client = {port_owner(port) for port in subject_ports(subject)}
    candidates = [each for each in (*children, *spawned) if each.pid in client]
    return candidates[0] if candidates else subject.app


def subject_ports(subject: Subject) -> list[int]:
    """Return the ports of the clients whose backends work."""
    found = subject.watch.execute(
        "SELECT client_port FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND state = 'active' AND client_port > 0"
    )
    return [int(port) for (port,) in found]


def port_owner(port: int) -> int:
    """Return the process that has a local port."""
    for each in psutil.net_connections("tcp"):
        if each.laddr and each.laddr.port == port and each.pid:
            return int(each.pid)
    return 0


def alive(process: psutil.Process) -> bool:
    """Return whether a process runs."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def leave(subject: Subject, sockets: int) -> str:
    """Have so many clients leave, twice; return what the application has more after the second."""
    subject.following()
    files = subject.app.num_fds()
    told = [left_by(subject, sockets) for _ in range(2)]
    memory, following = told[1][0] - told[0][0], told[1][1]
    return (
        f"{sockets} left: {subject.app.num_fds() - files:+d} descriptors, {memory / 2**20:+.1f} MB,"
        f" {len(subject.backends())} connections; the next had {following}"
    )


def left_by(subject: Subject, sockets: int) -> tuple[int, str]:
    """Return the application's memory after so many clients left, and how the next one fared."""
    body = b'{"account": 1, "seconds": 0.01}'
    head = b"POST /op/slow HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    pieces = (b"", head, head + body)
    for start in range(0, sockets, 500):
        clients = []
        for number in range(start, min(sockets, start + 500)):
            client = socket.create_connection(("127.0.0.1", subject.processes.port), timeout=60)
            client.sendall(pieces[number % 3])
            clients.append(client)
        for client in clients:
            client.close()
    # it waits behind all that still runs
    following = subject.following()
    time.sleep(1.0)
    return subject.app.memory_info().rss, following


def scenario_of(reach: str) -> PlannedScenario:
    """Return the scenario, reached so."""
    knobs = {"rows": "1000"}
    if reach == "pgbouncer":
        knobs["via"] = reach
    elif reach != "direct":
        knobs["rtt"] = reach
    return plan_scenario(Spec("mixed", knobs), {})


def every_way() -> list[str]:
    """Return each strategy with each value of `abandon` that it names."""
    found = []
    for name in names("strategies"):
        found += [f"{name}:abandon={value}" for value in strategy_class(name).abandons]
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--strategy", default="", help="ways; default: all with all of their values"
    )
    parser.add_argument("--reach", default="direct", help="direct, pgbouncer, round trips in ms")
    parser.add_argument("--event", default="left,504", help=f"of {', '.join(EVENTS)}")
    parser.add_argument("--sockets", type=int, default=0, help="that clients leave; no table then")
    given = parser.parse_args()
    ways = given.strategy.split(",") if given.strategy else every_way()
    reaches = given.reach.split(",")
    asked = {reach: scenario_of(reach) for reach in reaches}
    events = given.event.split(",")
    if not given.sockets:
        print(", ".join(f"{name} {version}" for name, version in versions().items()))
        print(f"\n| way | {' | '.join(events)} |", "|---" * (1 + len(events)) + "|", sep="\n")
    between = Between(tuple(each.reach for each in asked.values()), pooled=2)
    with tempfile.TemporaryDirectory(prefix="asyncdb-bench-abandoned-") as folder:
        prefix = f"asyncdb_bench_abandoned_{os.getpid()}"
        with RunningServices(
            Path(folder), prefix, with_broker="celery" in " ".join(ways), between=between
        ) as services:
            for way in ways:
                for reach in reaches:
                    name = f"`{way}`" if reach == "direct" else f"`{way}`, {reach}"
                    if given.sockets:
                        print(f"{name}: {left_by_many(way, asked[reach], given, services)}")
                        continue
                    cells = [measure(way, asked[reach], each, services) for each in events]
                    print(f"| {name} | {' | '.join(cells)} |", flush=True)


@contextmanager
def subject_of(way: str, scenario: PlannedScenario, services: RunningServices) -> Iterator[Subject]:
    """Lend a running application."""
    (spec,) = parse_specs(way)
    queue = f"way-{time.time_ns()}"
    launch = Launch(make_variant(spec, 2), (scenario,), "way", queue, 60.0, drain_s=DRAIN_S)
    with (
        tempfile.TemporaryDirectory(prefix="asyncdb-bench-abandoned-") as folder,
        launched(launch, services, Path(folder)) as processes,
    ):
        subject = Subject(processes, Path(folder))
        try:
            yield subject
        finally:
            subject.watch.close()


def measure(way: str, scenario: PlannedScenario, event: str, services: RunningServices) -> str:
    """Return the cell of one event, in a launch of its own."""
    try:
        with subject_of(way, scenario, services) as subject:
            return abandoned(subject, event).cell
    except BenchError as error:
        return f"not run: {error}"


def left_by_many(
    way: str, scenario: PlannedScenario, given: argparse.Namespace, services: RunningServices
) -> str:
    """Return what stays of many clients that leave."""
    with subject_of(way, scenario, services) as subject:
        return leave(subject, given.sockets)


if __name__ == "__main__":
    main()
