"""docker-compose.yml without an engine: valid twice over, and every command run as it stands."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.services.program import free_port, is_listening
from asyncdb_bench.services.running import RunningServices
from tests.command_line import ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.e2e

SECRETS = {"POSTGRES_PASSWORD": "pg-secret", "RABBITMQ_PASSWORD": "mq-secret"}
CHECK = [str(Path(sys.executable).with_name("check-jsonschema"))]


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    spec = importlib.util.find_spec("compose")
    assert spec is not None
    assert spec.submodule_search_locations
    binary = Path(spec.submodule_search_locations[0]) / "docker-compose"
    return subprocess.run(
        [str(binary), "--file", "docker-compose.yml", "--env-file", "/dev/null", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | environment,
    )


@pytest.fixture(scope="module")
def resolved() -> dict[str, Any]:
    done = compose("--profile", "load", "config", "--format", "json", **SECRETS)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_real_docker_compose_accepts_it() -> None:
    assert compose("--profile", "load", "config", "--quiet", **SECRETS).returncode == 0


def test_no_password_is_left_in_place() -> None:
    done = compose("config", "--quiet")
    assert done.returncode != 0
    assert "run make up, which writes .env" in done.stderr


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.compose-spec", "docker-compose.yml"),
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
        ("vendor.github-workflows", ".github/workflows/nightly.yml"),
        (
            "vendor.github-workflows",
            "asyncdb_bench/extensions/check/starting_files/folder/performance.yml.txt",
        ),
    ],
)
def test_it_fits_its_schema(schema: str, file: str) -> None:
    done = subprocess.run(
        [*CHECK, "--builtin-schema", schema, "--default-filetype", "yaml", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_services_are_pinned_checked_and_published_on_loopback_only(
    resolved: dict[str, Any],
) -> None:
    for name, service in resolved["services"].items():
        assert re.search(r":[\w.-]*\d+\.\d+", service["image"]), name
        assert "test" in service["healthcheck"], name
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name


def test_env_is_written_once_with_random_passwords(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "write-env.sh"
    for _ in range(2):
        subprocess.run(["sh", str(script)], cwd=tmp_path, check=True, capture_output=True)
    values = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    assert set(values) == set(SECRETS)
    assert len(set(values.values())) == 2
    assert all(len(value) >= 32 for value in values.values())
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_copies_are_written_beside_the_passwords_and_read_by_compose(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "write-env.sh"

    def write(*counts: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", str(script), *counts], cwd=tmp_path, check=False, capture_output=True, text=True
        )

    assert write("WORKERS=3", "LOAD=", "APPS=").returncode == 0
    before = (tmp_path / ".env").read_text()
    assert write("WORKERS=16", "LOAD=4", "APPS=2").returncode == 0
    values = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    assert {
        "WORKERS": "16",
        "LOAD": "4",
        "APPS": "2",
        "CONNECTIONS": "228",
    }.items() <= values.items()
    assert all(f"{name}={values[name]}" in before for name in SECRETS)
    done = compose("--profile", "load", "config", "--format", "json", **values)
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    replicas = {name: each.get("deploy", {}).get("replicas") for name, each in services.items()}
    assert replicas["worker"] == 16
    assert replicas["locust-worker"] == 4
    assert replicas["app"] == 2
    assert "max_connections=228" in services["postgres"]["command"]
    assert (
        services["locust"]["command"][services["locust"]["command"].index("--expect-workers") + 1]
        == "4"
    )
    for wrong in ("WORKERS=many", "LOAD=0", "APPS=1000"):
        refused = write(wrong)
        assert refused.returncode == 2
        assert f"error: {wrong}: give 1 to 99" in refused.stderr


@contextmanager
def running(
    service: dict[str, Any], log: Path, replace: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service's command as it stands, with the containers' names put right."""

    def right(text: str) -> str:
        for old, new in replace.items():
            text = text.replace(old, new)
        return text

    command = [right(each) for each in service["command"]]
    program = Path(sys.executable).with_name(command[0])
    environment = {k: right(v) for k, v in service.get("environment", {}).items()}
    path = f"{program.parent}:{os.environ['PATH']}"
    with log.open("wb") as out:
        popen = subprocess.Popen(
            [str(program), *command[1:]],
            cwd=ROOT,
            stdout=out,
            stderr=out,
            env={"PATH": path, "HOME": "/tmp", "PYTHONPATH": str(ROOT)} | environment,
        )
    try:
        yield popen
    finally:
        popen.terminate()
        popen.wait(timeout=60)


def test_every_command_runs_by_hand_as_it_stands(
    resolved: dict[str, Any], rabbitmq: RunningServices, tmp_path: Path
) -> None:
    services = resolved["services"]
    postgres = rabbitmq.postgres
    postgres._admin(['CREATE DATABASE "compose"'])
    postgres._clones.add("compose")
    assert rabbitmq.broker is not None
    database, broker = postgres.url_of("compose"), rabbitmq.broker.url
    port = str(free_port())
    put = {
        services["app"]["environment"]["DATABASE_URL"]: database,
        services["app"]["environment"]["BROKER_URL"]: broker,
        "8888": port,
        "0.0.0.0": "127.0.0.1",
        "http://app:": "http://127.0.0.1:",
        "30s": "300s",
    }
    app, worker = services["app"], services["worker"]
    log = {name: tmp_path / f"{name}.log" for name in services}
    with ExitStack() as stack:
        stack.enter_context(running(app, log["app"], put))
        assert eventually(lambda: is_listening(int(port)), 120), log["app"].read_text()
        stack.enter_context(running(worker, log["worker"], put))
        request = urllib.request.Request(f"http://127.0.0.1:{port}/op/read", data=b'{"account": 7}')
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    assert json.load(answer)["id"] == 7
                break
            except OSError:
                assert time.monotonic() < deadline, log["worker"].read_text()
        master = stack.enter_context(running(services["locust"], log["locust"], put))
        for copy in range(2):
            file = tmp_path / f"locust-worker{copy}.log"
            # the master's name in the network is the service's; here it is this machine
            here = services["locust-worker"] | {
                "command": [
                    "127.0.0.1" if before == "--master-host" else each
                    for before, each in zip(
                        ["", *services["locust-worker"]["command"]],
                        services["locust-worker"]["command"],
                        strict=False,
                    )
                ]
            }
            stack.enter_context(running(here, file, put))
        asked = re.compile(r"Aggregated +[1-9]\d+")
        assert eventually(lambda: asked.search(log["locust"].read_text()), 240)
        master.terminate()
        assert master.wait(timeout=60) == 0, log["locust"].read_text()
    text = log["locust"].read_text()
    assert "0(0.00%)" in text
