"""Parts that die, are stopped or take another's place are seen, and named."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from asyncdb_bench.measure.monitor import life_words
from asyncdb_bench.processes.life import LifeWatch, ending, status
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.services.program import Part, Program, last_lines, telling_lines
from tests.waiting import eventually

SLEEPER = "import time; time.sleep(600)"
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()
time.sleep(600)
"""


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Part]]:
    process = subprocess.Popen([sys.executable, "-c", SLEEPER])
    log = tmp_path / "log"
    log.write_text("starting\nValueError: boom\n")
    yield process, Part("native (app)", process.pid, process.poll, log)
    process.kill()
    process.wait()


def watched(part: Part) -> LifeWatch:
    return LifeWatch([part])


def test_what_lives_is_no_doubt(sleeper: tuple[subprocess.Popen[bytes], Part]) -> None:
    with watched(sleeper[1]) as watch:
        watch.begin()
        time.sleep(0.2)
        assert watch.end() == ()


@pytest.mark.parametrize("before", [True, False])
def test_a_death_is_named_with_signal_time_and_log(
    before: bool, sleeper: tuple[subprocess.Popen[bytes], Part]
) -> None:
    process, part = sleeper
    with watched(part) as watch:
        if before:
            process.kill()
            process.wait()
        watch.begin()
        if not before:
            process.kill()
        time.sleep(0.3)
        (doubt,) = watch.end()
    assert doubt.kind is DoubtKind.DIED
    assert f"native (app) (pid {process.pid}) was killed by SIGKILL at " in doubt.subject
    assert doubt.subject.endswith("UTC; its log says: ValueError: boom")
    assert doubt.breaking
    assert not watch.shared


def test_a_stop_that_is_over_when_the_window_ends_is_seen(
    sleeper: tuple[subprocess.Popen[bytes], Part],
) -> None:
    process, part = sleeper
    with watched(part) as watch:
        watch.begin()
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.2)
        (doubt,) = watch.end()
        assert doubt.kind is DoubtKind.HALTED
        assert "was stopped from outside" in doubt.subject
        watch.begin()
        assert watch.end() == ()


def test_a_child_that_dies_is_seen_though_its_parent_lives() -> None:
    process = subprocess.Popen([sys.executable, "-c", PARENT, SLEEPER])
    try:
        assert eventually(lambda: len(psutil.Process(process.pid).children()) == 1, 60)
        (child,) = psutil.Process(process.pid).children()
        with watched(Part("celery (worker0)", process.pid, lambda: None)) as watch:
            watch.begin()
            child.kill()
            time.sleep(0.3)
            found = watch.end()
    finally:
        process.kill()
        process.wait()
    assert "a child of celery (worker0)" in found[0].subject


def test_a_service_is_named_by_itself_and_a_guard_by_what_it_guards(tmp_path: Path) -> None:
    for strikes_guard in (False, True):
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        program = Program(
            "Broker", ["sleep", "600"], log=tmp_path / "log", grace_s=1, remove=[data]
        )
        guard = psutil.Process(program.popen.pid)

        def sleeping(guard: psutil.Process = guard) -> list[psutil.Process]:
            return [each for each in guard.children() if each.name() == "sleep"]

        assert eventually(lambda: len(sleeping()) == 1, 60)
        (slept,) = sleeping()
        with watched(program.part()) as watch:
            watch.begin()
            (guard if strikes_guard else slept).kill()
            time.sleep(1.0)
            (doubt,) = watch.end()
        assert watch.shared
        text = "killed by SIGKILL, and Broker with it" if strikes_guard else "Broker was killed by"
        assert text in doubt.subject
        assert eventually(lambda slept=slept: not slept.is_running(), 60)  # type: ignore[misc]
        assert eventually(lambda: not (tmp_path / "data").exists(), 60)
        program.stop()


@pytest.mark.parametrize("node_is_struck", [True, False])
def test_what_a_node_of_erlang_starts_is_not_the_broker(
    tmp_path: Path, node_is_struck: bool
) -> None:
    runtime = tmp_path / "beam.smp"
    shutil.copy("/bin/sh", runtime)
    # the node, and a copy of it as there is one before another program is loaded
    command = ["sh", "-c", f"{runtime} -c '{runtime} -c \"sleep 600; true\"; sleep 600'; true"]
    program = Program("Broker", command, log=tmp_path / "log", grace_s=1)
    found: list[psutil.Process] = []

    def nodes() -> bool:
        found[:] = [
            each
            for each in psutil.Process(program.popen.pid).children(recursive=True)
            if each.name() == "beam.smp" and each.cmdline()[:1] == [str(runtime)]
        ]
        return len(found) == 2

    try:
        assert eventually(nodes, 60)
        node, copy = sorted(found, key=lambda each: each.parent() in found)
        with watched(program.part()) as watch:
            watch.begin()
            (node if node_is_struck else copy).kill()
            time.sleep(0.5)
            doubts = watch.end()
        assert bool(doubts) is node_is_struck
    finally:
        program.stop()


def test_a_guard_that_is_stopped_does_not_keep_its_program(tmp_path: Path) -> None:
    program = Program("Broker", ["sleep", "600"], log=tmp_path / "log", grace_s=1)
    guard = psutil.Process(program.popen.pid)
    assert eventually(lambda: len(guard.children()) == 2, 60)
    family = guard.children()
    os.kill(guard.pid, signal.SIGSTOP)
    program.stop()
    assert eventually(lambda: not any(each.is_running() for each in family), 60)


def test_ends_are_told_from_exit_codes() -> None:
    assert ending(-9) == ending(137) == "was killed by SIGKILL"
    assert ending(3) == "ended with exit code 3"
    assert ending(None) == "ended"
    assert status(2**22 + 1) == ("X", 0)


def test_of_a_log_the_telling_lines_are_quoted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\nserver process (PID 7) was terminated by signal 9: Killed\n" + "x\n" * 50)
    assert telling_lines(log) == "server process (PID 7) was terminated by signal 9: Killed"
    assert last_lines(log) == "x | x"
    log.write_text("\x1b[38;5;87minfo\x1b[0m\n")
    assert last_lines(log) == "info"
    assert last_lines(tmp_path / "none") == ""


def test_a_database_that_was_restarted_or_ended_sessions_is_told() -> None:
    assert life_words((1, 0), (1, 0)) == life_words(None, (1, 0)) == ""
    assert "restarted" in life_words((1, 5), (2, 0))
    assert "ended 2 sessions" in life_words((1, 5), (1, 7))
