"""Services that tests share: embedded ones, or those that the environment names."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from asyncdb_bench.services import broker as brokers
from asyncdb_bench.services import postgres as databases
from asyncdb_bench.services.running import RunningServices
from tests.command_line import ROOT, Bench
from tests.factories import scratch_folder

if TYPE_CHECKING:
    from asyncdb_bench.records.run_folder import RunFolder
    from asyncdb_bench.report.write import Written

# How long an example takes says nothing on a machine that does other work.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# Compiled once, not by each of the thousand processes that tests start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell's background job inherits an ignored Ctrl-C, and so would the commands under test.
signal.signal(signal.SIGINT, signal.default_int_handler)

Start = Callable[[], brokers.BrokerServer]
OF_PROCESSES = ("services", "e2e", "browser")
LONGEST = (
    "test_conformance.py",
    "test_run_verb.py",
    "test_interrupted_run.py",
    "test_servers_as_shipped.py",
    "test_scenario_check.py",
    "test_targets.py",
)
"""Files of more than a minute."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: pure files, which are short, fill the workers' ends."""

    def place(item: pytest.Item) -> tuple[bool, bool]:
        pure = not any(map(item.get_closest_marker, OF_PROCESSES))
        return pure, item.path.name not in LONGEST

    items.sort(key=place)


class Lent(RunningServices):
    """Services with a broker of their own on a PostgreSQL that goes on to run after them."""

    def __init__(self, logs: Path, lent: RunningServices, start_broker: Start) -> None:
        super().__init__(logs, lent.prefix, with_broker=True, with_store=True, environment={})
        self._lent = lent
        self._start_broker = start_broker  # type: ignore[method-assign]

    @property
    def postgres(self) -> databases.Postgres:
        """The server that runs now: the lender's."""
        return self._lent.postgres

    def _start_postgres(self) -> databases.Postgres:
        if self._postgres is not None:
            # it was stopped to recover: others that borrow it have the new one, too
            self._lent._postgres = self._lent._start_postgres()
        return self._lent.postgres

    def _stop(self) -> None:
        self._postgres = None
        super()._stop()


def start_valkey(logs: Path) -> brokers.BrokerServer:
    """Start the embedded Valkey, whatever other broker is installed."""
    folder = logs / "valkey"
    folder.mkdir()
    return brokers.start_valkey(folder, logs)


@pytest.fixture(scope="session", autouse=True)
def _lock(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep tests that measure in several processes of pytest from waiting for one another."""
    os.environ["ASYNCDB_BENCH_LOCK_DIR"] = str(tmp_path_factory.mktemp("lock"))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServices]:
    """PostgreSQL alone: one server for all tests of a worker, each with databases of its own."""
    environment = {key: value for key, value in os.environ.items() if key.endswith("DATABASE_URL")}
    prefix = f"asyncdb_bench_test_{time.time_ns()}"
    logs = tmp_path_factory.mktemp("postgres-logs")
    with pytest.MonkeyPatch.context() as patched:
        # the counts of databases that were dropped stay: it must not forget others for their sake
        patched.setitem(databases.SETTINGS, "pg_stat_statements.max", "50000")
        services = RunningServices(logs, prefix, with_broker=False, environment=environment)
        with services:
            yield services


@pytest.fixture(scope="session")
def rabbitmq(
    postgres: RunningServices, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServices]:
    """The same PostgreSQL and a RabbitMQ node of our own."""
    program = brokers.find_rabbitmq()
    if program is None:
        pytest.skip("rabbitmq-server is not installed")
    logs = tmp_path_factory.mktemp("rabbitmq-logs")

    def start() -> brokers.BrokerServer:
        return brokers.start_rabbitmq(program, scratch_folder("rabbitmq"), logs)

    with Lent(logs, postgres, start) as services:
        assert not services.broker_problem
        yield services


@pytest.fixture(scope="session")
def valkey(
    postgres: RunningServices, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServices]:
    """The same PostgreSQL and the embedded Valkey."""
    logs = tmp_path_factory.mktemp("valkey-logs")
    with Lent(logs, postgres, lambda: start_valkey(logs)) as services:
        assert not services.broker_problem
        yield services


@pytest.fixture
def checks_on_lent_services(
    request: pytest.FixtureRequest, postgres: RunningServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have `check` use services that run instead of starting some: those of this worker."""

    @contextlib.contextmanager
    def lent(*, with_broker: bool = False, with_store: bool = False) -> Iterator[RunningServices]:
        installed = "rabbitmq" if brokers.find_rabbitmq() else "valkey"
        yield request.getfixturevalue(installed) if with_broker else postgres

    monkeypatch.setattr("asyncdb_bench.extensions.check.scenario_check.check_services", lent)


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


@pytest.fixture(scope="session")
def reference_folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A copy of the reference run; the committed files stay as they are."""
    from asyncdb_bench.records.run_folder import RunFolder

    copied = tmp_path_factory.mktemp("reference") / "results" / "reference"
    shutil.copytree(ROOT / "results" / "reference", copied)
    return RunFolder(copied)


@pytest.fixture(scope="session")
def reference(reference_folder: RunFolder) -> Written:
    """The reference's report, written anew."""
    from asyncdb_bench.report.write import write

    return write(reference_folder, reference_folder.path.parents[1] / "reports")
