"""Applications of others: asked where they run, or started; whatever they answer."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncdb_bench.services.program import free_port, is_listening
from asyncdb_bench.services.running import RunningServices
from tests.command_line import ROOT, bench_in
from tests.waiting import eventually

pytestmark = pytest.mark.e2e
THEIRS = ROOT / "tests" / "plugins" / "their_app"


@pytest.fixture(scope="module")
def database(postgres: RunningServices) -> Iterator[str]:
    from asyncdb_bench import Tables

    url = postgres.clone(Tables("theirs"), "theirs")
    yield url
    postgres.drop(url)


@pytest.fixture
def folder(tmp_path: Path, database: str) -> Path:
    """A working folder with their application, and a `bench.toml` that starts it."""
    for file in THEIRS.glob("*.py"):
        shutil.copy(file, tmp_path)
    command = json.dumps([sys.executable, "application.py", "{port}", "attach"])
    slow = json.dumps([sys.executable, "application.py", "{port}", "slow"])
    environment = f'DATABASE_URL = "{database}"\nPYTHONPATH = "{ROOT}"\n'
    (tmp_path / "bench.toml").write_text(
        f'[targets.mine]\ncommand = {command}\nhealth = "/health"\n'
        f"[targets.mine.env]\n{environment}"
        f"[targets.slow]\ncommand = {slow}\n[targets.slow.env]\n{environment}"
        f'[targets.gone]\ncommand = ["{sys.executable}", "-c", "raise SystemExit(\'no luck\')"]\n'
        "[targets.wrong]\nadress = 5\n"
    )
    return tmp_path


def smoke(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    scenario = () if "--scenario" in arguments else ("--scenario", "notes.py:Notes")
    return bench_in(folder, "run", "--profile", "smoke", *scenario, *arguments)


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results/latest/manifest.json").read_text())
    return found


def steps(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "results/latest/steps.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@contextmanager
def running(folder: Path, database: str, *words: str) -> Iterator[tuple[int, int]]:
    """Their application as its owner runs it; yields port and pid."""
    port = free_port()
    environment = os.environ | {"DATABASE_URL": database, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "application.py", str(port), *words], cwd=folder, env=environment
    )
    try:
        assert eventually(lambda: is_listening(port), 120)
        yield port, process.pid
        assert process.poll() is None, "an application of others outlives the run"
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(timeout=60)


def test_two_that_the_harness_starts_are_told_apart_watched_and_ended(folder: Path) -> None:
    before = {each.pid for each in psutil.process_iter()}
    done = smoke(folder, "--target", "mine", "--target", "slow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "applications of your own" in done.stdout
    assert (
        "Which of these applications is faster?"
        in (folder / "reports/latest/index.html").read_text()
    )
    found = manifest(folder)
    assert found["services"] == []
    assert "DATABASE_URL" not in json.dumps(found), "their environment is not written down"
    mine, slow = (
        [each for each in steps(folder) if each["variant"] == name and each["ledger"]["ok"]]
        for name in ("mine", "slow")
    )
    assert mine
    assert slow
    assert all(each["loop_lag"]["n"] for each in mine), "attached"
    assert not any(each["loop_lag"]["n"] for each in slow), "not attached"
    assert all(each["usage"]["app"]["cpu_s"] > 0 for each in mine + slow)
    phases = [each["phases"] for each in mine if each.get("phases")]
    assert phases
    left = [
        each
        for each in psutil.process_iter(["cmdline"])
        if each.pid not in before and "application.py" in " ".join(each.info["cmdline"] or ())
    ]
    assert left == []


def test_one_that_runs_already_is_loaded_and_goes_on_to_run(folder: Path, database: str) -> None:
    with running(folder, database) as (port, pid):
        done = smoke(
            folder,
            *("--target", f"a=http://127.0.0.1:{port}", "--target", f"b=http://127.0.0.1:{port}"),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert psutil.Process(pid).status() != psutil.STATUS_STOPPED
    assert {each["variant"] for each in steps(folder)} == {"a", "b"}
    assert all(each["usage"]["app"]["processes"] == 1 for each in steps(folder))


def test_servers_that_close_idle_connections_are_measured(folder: Path, database: str) -> None:
    with (
        running(folder, database, "idle") as (one, _),
        running(folder, database, "idle") as (two, _),
    ):
        named = (f"a=http://127.0.0.1:{one}", f"b=http://127.0.0.1:{two}")
        targets = ("--target", named[0], "--target", named[1])
        done = smoke(folder, *targets, "--scenario", "notes.py:Reads")
    assert done.returncode == 0, done.stdout + done.stderr
    ledgers = [each["ledger"] for each in steps(folder)]
    assert sum(each["ok"] for each in ledgers) > 0
    assert sum(each["error"] for each in ledgers) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--target", "nowhere"), "unknown target 'nowhere'; known: gone, mine, slow, wrong"),
        (("--target", "wrong"), "[targets.wrong] in bench.toml: Object contains unknown field"),
        (("--target", "mine", "--strategy", "native"), "--strategy goes with our strategies"),
        (("--target", "mine", "--rtt", "1"), "--rtt goes with our strategies"),
        (("--target", "https://127.0.0.1:1"), "https is not loaded"),
        (("--target", "http://127.0.0.1:1/app"), "paths are the scenario's routes"),
        (("--target", "http://127.0.0.1"), "give host and port"),
        (("--target", "http://192.0.2.1:80"), "--yes-i-own-it"),
        (("--target", "a=http://127.0.0.1:1", "--target-pid", "b=5"), "names 'b'"),
        (("--target", "a=http://127.0.0.1:1", "--target-pid", "a=x"), "NAME=PID[,PID]"),
        (("--target", "mine", "--scenario", ""), "--target needs --scenario"),
    ],
)
def test_what_cannot_be_asked_is_refused_early(
    folder: Path, arguments: tuple[str, ...], says: str
) -> None:
    given = arguments if "--scenario" in arguments else (*arguments, "--scenario", "notes.py:Notes")
    done = bench_in(folder, "plan", *given)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("target", "scenario", "says"),
    [
        ("gone", "Notes", "gone has ended: no luck"),
        ("a=http://127.0.0.1:{free}", "Notes", "does not answer: Connection refused; start it"),
        ("a=http://127.0.0.1:{port}", "Away", "redirects to /notes"),
        ("a=http://127.0.0.1:{port}", "Nothing", "answers 404"),
        ("a=http://127.0.0.1:{port}", "Page", "as text/html; charset=UTF-8: 'ok'"),
        ("a=http://127.0.0.1:{closing}", "Notes", "does not answer: "),
        ("a=http://127.0.0.1:{silent}", "Notes", "does not answer: timed out"),
    ],
)
def test_one_that_answers_otherwise_is_not_measured_and_why_is_said(
    folder: Path, database: str, target: str, scenario: str, says: str
) -> None:
    with running(folder, database) as (port, _), closing_server() as bad, silent_server() as silent:
        places = {"port": port, "free": free_port(), "closing": bad, "silent": silent}
        done = smoke(
            folder, "--target", target.format(**places), "--scenario", f"notes.py:{scenario}"
        )
    assert done.returncode == 3, done.stdout + done.stderr
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@contextmanager
def closing_server() -> Iterator[int]:
    """Accepts connections and closes them."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.recv(10)
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


@contextmanager
def silent_server() -> Iterator[int]:
    """Accepts connections and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=50)) as server:
        yield server.getsockname()[1]


def test_a_scenario_without_tables_is_for_targets_alone(folder: Path) -> None:
    done = bench_in(folder, "plan", "--scenario", "notes.py:Notes", "--strategy", "native")
    assert done.returncode == 2
    assert (
        "Notes has no tables: it is asked of an application of yours, with --target" in done.stderr
    )
    checked = bench_in(folder, "check", "notes.py:Notes")
    assert checked.returncode == 0
    assert "for --target alone" in checked.stdout


def test_one_that_is_killed_is_told_and_leaves_nothing_stopped(folder: Path, database: str) -> None:
    with running(folder, database) as (port, _):
        victim = subprocess.Popen(
            [sys.executable, "application.py", str(other := free_port())],
            cwd=folder,
            env=os.environ | {"DATABASE_URL": database, "PYTHONPATH": str(ROOT)},
        )
        assert eventually(lambda: is_listening(other), 120)

        def kill() -> None:
            logs = folder / "results"

            def begun() -> bool:
                return any("window" in each.read_text() for each in logs.glob("*/logs/events.log"))

            eventually(begun, 240)
            time.sleep(0.3)
            victim.kill()
            victim.wait()

        killer = threading.Thread(target=kill)
        killer.start()
        done = smoke(
            folder,
            *("--target", f"a=http://127.0.0.1:{port}", "--target", f"b=http://127.0.0.1:{other}"),
        )
        killer.join()
    assert done.returncode in {3, 4}, done.stdout + done.stderr
    ok = [each for each in steps(folder) if each["variant"] == "a" and each["valid"]]
    assert ok, "the other was measured"


@pytest.mark.long
def test_a_gate_on_two_revisions_of_their_repository(folder: Path) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@y"]
    (folder / ".gitignore").write_text("results\nreports\n__pycache__\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    file = folder / "application.py"
    file.write_text(file.read_text().replace('SLOW = "slow" in sys.argv', "SLOW = True"))
    done = bench_in(
        folder,
        *("gate", "--base", "HEAD", "--target", "mine", "--scenario", "notes.py:Notes"),
        *("--profile", "smoke", "--blocks", "4", "--time-budget", "25"),
    )
    assert "base HEAD is" in done.stdout, done.stderr
    assert f"head is {folder} as it stands" in done.stdout
    assert done.returncode in {1, 4}, done.stdout + done.stderr
    labels = {each["label"] for each in manifest(folder)["plan"]["variants"]}
    assert labels == {"mine", "mine@base", "mine@base#2"}
    listed = subprocess.run(
        ["git", "worktree", "list"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert len(listed.stdout.splitlines()) == 1
