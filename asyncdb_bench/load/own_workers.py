"""The load workers that a master starts itself."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any


class OwnWorkers:
    """The workers that the master starts itself, as its children.

    Parameters
    ----------
    config : the first line of each one's standard input.
    count : how many.
    cores : one for each; empty: where this process runs.
    """

    def __init__(self, config: bytes, count: int, cores: tuple[int, ...]) -> None:
        self.config = config
        self.cores = cores
        self.processes: list[Any] = [self._started(number) for number in range(count)]

    def again(self) -> None:
        """Start those again that have ended."""
        for number, process in enumerate(self.processes):
            if process.poll() is not None:
                self.processes[number] = self._started(number)

    def ended(self) -> dict[int, int]:
        """Return the exit codes of those that have ended, by process id."""
        codes = {each.pid: each.poll() for each in self.processes}
        return {pid: code for pid, code in codes.items() if code is not None}

    def end(self) -> None:
        """End all: they do when their standard input ends."""
        for process in self.processes:
            if process.stdin is not None:
                process.stdin.close()

    def _started(self, number: int) -> Any:
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncdb_bench.load.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        if self.cores:
            os.sched_setaffinity(process.pid, {self.cores[number % len(self.cores)]})
        assert process.stdin is not None
        process.stdin.write(self.config)
        process.stdin.flush()
        return process
