"""Applications of others whose users sign in: cookies, tokens, redirects, empty answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncdb_bench.services.program import free_port, is_listening
from tests.command_line import ROOT, bench_in
from tests.waiting import eventually

pytestmark = pytest.mark.e2e
THEIRS = ROOT / "tests" / "plugins" / "their_app"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    found = free_port()
    process = subprocess.Popen([sys.executable, str(THEIRS / "members.py"), str(found)])
    try:
        assert eventually(lambda: is_listening(found), 120)
        yield found
    finally:
        process.terminate()
        process.wait(timeout=60)


def asked(folder: Path, port: int, scenario: str) -> subprocess.CompletedProcess[str]:
    return bench_in(
        folder,
        *("run", "--profile", "smoke", "--target", f"members=http://127.0.0.1:{port}"),
        *("--scenario", f"{THEIRS / 'signed_in.py'}:{scenario}"),
    )


def test_members_sign_in_and_are_measured(tmp_path: Path, port: int) -> None:
    done = asked(tmp_path, port, "SignedIn")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (tmp_path / "results/latest/steps.jsonl").read_text().splitlines()
    ledgers = [json.loads(line)["ledger"] for line in lines]
    assert sum(each["ok"] for each in ledgers) > 0
    assert not any(each["error"] for each in ledgers)


@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        ("Strangers", "GET /me redirects to /sign-in?next=%2Fme"),
        ("Behind", "the cookie behind_tls was not sent back: it is for HTTPS alone"),
        ("Forgetful", "POST /sign-in answers 403"),
        ("Stumbling", "a session raised KeyError: 'nothing' (signed_in.py, line "),
        ("Unsaid", "parameter note is or holds None, which a path cannot say"),
    ],
)
def test_a_session_that_fails_is_told_with_its_step(
    tmp_path: Path, port: int, scenario: str, says: str
) -> None:
    done = asked(tmp_path, port, scenario)
    assert done.returncode in {2, 3}, done.stdout + done.stderr
    assert says in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("scenario", "right"), [("SignedIn", True), ("Strangers", False)])
def test_locust_alone_judges_as_the_harness_does(port: int, scenario: str, right: bool) -> None:
    locust = [
        *(sys.executable, "-m", "locust", "-f", str(ROOT / "asyncdb_bench/load/locustfile.py")),
        *("--headless", "--users", "3", "--spawn-rate", "3", "--run-time", "4s", "--json"),
        *("--skip-log", "--host", f"http://127.0.0.1:{port}"),
        *("--scenario", f"{THEIRS / 'signed_in.py'}:{scenario}"),
    ]
    done = subprocess.run(
        locust,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    entries = json.loads(done.stdout)
    failures = sum(each["num_failures"] for each in entries)
    asked_for = sum(each["num_requests"] for each in entries)
    assert asked_for > 0
    assert failures == (0 if right else asked_for)
