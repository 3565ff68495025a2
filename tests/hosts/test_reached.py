"""Hosts by ways whose programs stand in: what docker and kubectl are asked, what is refused."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from asyncdb_bench.errors import BenchError
from asyncdb_bench.extensions.hosts.reached_hosts import ReachedHosts
from asyncdb_bench.processes.child import Child
from asyncdb_bench.records.messages import NullConfig, Ready
from asyncdb_bench.records.plan import Host, Hosts
from tests.waiting import eventually

pytestmark = pytest.mark.services

STAND_IN = """#!/bin/sh
# logs what it is asked, and runs here what it is to run there
echo "$@" >> "{log}"
case "$*" in
    *exec*) ;;
    *jsonpath*) echo 10.1.2.3; exit 0 ;;
    *) cat > /dev/null; exit 0 ;;
esac
{shift}
exec "$@"
"""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SHIFTS = {
    "kubectl": 'while [ "$1" != -- ]; do shift; done; shift',
    "docker": 'while [ "$1" != box ]; do shift; done; shift',
}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put programs that stand in first on PATH; return the log of what they were asked."""
    log = tmp_path / "asked"
    for name, shift in SHIFTS.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(STAND_IN.format(log=log, shift=shift))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return log


@pytest.mark.parametrize("via", ["docker", "kubernetes"])
def test_processes_run_there_and_nothing_is_left(via: str, asked: Path, tmp_path: Path) -> None:
    options = {"container": "box", "image": "bench:1", "namespace": "tests"}
    host = Host(
        *("there", ("application",), "there", via),
        python=sys.executable,
        cores={"application": (0,)},
        options=options,
    )
    with ReachedHosts(Hosts((host,)), tmp_path) as hosts:
        (there,) = hosts.of("application")
        folder = Path(there.folder)
        server = Child(
            "asyncdb_bench.app.null_server", NullConfig(), tmp_path / "log", "null", place=there
        )
        assert server.receive(Ready, 20).port
        server.stop()
        there.pin("app", [os.getpid()], ())
        assert os.sched_getaffinity(0) == {0}
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        if via == "kubernetes":
            assert there.host.address == "10.1.2.3"
    assert eventually(lambda: not folder.exists(), 60)
    lines = asked.read_text()
    if via == "kubernetes":
        assert "apply --filename -" in lines
        assert "wait --for=condition=Ready pod" in lines
        assert "delete job asyncdb-bench-" in lines
    else:
        assert "exec --interactive box env PYTHONPATH=" in lines


def test_what_cannot_be_had_there_is_named(tmp_path: Path) -> None:
    cores = {"application": (4095,)}
    host = Host(
        "there",
        ("application", "database"),
        "there",
        "command",
        sys.executable,
        cores,
        command=("env",),
    )
    with ReachedHosts(Hosts((host,)), tmp_path) as hosts:
        notes = " ".join(hosts.notes())
    assert "host there: not watched: cores [4095] cannot be had" in notes


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('{"folder": "/nowhere", "python": "3.9", "missing": []}', "has Python 3.9 as .*, this"),
        (
            json.dumps({"folder": "/nowhere", "python": PYTHON, "missing": ["tornado"]}),
            "lacks tornado; install requirements.lock there",
        ),
        ("hello", "cannot be reached: exit code 0"),
    ],
)
def test_an_interpreter_that_does_not_fit_is_refused(
    answer: str, said: str, tmp_path: Path
) -> None:
    other = tmp_path / "python"
    other.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{answer}'\n")
    other.chmod(0o755)
    host = Host("there", ("application",), "there", "command", str(other), command=("env",))
    with (
        pytest.raises(BenchError, match=said),
        ReachedHosts(Hosts((host,)), tmp_path),
    ):
        pass


def test_an_interpreter_that_is_not_there_is_said(tmp_path: Path) -> None:
    host = Host("there", ("workers",), "there", "command", "python-of-nobody", command=("env",))
    with (
        pytest.raises(BenchError, match="there is no python-of-nobody; name the interpreter"),
        ReachedHosts(Hosts((host,)), tmp_path),
    ):
        pass


def test_one_host_that_cannot_be_reached_leaves_nothing_on_the_others(tmp_path: Path) -> None:
    good = Host("good", ("workers",), "good", "command", sys.executable, command=("env",))
    bad = Host("bad", ("application",), "bad", "command", command=("program-of-nobody",))
    hosts = ReachedHosts(Hosts((good, bad)), tmp_path)
    with (
        pytest.raises(BenchError, match=r"host bad cannot be reached .*No such file"),
        hosts,
    ):
        pass
    reached = next(each for each in hosts.all if each.name == "good")
    assert reached.folder
    assert eventually(lambda: not Path(reached.folder).exists(), 60)
