"""For Celery's own command line: ``celery -A asyncdb_bench.app.celery_standalone worker``.

Configured by the environment, as in a container: ``DATABASE_URL``, ``BROKER_URL``,
``ASYNCDB_BENCH_QUEUE`` and ``ASYNCDB_BENCH_SCENARIO`` (default ``mixed``). The application beside
it is ``bench.py serve celery --attached QUEUE``. Give ``--concurrency`` the budget of connections.
"""

from __future__ import annotations

import os

from asyncdb_bench.contract.celery.celery_app import (
    QueueOptions,
    WorkerDatabase,
    connect_when_ready,
    make_app,
)
from asyncdb_bench.contract.urls import own_form, read_broker_url
from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.plan.request import parse_specs

TIMEOUT_S = 10.0


def _setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise UsageError(f"{name} is not set; the worker needs it")
    return value


def _database() -> WorkerDatabase:
    (spec,) = parse_specs(os.environ.get("ASYNCDB_BENCH_SCENARIO", "mixed"))
    operations = make_scenario(spec.name, spec.knobs).workload().operations
    url = own_form(_setting("DATABASE_URL"))
    return WorkerDatabase(url, operations, 1, TIMEOUT_S)


_url = _setting("BROKER_URL")
_options = QueueOptions(
    broker=read_broker_url(_url),
    queue=_setting("ASYNCDB_BENCH_QUEUE"),
    results="rpc",
    timeout_s=TIMEOUT_S,
)
app = make_app(_options, client=False)
# `celery inspect ping`, the container's health check, asks over the broker
app.conf.worker_enable_remote_control = True
connect_when_ready(_database, forks=True)
