"""Stopped processes stand, with their children, and go on; what cannot be stopped is told."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from asyncdb_bench.processes import kernel
from asyncdb_bench.processes.cleanup import Cleanup, with_children
from asyncdb_bench.processes.pausing import Stoppable
from tests.waiting import eventually

BUSY = "import os\nif os.fork() == 0: os.setsid()\nprint('up', flush=True)\nwhile True: pass"


@pytest.fixture
def busy() -> Iterator[int]:
    """A process that is busy, and its child, which has left the group and is busy, too."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    for _ in range(2):
        process.stdout.readline()
    family = with_children([process.pid])
    try:
        yield process.pid
    finally:
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_who_is_stopped_uses_nothing_and_goes_on_afterwards(busy: int) -> None:
    stoppable = Stoppable([busy])
    assert len(stoppable.pids) == 2
    stoppable.stop()
    assert stoppable.refusal == ""
    assert {psutil.Process(pid).status() for pid in stoppable.pids} == {psutil.STATUS_STOPPED}
    before = kernel.run_s(stoppable.pids)
    time.sleep(0.2)
    assert kernel.run_s(stoppable.pids) == before
    stoppable.resume()
    assert eventually(lambda: kernel.run_s(stoppable.pids) > before + 0.05, 60)


def test_a_child_that_came_later_is_stopped_too() -> None:
    code = "import os, time\ntime.sleep(0.3)\nos.fork()\nprint('up', flush=True)\nwhile True: pass"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        stoppable = Stoppable([process.pid])
        assert process.stdout is not None
        for _ in range(2):
            process.stdout.readline()
        stoppable.stop()
        assert len(stoppable.pids) == 2
        assert {psutil.Process(pid).status() for pid in stoppable.pids} == {psutil.STATUS_STOPPED}
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_process_that_refuses_the_signal_is_told(
    busy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    stoppable = Stoppable([busy])
    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", refuse)
        stoppable.stop()
    assert "cannot be stopped: Operation not permitted" in stoppable.refusal


def test_a_process_that_runs_on_is_told(busy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a debugger, which gets the signal in its stead."""
    stoppable = Stoppable([busy])
    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", lambda pid, number: None)
        stoppable.stop()
    assert "was sent SIGSTOP and runs on (state R)" in stoppable.refusal


def test_one_that_has_ended_is_no_trouble() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    stoppable = Stoppable([process.pid])
    stoppable.stop()
    stoppable.resume()
    assert stoppable.refusal == ""


HARNESS = """
import sys, time
from asyncdb_bench.processes import kernel
from asyncdb_bench.processes.pausing import Stoppable
from asyncdb_bench.processes.cleanup import Cleanup
pid = int(sys.argv[1])
with Cleanup() as cleanup:
    cleanup.watch([pid])
    Stoppable([pid]).stop()
    print(cleanup.pid, flush=True)
    time.sleep(600)
"""


def test_nothing_stays_stopped_when_the_harness_is_killed(busy: int) -> None:
    family = with_children([busy])
    harness = subprocess.Popen([sys.executable, "-c", HARNESS, str(busy)], stdout=subprocess.PIPE)
    assert harness.stdout is not None
    cleanup = int(harness.stdout.readline())
    harness.kill()
    harness.wait()
    harness.stdout.close()
    assert eventually(lambda: not any(_alive(pid) for pid in [*family, cleanup]), 60)


def test_a_cleanup_that_is_left_in_order_ends_no_one(busy: int) -> None:
    with Cleanup() as cleanup:
        cleanup.watch([busy])
    assert not _alive(cleanup.pid)
    assert _alive(busy)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
