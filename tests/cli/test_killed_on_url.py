"""A harness that is killed leaves nothing on servers that are not its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from asyncdb_bench.services.running import RunningServices
from tests.command_line import ROOT, without_services
from tests.waiting import eventually

PATIENCE_S = 180.0
pytestmark = [pytest.mark.e2e, pytest.mark.services]


def databases(services: RunningServices) -> int:
    with psycopg.connect(services.postgres.url) as connection:
        asked = "SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_smoke\\_%'"
        row: Any = connection.execute(asked).fetchone()
    return int(row[0])


def queues(services: RunningServices, names: list[str]) -> list[str]:
    """Return which of these queues the broker has."""
    from kombu import Connection

    assert services.broker is not None
    found = []
    with Connection(services.broker.url) as connection:
        for name in names:
            channel: Any = connection.channel()
            try:
                channel.queue_declare(name, passive=True)
            except connection.channel_errors:
                continue
            found.append(name)
    return found


def test_databases_and_queues_are_gone(rabbitmq: RunningServices, tmp_path: Path) -> None:
    assert rabbitmq.broker is not None
    urls = {"DATABASE_URL": rabbitmq.postgres.url, "BROKER_URL": rabbitmq.broker.url}
    process = subprocess.Popen(
        [
            *(sys.executable, "bench.py", "run", "--profile", "smoke", "--scenario", "read"),
            *("--strategy", "celery,native", "--rounds", "8"),
            *("--results", str(tmp_path), "--reports", str(tmp_path)),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=without_services() | urls,
    )
    try:
        assert eventually(lambda: "window" in events(tmp_path), PATIENCE_S)
        (run,) = [each.name for each in tmp_path.glob("2*") if each.is_dir()]
        names = [f"asyncdb-bench-{run}-t00{place}" for place in range(2)]
        assert databases(rabbitmq) >= 3
        assert queues(rabbitmq, names)
    finally:
        process.kill()
        process.wait()
    assert eventually(lambda: databases(rabbitmq) == 0, PATIENCE_S)
    assert eventually(lambda: queues(rabbitmq, names) == [], PATIENCE_S)
    time.sleep(1)
    assert databases(rabbitmq) == 0


def events(results: Path) -> str:
    logs = list(results.glob("*/logs/events.log"))
    return logs[0].read_text() if logs else ""
