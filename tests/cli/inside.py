"""The command line within the tests' own process: for what reads stored runs alone."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.cli.entry import main
from asyncdb_bench.records.step import Step
from tests.command_line import Bench
from tests.factories import manifest
from tests.report.made import stored


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


class Inside:
    """Runs commands with results and reports in a folder of their own."""

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self.results, self.reports = folder / "results", folder / "reports"
        self._bench, self._patch, self._captured = Bench(folder), patch, captured

    def __call__(self, *arguments: str) -> Ended:
        """Run to the end."""
        command = self._bench.command(*arguments)[1:]
        if arguments[0] == "advise":
            command += ["--results", str(self.results)]
        self._patch.setattr("sys.argv", command)
        self._captured.readouterr()
        before = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            signal.signal(signal.SIGTERM, before)
        said = self._captured.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, said.out, said.err)

    def store(self, run_id: str, steps: list[Step], **changes: Any) -> Path:
        """Store a run made by hand."""
        variants = tuple(dict.fromkeys(each.variant for each in steps))
        return stored(self.folder, manifest(variants, run_id=run_id, **changes), steps).path
