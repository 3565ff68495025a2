"""Brokers that others run, encrypted and with a password: tasks travel, results come back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.services import broker as brokers
from asyncdb_bench.services.program import Program, free_port, write_private
from tests.command_line import Bench
from tests.factories import scratch_folder
from tests.waiting import eventually

pytestmark = [pytest.mark.services, pytest.mark.e2e]

PASSWORD, ENCODED = "pass@word/1", "pass%40word%2F1"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    found = scratch_folder("encrypted")
    issued = trustme.CA()
    server = issued.issue_cert("localhost", "127.0.0.1")
    issued.cert_pem.write_to_path(found / "ca.pem")
    server.cert_chain_pems[0].write_to_path(found / "server.crt")
    server.private_key_pem.write_to_path(found / "server.key")
    yield found
    shutil.rmtree(found)


@pytest.fixture(scope="module")
def redis_url(folder: Path) -> Iterator[str]:
    """A Redis that speaks TLS alone."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server that was built with OpenSSL")
    port = free_port()
    command = [program, "--port", "0", "--tls-port", str(port), "--save", "", "--dir", str(folder)]
    command += ["--tls-cert-file", str(folder / "server.crt"), "--tls-auth-clients", "no"]
    command += ["--tls-key-file", str(folder / "server.key"), "--requirepass", PASSWORD]
    command += ["--tls-ca-cert-file", str(folder / "ca.pem")]
    running = Program("Redis", command, log=folder / "redis.log")
    url = f"rediss://:{ENCODED}@localhost:{port}/0"
    try:
        running.wait_ready(lambda: answers(f"{url}?ssl_cert_reqs=none"), 30)
        yield url
    finally:
        running.stop()


@pytest.fixture(scope="module")
def amqps_url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A RabbitMQ node of our own, with a port that speaks TLS."""
    server = brokers.find_rabbitmq()
    if server is None:
        pytest.skip("rabbitmq-server is not installed")
    node, home, port = brokers.new_node(), scratch_folder("rabbitmq"), free_port()
    settings = [f"listeners.ssl.1 = 127.0.0.1:{port}"]
    named = {"cacertfile": "ca.pem", "certfile": "server.crt", "keyfile": "server.key"}
    settings += [f"ssl_options.{name} = {folder / file}" for name, file in named.items()]

    def with_tls(path: Path, text: str) -> None:
        write_private(path, text + "\n".join(settings) if path.name == "rabbitmq.conf" else text)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(brokers, "write_private", with_tls)
        running = brokers.start_rabbitmq(server, home, tmp_path_factory.mktemp("logs"), node)
    try:
        yield f"amqps://{brokers.USER}:{node.password}@localhost:{port}//"
    finally:
        running.stop()
        assert eventually(lambda: not running.answers, 20)
        shutil.rmtree(home)


def answers(url: str) -> bool:
    try:
        brokers.use_url(url)
    except ServiceError:
        return False
    return True


def test_celery_conforms_on_an_encrypted_redis(redis_url: str, folder: Path, bench: Bench) -> None:
    url = f"{redis_url}?ssl_ca_certs={folder / 'ca.pem'}"
    done = bench("check", "read", "--strategies", "celery", environment={"BROKER_URL": url})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not tried" not in done.stdout
    assert "ok    celery: right answers over HTTP" in done.stdout


def test_celery_and_celery_aio_conform_on_an_encrypted_rabbitmq(
    amqps_url: str, folder: Path, bench: Bench
) -> None:
    url = f"{amqps_url}?cacertfile={folder / 'ca.pem'}"
    named = ("--strategies", "celery,celery_aio")
    done = bench("check", "read", *named, environment={"BROKER_URL": url})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    celery_aio: right answers over HTTP" in done.stdout


@pytest.mark.parametrize("kind", ["redis_url", "amqps_url"])
def test_an_unknown_certificate_is_refused_with_the_way_out(
    kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(kind)
    with pytest.raises(ServiceError, match="ssl_ca_certs=FILE in the URL") as caught:
        brokers.use_url(url)
    assert PASSWORD not in str(caught.value)
    assert answers(f"{url}?ssl_cert_reqs=none")
