"""A Celery worker as a process of the harness: ``python -m asyncdb_bench.taskqueue.worker``.

Reads its configuration as one line of JSON from standard input, prints ``{"event": "ready"}``,
and ends with its whole process group when standard input ends: then its parent is gone.
"""

from __future__ import annotations

import _thread
import json
import os
import signal
import sys
from typing import Any


def _answer_parent() -> None:
    """Answer every line with what became of the tasks so far; end when the parent is gone."""
    while asked := os.read(0, 4096):
        for _ in range(asked.count(b"\n")):
            counted = sys.modules.get("asyncdb_bench.taskqueue.counted")
            _say(event="tasks", counts=dict(counted.counts) if counted else {})
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _read_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise SystemExit("no configuration on standard input")
        line += byte
    return line


def _say(**event: Any) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


def main() -> None:
    """Run the worker until it is told to stop."""
    config = json.loads(_read_line())
    # A native thread, before gevent may patch threading: it must see the end of the parent
    # whatever the pool does.
    _thread.start_new_thread(_answer_parent, ())
    pool = config["part"]["pool"]
    if pool == "gevent":
        from celery import maybe_patch_concurrency

        maybe_patch_concurrency(["celery", "-P", "gevent"])
    _run(config, pool)


def _run(config: dict[str, Any], pool: str) -> None:
    from celery import signals

    from asyncdb_bench.fault import faulty_operations
    from asyncdb_bench.model import Broker, Fault
    from asyncdb_bench.plugins import make_scenario
    from asyncdb_bench.taskqueue import app as tasks
    from asyncdb_bench.taskqueue.part import results_backend

    part = config["part"]
    options = tasks.QueueOptions(
        broker=Broker(**config["broker"]),
        queue=config["queue"],
        results=results_backend(part["results"], config["broker"]["kind"]),
        store=Broker(**config["store"]) if config["store"] else None,
        acks_late=part["acks_late"],
        prefetch=part["prefetch"],
        timeout_s=config["timeout_s"],
    )
    app = tasks.make_app(options, backend=tasks.backend_url(options, client=False))
    workload = make_scenario(config["scenario"], config["scenario_knobs"]).workload()
    fault = Fault(**config["fault"]) if config.get("fault") else None
    operations = faulty_operations(workload.operations, fault)
    connections = 1 if pool in {"prefork", "solo"} else part["concurrency"]
    tasks.connect_when_ready(
        lambda: tasks.WorkerDatabase(
            config["database_url"],
            operations,
            connections,
            config["timeout_s"],
            timed=part["timed"],
        ),
        forks=pool == "prefork",
        gc_freeze=part["gc_freeze"],
    )
    signals.worker_ready.connect(lambda **_: _say(event="ready"), weak=False)
    worker = app.Worker(
        hostname=f"{config['queue']}-{os.getpid()}@localhost",
        pool=pool,
        concurrency=part["concurrency"],
        loglevel="WARNING",
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    raise SystemExit(worker.exitcode or 0)


if __name__ == "__main__":
    main()
