"""`run` that is interrupted or killed: what was measured is kept, and nothing else is left."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.command_line import Bench
from tests.waiting import eventually

pytestmark = pytest.mark.e2e
PATIENCE_S = 180
"""For what takes a few seconds on a machine that does nothing else."""


class Watched:
    """A run in the background whose whole family is known, and its temporary files."""

    def __init__(self, bench: Bench, scratch: Path, *arguments: str, **variables: str) -> None:
        self.bench = bench
        self.scratch = scratch
        environment = {"TMPDIR": str(scratch)} | variables
        self.popen = bench.start("run", *arguments, environment=environment)
        self.lines: list[str] = []

    def read_until(self, text: str) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError("".join(self.lines))

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.popen.pid).children(recursive=True)

    def rest(self) -> str:
        assert self.popen.stdout is not None
        self.lines.append(self.popen.stdout.read())
        self.popen.stdout.close()
        return "".join(self.lines)

    def turning(self) -> list[psutil.Process]:
        """Wait until variants take turns, some of them stopped; return all processes of the run."""
        path = self.bench.latest / "steps.jsonl"

        def begun() -> bool:
            stopped = [each for each in self.family() if status_of(each) == psutil.STATUS_STOPPED]
            return bool(stopped) and path.is_file() and path.read_bytes().count(b"\n") >= 4

        assert eventually(begun, PATIENCE_S)
        family = self.family()
        assert len(family) >= 8
        return family

    def interrupt(self) -> str:
        """Press Ctrl-C; return all that was said."""
        self.popen.send_signal(signal.SIGINT)
        text = self.rest()
        assert self.popen.wait(timeout=PATIENCE_S) == 130, text
        assert "Traceback" not in text
        return text

    def has_left(self) -> list[str]:
        """Return what the run left among temporary files."""
        return sorted(each.name for each in self.scratch.iterdir())


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder for temporary files that the account may enter that PostgreSQL runs as."""
    with tempfile.TemporaryDirectory(prefix="run-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def status_of(process: psutil.Process) -> str:
    """Return a process's status; a zombie's, too, where it has ended in between."""
    try:
        return str(process.status()) if process.is_running() else psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


def gone(processes: list[psutil.Process]) -> bool:
    return all(status_of(each) == psutil.STATUS_ZOMBIE for each in processes)


@contextlib.contextmanager
def ended(run: Watched) -> Iterator[None]:
    """End a run whatever happens."""
    try:
        yield
    finally:
        run.popen.kill()
        run.popen.wait()


def test_ctrl_c_keeps_what_was_measured_and_leaves_nothing(bench: Bench, scratch: Path) -> None:
    asked = ("--profile", "quick", "--strategy", "celery,native", "--scenario", "read")
    run = Watched(bench, scratch, *asked)
    with ended(run):
        run.read_until("launch 1")
        family = run.turning()
        run.interrupt()
    assert gone(family)
    assert run.has_left() == []
    assert "incomplete" in (bench.reports / "latest" / "index.html").read_text()
    assert (bench.latest / "requests.parquet").is_file()
    assert len(bench.lines("steps")) >= 4


def test_ctrl_c_before_the_first_answer_claims_nothing(bench: Bench, scratch: Path) -> None:
    run = Watched(bench, scratch, "--profile", "smoke", "--strategy", "native,executor")
    with ended(run):
        run.read_until("launch 1")
        family = run.family()
        text = run.interrupt()
    assert gone(family)
    assert run.has_left() == []
    assert "use native" not in text
    assert "use executor" not in text
    assert "no answer" in text
    assert "incomplete" in (bench.reports / "latest" / "index.html").read_text()


def test_ctrl_c_while_services_start_is_said(bench: Bench, scratch: Path) -> None:
    run = Watched(bench, scratch, "--profile", "smoke", "--strategy", "native")
    with ended(run):
        run.read_until("starting PostgreSQL")
        text = run.interrupt()
    assert "interrupted" in text
    assert run.has_left() == []


INITDB = """#!/bin/sh
mkdir -p "$2"
(while :; do date > "$2/$(date +%N)"; done) >/dev/null 2>&1 &
echo $! > "$2/../started"
wait
"""


def test_ctrl_c_in_initdb_ends_what_it_has_started(bench: Bench, scratch: Path) -> None:
    programs = scratch.with_name(scratch.name + "-programs")
    programs.mkdir(mode=0o755)
    try:
        for name, text in (("initdb", INITDB), ("postgres", "#!/bin/sh\n")):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        asked = ("--profile", "smoke", "--strategy", "native")
        run = Watched(bench, scratch, *asked, ASYNCDB_BENCH_PG_BIN=str(programs))
        with ended(run):
            assert eventually(lambda: list(scratch.glob("*/started")), PATIENCE_S)
            (started,) = scratch.glob("*/started")
            assert eventually(lambda: started.read_text().endswith("\n"), PATIENCE_S)
            writer = int(started.read_text())
            run.interrupt()
        assert not psutil.pid_exists(writer) or gone([psutil.Process(writer)])
        assert run.has_left() == []
    finally:
        shutil.rmtree(programs)


def test_a_killed_harness_leaves_no_process(bench: Bench, scratch: Path) -> None:
    asked = ("--profile", "quick", "--strategy", "celery,native", "--scenario", "slow")
    run = Watched(bench, scratch, *asked)
    with ended(run):
        run.read_until("launch 1")
        family = run.turning()
    run.rest()
    assert eventually(lambda: gone(family), PATIENCE_S), [
        each.cmdline() for each in family if not gone([each])
    ]
    assert eventually(lambda: run.has_left() == [], PATIENCE_S)
    # what had been measured can still be read
    done = bench("report", "latest")
    assert done.returncode in {0, 4}, done.stderr
    assert "slow" in done.stdout
    assert "incomplete" in (bench.reports / "latest" / "index.html").read_text()
