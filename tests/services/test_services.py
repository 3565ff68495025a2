"""Services: started, isolated, and gone again, whatever ended them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from asyncdb_bench.contract.data.accounts import StandardData
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.services import broker as brokers
from asyncdb_bench.services import postgres as databases
from asyncdb_bench.services.program import GUARD, is_listening
from asyncdb_bench.services.running import RunningServices
from tests.factories import scratch_folder
from tests.waiting import eventually

pytestmark = pytest.mark.services

LOCAL = "postgresql://postgres@127.0.0.1:5432/postgres"


def test_a_clone_is_seeded_and_no_strategy_sees_anothers_writes(postgres: RunningServices) -> None:
    data = StandardData(100)
    one, two = postgres.clone(data, "one"), postgres.clone(data, "two")
    with psycopg.connect(one, autocommit=True) as connection:
        connection.execute("DELETE FROM account")
    with psycopg.connect(two) as connection:
        rows = connection.execute("SELECT id, balance, owner FROM account ORDER BY id").fetchall()
    assert len(rows) == 100
    assert rows[6] == (7, 7 * 7919 % 10_007, "owner-007")
    postgres.drop(one)
    postgres.drop(two)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(one)


def test_the_server_says_what_it_is(postgres: RunningServices) -> None:
    info = postgres.info()[0]
    assert info.version.partition(".")[0].isdigit()
    assert info.settings["fsync"] == "on"
    assert info.settings["synchronous_commit"] == "on"


def test_the_embedded_server_leaves_nothing(tmp_path: Path) -> None:
    folder = scratch_folder("test")
    server = databases.start_embedded(folder, tmp_path, "asyncdb_bench_t")
    assert server.program is not None
    processes = psutil.Process(server.program.popen.pid).children(recursive=True)
    assert processes
    server.stop()
    assert not [each for each in processes if each.is_running()]
    assert not folder.exists()


def test_a_killed_server_starts_again_while_a_connection_of_it_is_still_ending(
    tmp_path: Path,
) -> None:
    server = databases.start_embedded(scratch_folder("test"), tmp_path, "asyncdb_bench_t")
    assert server.program is not None
    try:
        with psycopg.connect(server.url) as connection:
            backend = psutil.Process(connection.info.backend_pid)
            backend.suspend()
            server.program.restart()
            # by then a server that did not wait has found its memory in use, and has ended
            time.sleep(0.5)
            backend.resume()
        assert eventually(lambda: answers(server), 60)
    finally:
        server.stop()


def answers(server: databases.Postgres) -> bool:
    try:
        server.check()
    except ServiceError:
        return False
    return True


def test_templates_that_were_forgotten_are_seeded_anew(postgres: RunningServices) -> None:
    names = []
    for _ in range(3):
        postgres.postgres.forget_templates()
        names.append(postgres.postgres.template(StandardData(10)))
        postgres.drop(postgres.clone(StandardData(10), "again"))
    assert len(set(names)) == 3


def test_a_server_given_by_url_keeps_nothing_of_ours(tmp_path: Path) -> None:
    if not is_listening(5432):
        pytest.skip("no PostgreSQL on its standard port")
    prefix = f"asyncdb_bench_test_{time.time_ns()}"
    environment = {"DATABASE_URL": os.environ.get("DATABASE_URL", LOCAL)}
    count = f"SELECT count(*) FROM pg_database WHERE datname LIKE '{prefix}%'"
    with RunningServices(tmp_path, prefix, with_broker=False, environment=environment) as services:
        services.clone(StandardData(10), "one")
        with psycopg.connect(environment["DATABASE_URL"]) as connection:
            assert connection.execute(count).fetchone() == (2,)
        assert services.roles() == {}
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        assert connection.execute(count).fetchone() == (0,)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://bench@127.0.0.1:1/x", "cannot connect to postgresql://bench@127.0.0.1:1/x"),
        ("postgresql://u:secret@127.0.0.1:1/x", r"u:\*\*\*@127.0.0.1"),
    ],
)
def test_a_database_url_that_does_not_work_says_so(url: str, says: str) -> None:
    with pytest.raises(ServiceError, match=says):
        databases.use_url(url, "p")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://guest:guest@127.0.0.1:1//", "no answer from 127.0.0.1:1"),
        ("redis://127.0.0.1:1/0", "no answer from 127.0.0.1:1"),
    ],
)
def test_a_broker_url_that_does_not_work_says_so(url: str, says: str) -> None:
    with pytest.raises(ServiceError, match=says):
        brokers.use_url(url)


def test_without_a_broker_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "find_rabbitmq", lambda: None)
    monkeypatch.setattr(brokers, "find_valkey", lambda: None)
    with RunningServices(tmp_path, "asyncdb_bench_t2", with_broker=True, environment={}) as running:
        assert running.broker is None
        assert "no broker: set BROKER_URL" in running.refusal(("redis", "rabbitmq"))
        assert running.refusal(()) == ""


def test_a_broker_that_was_named_and_refuses_ends_it(tmp_path: Path) -> None:
    environment = {"BROKER_URL": "redis://:wrong@127.0.0.1:1/0"}
    running = RunningServices(tmp_path, "x", with_broker=True, environment=environment)
    with pytest.raises(ServiceError, match=r"no answer from 127\.0\.0\.1:1"), running:
        pass
    with RunningServices(tmp_path, "x", with_broker=False, environment=environment) as unasked:
        assert unasked.broker is None


def test_a_strategy_for_rabbitmq_is_refused_on_redis(valkey: RunningServices) -> None:
    assert valkey.refusal(("redis", "rabbitmq")) == ""
    assert "it needs RabbitMQ and the broker is redis" in valkey.refusal(("rabbitmq",))


def test_our_rabbitmq_is_not_the_machines(rabbitmq: RunningServices) -> None:
    assert rabbitmq.broker is not None
    assert ":5672" not in rabbitmq.broker.url
    assert rabbitmq.info()[1].version.startswith("RabbitMQ")


def test_a_stopped_rabbitmq_leaves_neither_process_nor_epmd(tmp_path: Path) -> None:
    server = brokers.find_rabbitmq()
    if server is None:
        pytest.skip("rabbitmq-server is not installed")
    folder = scratch_folder("rabbitmq-test")
    running = brokers.start_rabbitmq(server, folder, tmp_path)
    mark = str(folder).encode()
    assert eventually(lambda: _with_environment(mark), 5)
    running.stop()
    assert eventually(lambda: not _with_environment(mark), 5)
    assert not folder.exists()


def _with_environment(mark: bytes) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


PARENT = """
import json, subprocess, sys
child = subprocess.Popen([sys.executable, sys.argv[1], "--", *sys.argv[3:]],
                         stdin=subprocess.PIPE, start_new_session=True)
child.stdin.write(sys.argv[2].encode() + b"\\n")
child.stdin.flush()
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.parametrize("ignores_the_stop", [False, True])
def test_a_guard_ends_its_program_when_the_parent_is_killed(
    tmp_path: Path, ignores_the_stop: bool
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    options = {
        "stop_signal": int(signal.SIGTERM),
        "grace_s": 0.3,
        "remove": [str(data)],
        "log": str(tmp_path / "log"),
    }
    trap = "trap '' TERM;" if ignores_the_stop else ""
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PARENT,
            str(GUARD),
            json.dumps(options),
            "sh",
            "-c",
            f"{trap} sleep 100 & wait; wait",
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    guard = psutil.Process(int(parent.stdout.readline()))
    assert eventually(lambda: len(guard.children(recursive=True)) == 3, 5)
    family = [guard, *guard.children(recursive=True)]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: not any(map(_alive, family)), 5)
    assert not data.exists()


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
