"""The agent on a host: which processes it finds there."""

from __future__ import annotations

import os

import psutil
import pytest

from asyncdb_bench.extensions.hosts import agent


class Ending(psutil.Process):
    """A process that ends right after it was asked for its name."""

    def name(self) -> str:
        return "postgres"

    def ppid(self) -> int:
        raise psutil.NoSuchProcess(self.pid)


class Living(Ending):
    def ppid(self) -> int:
        return 1


def test_a_process_that_ends_meanwhile_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [Ending(os.getppid()), Living(os.getpid())]
    monkeypatch.setattr(psutil, "process_iter", lambda: iter(there))
    assert agent._pids(("postgres",)) == [os.getpid()]
