"""Another account of the machine gets at nothing, and passwords stand nowhere."""

from __future__ import annotations

import json
import os
import pwd
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from asyncdb_bench.records.plan import Broker
from asyncdb_bench.services.running import RunningServices
from tests.command_line import ROOT, Bench
from tests.waiting import eventually

pytestmark = pytest.mark.services
GUESSES = ("", "bench", "postgres", "guest", "redis", "password")
LOOPBACK = {"127.0.0.1", "::1"}


def as_nobody(attempt: Callable[[], str]) -> str:
    """Return what an attempt says that is made by another account; as root only it is another."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            if os.geteuid() == 0:
                account = pwd.getpwnam("nobody")
                os.setgroups([])
                os.setgid(account.pw_gid)
                os.setuid(account.pw_uid)
            os.write(write, attempt().encode()[:4000])
        except BaseException as error:
            os.write(write, f"refused: {type(error).__name__}: {error}".encode()[:4000])
        finally:
            os._exit(0)
    os.close(write)
    said = b""
    while block := os.read(read, 4096):
        said += block
    os.close(read)
    os.waitpid(pid, 0)
    return said.decode()


def port_of(broker: Broker | None) -> int:
    assert broker is not None
    port = urlsplit(broker.url).port
    assert port is not None
    return port


def family() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


@pytest.mark.parametrize("kind", ["rabbitmq", "valkey"])
def test_all_sockets_are_on_loopback(kind: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(kind)
    listening = {
        each.laddr.ip
        for process in family()
        for each in process.net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    }
    assert listening
    assert listening <= LOOPBACK


def test_postgresql_asks_everybody_for_a_password(postgres: RunningServices) -> None:
    import psycopg

    port = urlsplit(postgres.postgres.url).port
    for user in ("bench", "postgres"):
        for guess in GUESSES:

            def attempt(user: str = user, guess: str = guess) -> str:
                where = f"host=127.0.0.1 port={port} user={user} dbname=postgres"
                with psycopg.connect(where, password=guess, connect_timeout=5) as connection:
                    return f"in: {connection.execute('SELECT 1').fetchone()}"

            assert as_nobody(attempt).startswith("refused: "), (user, guess)


def test_valkey_asks_everybody_for_a_password(valkey: RunningServices) -> None:
    import redis

    port = port_of(valkey.broker)
    for guess in GUESSES:

        def attempt(guess: str = guess) -> str:
            once = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
            with redis.Redis("127.0.0.1", port, password=guess or None, retry=once) as client:
                return f"in: {client.set('a', 1)}"

        assert as_nobody(attempt).startswith("refused: "), guess


@pytest.mark.parametrize(
    "command",
    [
        ("CONFIG", "SET", "dir", "/tmp"),
        ("SAVE",),
        ("MODULE", "LOAD", "/tmp/x.so"),
        ("DEBUG", "SLEEP", "0"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("SHUTDOWN",),
        ("KEYS", "*"),
        ("ACL", "LIST"),
    ],
)
def test_valkey_has_no_dangerous_commands_even_with_the_password(
    command: tuple[str, ...], valkey: RunningServices
) -> None:
    import redis

    assert valkey.broker is not None
    with (
        redis.Redis.from_url(valkey.broker.url) as client,
        pytest.raises(redis.exceptions.ResponseError, match=r"permissions|not allowed"),
    ):
        client.execute_command(*command)


def test_rabbitmq_has_no_guest_and_opens_its_distribution_to_nobody(
    rabbitmq: RunningServices,
) -> None:
    from kombu import Connection

    port = port_of(rabbitmq.broker)
    for user in ("guest", "bench"):
        for guess in GUESSES[1:]:

            def attempt(user: str = user, guess: str = guess) -> str:
                url = f"amqp://{user}:{guess}@127.0.0.1:{port}//"
                with Connection(url, connect_timeout=5) as connection:
                    connection.connect()
                    return "in"

            assert as_nobody(attempt).startswith("refused: "), (user, guess)


def secret_folders() -> Iterator[Path]:
    """Yield the temporary folders of services of ours: their processes run in, or are told of."""
    for process in family():
        for word in process.cmdline():
            for part in Path(word).parents if word.startswith("/") else ():
                if part.name.startswith("asyncdb-bench-"):
                    yield part


@pytest.mark.parametrize("kind", ["rabbitmq", "valkey"])
def test_temporary_folders_are_closed_to_others(kind: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(kind)
    folders = set(secret_folders())
    assert folders
    for folder in folders:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
        owners = {each.lstat().st_uid for each in folder.rglob("*") if each.exists()}
        assert len(owners) <= 2
        if os.geteuid() == 0 and pwd.getpwuid(folder.stat().st_uid).pw_name != "nobody":

            def attempt(folder: Path = folder) -> str:
                return f"in: {os.listdir(folder)}"  # noqa: PTH208 - as a stranger would

            assert as_nobody(attempt).startswith("refused: PermissionError")


def secrets_of(services: RunningServices) -> list[str]:
    urls = [services.postgres.url]
    urls += [each.url for each in (services.broker, services.store) if each is not None]
    found = [urlsplit(url).password for url in urls]
    assert all(found)
    assert len(set(found)) == len({urlsplit(url).port for url in urls})
    return [each for each in found if each]


@pytest.mark.e2e
def test_passwords_stand_nowhere(rabbitmq: RunningServices, tmp_path: Path) -> None:
    """A run on servers given by URL: not in ps, output, logs, results or reports."""
    assert rabbitmq.broker is not None
    secrets = secrets_of(rabbitmq)
    bench = Bench(tmp_path)
    process = subprocess.Popen(
        bench.command(
            *("run", "--profile", "smoke", "--strategy", "celery,celery_aio,native"),
            *("--scenario", "read"),
        ),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"DATABASE_URL": rabbitmq.postgres.url, "BROKER_URL": rabbitmq.broker.url},
    )
    seen: set[str] = set()

    def look() -> None:
        while process.poll() is None:
            for each in psutil.process_iter():
                try:
                    seen.add(" ".join(each.cmdline()))
                except psutil.Error:
                    continue
            time.sleep(0.1)

    looking = threading.Thread(target=look)
    looking.start()
    output, _ = process.communicate(timeout=180)
    looking.join()
    assert process.returncode == 0, output
    assert any("celery_worker" in each for each in seen)
    files = [each for each in tmp_path.rglob("*") if each.is_file() and not each.is_symlink()]
    assert len(files) > 10
    texts = {str(each): each.read_bytes() for each in files}
    texts |= {"output": output.encode(), "ps": "\n".join(seen).encode()}
    for secret in secrets:
        for name, content in texts.items():
            assert secret.encode() not in content, f"a password stands in {name}"


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://bench:tellnobody@127.0.0.1:{port}/postgres"),
        ("BROKER_URL", "amqp://bench:tellnobody@127.0.0.1:{port}//"),
        ("BROKER_URL", "redis://:tellnobody@127.0.0.1:{port}/0"),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_error_texts_tell_no_password(
    name: str, url: str, is_there: bool, valkey: RunningServices, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if is_there:
        port = port_of(valkey.broker)
    words = ("run", "--profile", "smoke", "--strategy", "celery", "--debug")
    done = Bench(tmp_path)(*words, environment={name: url.format(port=port)})
    assert done.returncode != 0
    assert "tellnobody" not in done.stdout + done.stderr


@pytest.mark.e2e
def test_two_serves_of_one_second_do_not_meet(postgres: RunningServices) -> None:
    environment = {**os.environ, "DATABASE_URL": postgres.postgres.url}
    command = [sys.executable, "-u", "bench.py", "serve", "native", "--port", "0"]
    both = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        for each in both:
            assert each.stdout is not None
            # to the end of the output where it does not come up
            assert any("serves" in line for line in iter(each.stdout.readline, ""))
    finally:
        for each in both:
            each.terminate()
        for each in both:
            each.communicate(timeout=30)
    assert eventually(lambda: databases(postgres) == 0, 10)


def databases(services: RunningServices) -> int:
    import psycopg

    with psycopg.connect(services.postgres.url) as connection:
        asked = "SELECT count(*) FROM pg_database WHERE datname LIKE 'asyncdb_bench_serve_%'"
        row: Any = connection.execute(asked).fetchone()
    return int(row[0])


def test_serve_warns_where_others_may_connect() -> None:
    from asyncdb_bench.processes.serving import is_loopback

    for host in ("127.0.0.1", "::1", "localhost"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "", "192.0.2.1"):
        assert not is_loopback(host)


def test_the_lock_follows_no_link(tmp_path: Path) -> None:
    from asyncdb_bench.errors import StoreError
    from asyncdb_bench.processes.lock import MachineLock

    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "asyncdb-bench.lock").symlink_to(target)
    with pytest.raises(StoreError, match="cannot open the machine's lock"):
        MachineLock((), tmp_path)
    assert target.read_text() == "precious"


def test_what_is_kept_of_secrets_is_not_shown() -> None:
    broker = Broker("redis", "redis://:tellnobody@127.0.0.1:1/0")
    assert "tellnobody" not in repr(broker)
    assert json.dumps(broker.url)
