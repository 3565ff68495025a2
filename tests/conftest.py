"""Services that tests share: embedded ones, or those that the environment names."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from asyncdb_bench.services import broker as brokers
from asyncdb_bench.services.running import RunningServices
from tests.command_line import Bench

# How long an example takes says nothing on a machine that does other work.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# A shell's background job inherits an ignored Ctrl-C, and so would the commands under test.
signal.signal(signal.SIGINT, signal.default_int_handler)


def start(logs: Path, *, broker: str) -> RunningServices:
    """Make services with the embedded PostgreSQL and a broker of a kind of our own."""
    environment = {key: value for key, value in os.environ.items() if key.endswith("DATABASE_URL")}
    services = RunningServices(
        logs,
        f"asyncdb_bench_test_{time.time_ns()}",
        with_broker=bool(broker),
        with_store=broker == "rabbitmq",
        environment=environment,
    )
    if broker == "redis":
        services._start_broker = lambda: brokers.start_valkey(  # type: ignore[method-assign]
            logs.joinpath("valkey"), logs
        )
        logs.joinpath("valkey").mkdir()
    return services


@pytest.fixture(scope="session", autouse=True)
def _lock(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep tests that measure in several processes of pytest from waiting for one another."""
    os.environ["ASYNCDB_BENCH_LOCK_DIR"] = str(tmp_path_factory.mktemp("lock"))


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServices]:
    """PostgreSQL and a RabbitMQ node of our own."""
    if brokers.find_rabbitmq() is None:
        pytest.skip("rabbitmq-server is not installed")
    with start(tmp_path_factory.mktemp("rabbitmq-logs"), broker="rabbitmq") as services:
        assert not services.broker_problem
        yield services


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServices]:
    """PostgreSQL and the embedded Valkey."""
    with start(tmp_path_factory.mktemp("valkey-logs"), broker="redis") as services:
        assert not services.broker_problem
        yield services


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServices]:
    """PostgreSQL alone."""
    with start(tmp_path_factory.mktemp("postgres-logs"), broker="") as services:
        yield services


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Bench, subprocess.CompletedProcess[str]]:
    """A smoke run of all strategies, without RabbitMQ."""
    made = Bench(tmp_path_factory.mktemp("finished"))
    return made, made("run", "--profile", "smoke", "--seed", "42", "--web")
