"""The command line as a user types it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LONGEST_S = 500.0
"""After which a command hangs, on a slow machine too."""


def lock_in(folder: Path) -> dict[str, str]:
    """Return what keeps runs of one test from being told of those of another."""
    return {"ASYNCDB_BENCH_LOCK_DIR": str(folder)}


def bench_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `bench.py` where a user's own files lie."""
    return subprocess.run(
        [sys.executable, str(ROOT / "bench.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
        env=without_services() | {"PYTHONPATH": str(ROOT)} | lock_in(folder),
    )


WRITING = {"run", "report", "compare", "gate", "history", "calibrate", "versions"}


class Bench:
    """Runs `bench.py` from the checkout, with results and reports elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.results = folder / "results"
        self.reports = folder / "reports"
        self.environment = without_services() | lock_in(folder)

    @property
    def latest(self) -> Path:
        """The folder of the latest run."""
        return (self.results / "latest").resolve()

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Return what stands in a file of the latest run."""
        lines = (self.latest / f"{name}.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def command(self, *arguments: str) -> list[str]:
        """Return the whole command, with the folders for those verbs that write."""
        folders: Sequence[str] = ()
        if arguments[0] in WRITING:
            folders = ("--results", str(self.results), "--reports", str(self.reports))
        return [sys.executable, "bench.py", *arguments, *folders]

    def __call__(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        timeout_s: float = LONGEST_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            env=self.environment | (environment or {}),
        )

    def start(
        self,
        *arguments: str,
        directory: Path = ROOT,
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start and leave running."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment | (environment or {}),
            start_new_session=True,
        )

    @contextlib.contextmanager
    def serving(self, *arguments: str, directory: Path = ROOT) -> Iterator[tuple[int, str]]:
        """Serve until the end of the block; yield the port and what was said until then."""
        process = self.start("serve", *arguments, "--port", "0", directory=directory)
        said = ""
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said += line
                if "locust" in line:
                    break
            found = re.search(r"127\.0\.0\.1:(\d+)", said)
            assert found, said
            yield int(found[1]), said
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=120)


def without_services() -> dict[str, str]:
    """Return the environment of a user who named no services, on a machine without RabbitMQ."""
    hidden = {"/usr/sbin", "/sbin", "/usr/local/sbin"}
    path = [each for each in os.environ["PATH"].split(os.pathsep) if each not in hidden]
    kept = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "BROKER_URL"}}
    return kept | {"PATH": os.pathsep.join(path)}
