"""Measure task queues beside Celery, and write docs/queues.md's tables: ``make queues``.

What was measured is kept in docs/queues.json, and not measured again: delete it, or a part of it,
to begin anew. ``--only RUN,…`` measures some of the runs, ``--only faults`` the faults alone.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asyncdb_bench.errors import BenchError  # noqa: E402
from asyncdb_bench.extensions.check.conformance import WORK  # noqa: E402
from asyncdb_bench.measure.family import Family  # noqa: E402
from asyncdb_bench.measure.launch import Launch  # noqa: E402
from asyncdb_bench.plan.registry import groups, make_scenario  # noqa: E402
from asyncdb_bench.plan.request import Spec, parse_specs  # noqa: E402
from asyncdb_bench.plan.variants import make_variant, plan_scenario  # noqa: E402
from asyncdb_bench.services.running import RunningServices  # noqa: E402
from scripts.queues_page import written  # noqa: E402

KEPT, PAGE = ROOT / "docs" / "queues.json", ROOT / "docs" / "queues.md"
QUEUES = groups("strategies")["queues"]
TUNED = ["celery", "celery_aio", *QUEUES, "taskiq:over=rabbitmq", "executor"]
PLAIN = [f"{each}:wait=plain" for each in QUEUES]
RUNS = {
    "read": ["--strategy", ",".join(TUNED), "--scenario", "read"],
    "slow": ["--strategy", ",".join(TUNED), "--scenario", "slow"],
    "as they are": ["--strategy", ",".join(["celery", *PLAIN]), "--scenario", "read"],
    "cores shared": [
        *("--strategy", ",".join(f"{each}:worker_cores=shared" for each in ("celery", *QUEUES))),
        *("--scenario", "read"),
    ],
    "hold": ["--strategy", ",".join(TUNED), "--scenario", "hold"],
    "burst": ["--strategy", ",".join(TUNED), "--scenario", "burst"],
}
STRUCK = ["celery", *QUEUES, "taskiq:over=rabbitmq"]
BUDGET, TIMEOUT_S, ASKED, AT_ONCE = 4, 8.0, 160, 16
SLOW_S, STALL_S, GIVEN_UP_S = 1.5, 3.0, 25.0
SLEPT = (
    "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements AS s JOIN pg_database AS d"
    " ON d.oid = s.dbid WHERE d.datname = %s AND query ~* 'pg_sleep' AND query !~* 'pg_stat'"
)
CALLS = "SELECT sum(calls) FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid"


def kept() -> dict[str, Any]:
    """Return what was measured already."""
    found: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    return {"runs": {}, "faults": {}} | found


def keep(kind: str, name: str, value: Any) -> None:
    """Add something measured."""
    found = kept()
    found[kind][name] = value
    KEPT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def measure_run(name: str, seconds: float) -> None:
    """Measure one of :data:`RUNS` by the command line and keep its figures."""
    with tempfile.TemporaryDirectory(prefix="asyncdb-bench-queues-") as results:
        options = ["--results", results, "--reports", results, "--time-budget", f"{seconds:g}"]
        command = [sys.executable, str(ROOT / "bench.py"), "run", *RUNS[name], *options]
        subprocess.run(command, check=False, cwd=ROOT)
        rows = json.loads((Path(results) / "latest" / "summary.json").read_text())
    paces = ("pace_rps", "capacity_rps_low", "capacity_rps_high")
    wanted = (*paces, "offered_rps", "p50_ms", "p99_ms", "cpu_ms_net", "error_rate")
    figures = [
        {key: row.get(key) for key in ("variant", "scenario", "at_common_load", *wanted)}
        for row in rows
    ]
    keep(
        "runs", name, {"seconds": seconds, "day": f"{datetime.now(UTC):%Y-%m-%d}", "rows": figures}
    )


class Struck:
    """A strategy that is asked while something is done to its parts."""

    def __init__(self, request: str, services: RunningServices, logs: Path) -> None:
        self.services = services
        asked = plan_scenario(Spec(WORK, {}), {})
        (spec,) = parse_specs(request)
        self.variant = make_variant(spec, BUDGET)
        name = f"struck_{time.time_ns()}"
        workload = make_scenario(WORK, {}).workload()
        self.operations = workload.operations
        self.database = services.clone(workload.data, name)
        self.queue = f"asyncdb-bench-{name}"
        launch = Launch(self.variant, (asked,), name, self.queue, TIMEOUT_S)
        self.family = Family(launch, logs)
        self.port = self.family.start(services, self.database).port

    def close(self) -> None:
        """End it and remove what it left."""
        self.family.stop(1)
        self.services.clean(self.queue)
        self.services.drop(self.database)

    def ask(self, name: str, **params: Any) -> tuple[int, float]:
        """Return the status of an answer, 0 for none, and after how many seconds it came."""
        began = time.monotonic()
        request = self.operations[name].request(params)
        return self._sent(*request[:2], request.body, request.headers), time.monotonic() - began

    def _sent(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S + 4)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            answer.read()
        except OSError:
            return 0
        else:
            return answer.status
        finally:
            connection.close()

    def hold_of_loop_s(self) -> float:
        """Return how long the application took for an answer without a task."""
        began = time.monotonic()
        self._sent("GET", "/healthz", b"", {})
        return time.monotonic() - began

    def back_s(self) -> float | None:
        """Return after how many seconds it answers again; None: not within :data:`GIVEN_UP_S`."""
        began = time.monotonic()
        while time.monotonic() - began < GIVEN_UP_S:
            if self.ask("read", account=1)[0] == 200:
                return time.monotonic() - began
            time.sleep(0.1)
        return None

    def sql(self, text: str, *given: Any) -> Any:
        """Return one value that the database server tells."""
        import psycopg

        with psycopg.connect(self.database) as connection:
            row = connection.execute(text, given).fetchone()
        assert row is not None
        return row[0]

    def commands(self) -> int:
        """Return how many commands or statements the queue's server has carried out for it."""
        if self.variant.strategy == "procrastinate":
            return int(self.sql(f"{CALLS} WHERE d.datname <> current_database()"))
        with self._redis() as client:
            stats = client.info("commandstats")
        return sum(int(each["calls"]) for name, each in stats.items() if name != "cmdstat_info")

    @contextlib.contextmanager
    def _redis(self) -> Iterator[Any]:
        import redis

        store = self.services.store
        assert store is not None
        with redis.Redis.from_url(store.url) as client:
            yield client

    def executions(self, during: Callable[[], None]) -> dict[str, Any]:
        """Return what became of a task of 1.5 s to whose worker something is done after 0.5 s."""
        database = self.sql("SELECT current_database()")
        before = self.sql(SLEPT, database)
        answer: list[tuple[int, float]] = []
        asking = threading.Thread(
            target=lambda: answer.append(self.ask("slow", account=2, seconds=SLOW_S))
        )
        asking.start()
        time.sleep(0.5)
        during()
        asking.join()
        # a worker that begins it again has the same time for it
        time.sleep(SLOW_S + 1)
        times = int(self.sql(SLEPT, database) - before)
        return {"status": answer[0][0], "seconds": answer[0][1], "times": times}


def count_commands(struck: Struck) -> dict[str, float]:
    """Return commands for a task one after another, and many at once."""
    found = {}
    for name, at_once in (("alone", 1), ("together", AT_ONCE)):
        before = struck.commands()
        each = ASKED // at_once // (4 if at_once == 1 else 1)

        def ask(times: int = each) -> None:
            for _ in range(times):
                struck.ask("read", account=3)

        threads = [threading.Thread(target=ask) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found[name] = (struck.commands() - before) / (each * at_once)
    return found


def left_over(struck: Struck) -> dict[str, float]:
    """Return how many keys lie in Redis after 200 tasks, and how long most of them will."""
    if struck.variant.strategy == "procrastinate":
        return {"keys": 0, "forever": 0, "usual_s": 0}
    with struck._redis() as client:
        keys = list(client.scan_iter(match=f"*{struck.queue}*", count=1000))
        lives = [int(client.ttl(key)) for key in keys]
    return {
        "keys": len(keys),
        "forever": sum(each < 0 for each in lives),
        "usual_s": statistics.median(lives or [0]),
    }


def strike(request: str, services: RunningServices, logs: Path) -> dict[str, Any]:
    """Return what was seen of one strategy."""
    struck = Struck(request, services, logs)
    family = struck.family
    found: dict[str, Any] = {}
    try:
        struck.back_s()
        found["commands"] = count_commands(struck)
        found["left"] = left_over(struck)
        found["error"] = struck.ask("wrong_sql")[0]

        def terminate() -> None:
            worker = family.workers[0]
            worker.popen.terminate()
            began = time.monotonic()
            while worker.popen.poll() is None and time.monotonic() - began < 6:
                time.sleep(0.02)
            found["term_s"] = time.monotonic() - began if worker.popen.poll() is not None else None
            family.respawn(worker)

        found["terminated"] = struck.executions(terminate)
        struck.back_s()
        found["killed"] = struck.executions(lambda: family.respawn(family.workers[0]))
        struck.back_s()
        role = "postgresql" if struck.variant.strategy == "procrastinate" else "broker"
        if role == "broker":
            found["stalled"] = stall(struck)
        services.restarts()[role]()
        time.sleep(0.3)
        found["restarted_s"] = struck.back_s()
        found["worker_ended"] = any(each.popen.poll() is not None for each in family.workers)
    finally:
        struck.close()
    return found


def stall(struck: Struck) -> dict[str, Any]:
    """Return what a broker that stands still for 3 s does to the loop, and until it is over."""
    pids = struck.services.roles()["broker"]
    askers = [threading.Thread(target=struck.ask, args=("read",), kwargs={"account": 4})
              for _ in range(4)]  # fmt: skip
    for pid in pids:
        os.killpg(pid, signal.SIGSTOP)
    try:
        for each in askers:
            each.start()
        longest, began = 0.0, time.monotonic()
        while time.monotonic() - began < STALL_S:
            longest = max(longest, struck.hold_of_loop_s())
            time.sleep(0.02)
    finally:
        for pid in pids:
            os.killpg(pid, signal.SIGCONT)
    back = struck.back_s()
    for each in askers:
        each.join()
    return {"loop_s": longest, "back_s": back}


def measure_faults(requests: list[str]) -> None:
    """Strike each strategy, on servers of its own."""
    for request in requests:
        (spec,) = parse_specs(request)
        variant = make_variant(spec, BUDGET)
        on_rabbitmq = "rabbitmq" in variant.brokers
        with tempfile.TemporaryDirectory(prefix="asyncdb-bench-struck-") as logs:
            given = {k: v for k, v in os.environ.items() if not k.endswith("_URL")}
            services = RunningServices(
                Path(logs), f"asyncdb_bench_queues_{time.time_ns()}",
                with_broker=on_rabbitmq, with_store=True, environment=given,
            )  # fmt: skip
            try:
                with services:
                    keep("faults", request, strike(request, services, Path(logs)))
            except (BenchError, OSError) as error:
                print(f"{request}: {error}", file=sys.stderr)


def main() -> int:
    """Measure what is not kept yet, then write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="runs, and `faults`, separated by commas")
    parser.add_argument("--seconds", type=float, default=600, help="for each run")
    given = parser.parse_args()
    wanted = [each.strip() for each in given.only.split(",") if each.strip()]
    if unknown := sorted(set(wanted) - {*RUNS, "faults", "none"}):
        print(f"--only {unknown[0]!r} is none of {', '.join((*RUNS, 'faults'))}", file=sys.stderr)
        return 2
    for name in RUNS:
        if (not wanted or name in wanted) and name not in kept()["runs"]:
            measure_run(name, given.seconds)
    if not wanted or "faults" in wanted:
        measure_faults([each for each in STRUCK if each not in kept()["faults"]])
    PAGE.write_text(written(PAGE.read_text(), kept()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
