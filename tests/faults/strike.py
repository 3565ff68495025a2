"""One case, tried on a run as a user starts it: wait for the moment, strike, look at the rest."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from asyncdb_bench.records.doubts import BREAKING
from tests.command_line import ROOT, without_services
from tests.faults.cases import QUEUES, Case

BENCH = (sys.executable, str(ROOT / "bench.py"))
PARTNER = "executor"
SCENARIO = "slow:ms=30"
STOPPED_S = 3.0
FIRST = "t000"
"""The launch of the variant that is struck, which is the first of the plan."""
PROFILE = """
[profiles.struck]
strategies = ["native"]
scenarios = ["slow"]
blocks = 1
rounds = 2
warmup_s = 0.6
turn_s = 0.8
time_budget_s = 0
"""
"""Warm-up and windows that are long enough to be struck within."""
PRECISE_S = 0.2
"""A window begins so much after it is noted and its lead, at most."""
INTO_WINDOW_S = 0.3
LATE_S = 0.12
"""From the end of a window, as planned when it began, to where it really is in its drain."""
FOUND_S = 20.0
"""How long a part that is being started may take to be there."""
LONGEST_S = 400.0
CALM_S = 60.0
"""How long processes may take to end by themselves after the harness was killed."""
LEAST, MOST = 0.35, 2.0
"""Of the pace of an unharmed run: what is ranked outside was damaged, whatever else runs on the
machine meanwhile (two cases at a time move the paces of Celery by a factor of two)."""
WORKERS = ("app.celery_worker", "app.queue_worker")
OWN_PARTS = ("application", "worker", "worker's child")
"""Parts that damage the windows of their own variant alone."""


@dataclass
class Outcome:
    """What came of a case.

    Parameters
    ----------
    case, code : the case, and the run's exit code.
    struck : pids of what was struck; empty: the moment passed before the part was there.
    struck_s : from when to when, Unix time.
    wrong : what was ranked or counted wrongly.
    left : what was left behind.
    paces : pace of each variant in the summary, 1/s.
    lost : what trials said that were not used.
    out : variants that the summary does not rank.
    seconds : that it took.
    """

    case: Case
    code: int | None = None
    struck: list[int] = field(default_factory=list)
    struck_s: tuple[float, float] = (0.0, 0.0)
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    paces: dict[str, float] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    out: list[str] = field(default_factory=list)
    output: str = ""
    seconds: float = 0.0

    @property
    def survived(self) -> bool:
        """Whether the fault was tried, and nothing is wrong and nothing left."""
        return bool(self.struck) and not self.wrong and not self.left


class Struck:
    """A run that is struck once.

    Parameters
    ----------
    case : how.
    folder : for its results, and for all that it puts into temporary folders.
    environment : added to the run's.
    """

    def __init__(self, case: Case, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.case = case
        self.results = folder / "results"
        self.reports = folder / "reports"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        folder.joinpath("bench.toml").write_text(PROFILE)
        # the account that PostgreSQL runs as must get to its folder
        for each in (folder, self.temporary):
            each.chmod(0o755)
        self.folder = folder
        base = dict(os.environ) if case.strategy == "celery_aio" else without_services()
        for name in ("DATABASE_URL", "BROKER_URL"):
            base.pop(name, None)
        own = {
            "TMPDIR": str(self.temporary),
            "ASYNCDB_BENCH_LOCK_DIR": str(folder),
            "PYTHONPATH": str(ROOT),
        }
        self.environment = base | own | (environment or {})
        self.outcome = Outcome(case)
        self.seen: dict[int, float] = {}

    def run(self) -> Outcome:
        """Start, strike, wait for the end, look."""
        began = time.monotonic()
        command = [
            *(*BENCH, "run", "--profile", "struck", "--seed", "5"),
            *("--strategy", f"{self.case.strategy},{PARTNER}", "--scenario", SCENARIO),
            *(("--rtt", "1") if self.case.part == "delay" else ()),
            *("--results", str(self.results), "--reports", str(self.reports)),
        ]
        with tempfile.TemporaryFile() as output:
            self.harness = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=output,
                stderr=output,
                env=self.environment,
                start_new_session=True,
            )
            watching = threading.Thread(target=self._watch, daemon=True)
            watching.start()
            try:
                if self.case.part != "none" and self._wait_for_moment():
                    self._strike()
                self.harness.wait(timeout=LONGEST_S)
            except subprocess.TimeoutExpired:
                self.outcome.wrong.append(f"hangs: not over after {LONGEST_S:g} s")
                self.harness.kill()
                self.harness.wait()
            output.seek(0)
            self.outcome.output = output.read().decode(errors="replace")
        self.outcome.code = self.harness.returncode
        self._look()
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    def _watch(self) -> None:
        """Note every process that the run ever has."""
        while self.harness.poll() is None:
            self._note_family()
            time.sleep(0.1)

    def _note_family(self) -> None:
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(self.harness.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    self.seen.setdefault(each.pid, each.create_time())

    def _events(self) -> list[list[str]]:
        logs = list(self.results.glob("*/logs/events.log"))
        return [line.split() for line in logs[0].read_text().splitlines()] if logs else []

    def _wait_for_moment(self) -> bool:
        while self.harness.poll() is None:
            for event in self._events():
                if self._is_moment(event):
                    return self._wait_within(event)
            time.sleep(0.01)
        return False

    def _is_moment(self, event: list[str]) -> bool:
        """Return whether what happened holds the moment, or leads to it."""
        if self.case.moment in ("start", "report"):
            wanted = [["launch", FIRST]] if self.case.moment == "start" else [["report"]]
            return event[1:] in wanted
        return event[1:4] == ["window", FIRST, "pace"]

    def _wait_within(self, event: list[str]) -> bool:
        at = datetime.fromisoformat(event[0]).timestamp()
        if event[1] == "window":
            lead_s, window_s = map(float, event[4:6])
            into_s = {"warm-up": lead_s / 2, "window": lead_s + INTO_WINDOW_S}
            at += into_s.get(self.case.moment, lead_s + window_s + LATE_S)
        time.sleep(max(0.0, at - time.time()))
        return True

    def _strike(self) -> None:
        deadline = time.monotonic() + FOUND_S
        found: list[psutil.Process] = []
        while not found and time.monotonic() < deadline and self.harness.poll() is None:
            with contextlib.suppress(psutil.Error):
                found = list(self._victims())
        began = time.time()
        for victim in found:
            with contextlib.suppress(psutil.Error):
                victim.send_signal(getattr(signal, self.case.fault))
                self.outcome.struck.append(victim.pid)
        if self.case.fault == "SIGSTOP" and found:
            time.sleep(STOPPED_S)
            for victim in found:
                with contextlib.suppress(psutil.Error):
                    victim.send_signal(signal.SIGCONT)
        self.outcome.struck_s = (began, time.time())

    def _victims(self) -> Iterator[psutil.Process]:
        root = psutil.Process(self.harness.pid)
        if self.case.part == "harness":
            yield root
            return
        for each in root.children(recursive=True):
            with contextlib.suppress(psutil.Error, OSError):
                if self._is_victim(each):
                    yield each
                    return

    def _is_victim(self, process: psutil.Process) -> bool:
        words = process.cmdline()
        modules = {
            "application": "app",
            "worker": WORKERS[self.case.strategy in QUEUES],
            "load": "load",
        }
        parent = process.parent()
        assert parent is not None
        if self.case.part in modules:
            module = f"asyncdb_bench.{modules[self.case.part]}"
            return words[-1:] == [module] and self._is_of_trial(process)
        if self.case.part == "worker's child":
            is_child = parent.cmdline()[-1:] == ["asyncdb_bench.app.celery_worker"]
            return is_child and self._is_of_trial(parent)
        guarded = "guard.py" in " ".join(parent.cmdline())
        if self.case.part in ("broker", "delay"):
            programs = ("beam.smp", "valkey-server")
            own = "delay_proxy.py" in " ".join(words) and "guard.py" not in " ".join(words)
            return own if self.case.part == "delay" else process.name() in programs
        if self.case.part == "guard":
            return "guard.py" in " ".join(words) and "/postgres" in " ".join(words) and not guarded
        if self.case.part == "postmaster":
            return guarded and process.name() == "postgres" and "-D" in words
        title = " ".join(words)
        return title.startswith("postgres: bench") and f"_{FIRST} " in title

    def _is_of_trial(self, process: psutil.Process) -> bool:
        log = Path(f"/proc/{process.pid}/fd/2").readlink().name
        # the load is one for all variants
        return self.case.part == "load" or log.startswith(f"{FIRST}-")

    def _look(self) -> None:
        self._look_at_what_is_left()
        runs = [each for each in self.results.glob("2*") if each.is_dir()]
        if runs:
            self._look_at_results(runs[0])

    def _look_at_what_is_left(self) -> None:
        deadline = time.monotonic() + CALM_S
        alive = self._alive()
        while alive and time.monotonic() < deadline:
            time.sleep(0.2)
            alive = self._alive()
        left = self.outcome.left
        left += [f"process {each.pid}: {' '.join(each.cmdline())[:80]}" for each in alive]
        while (rest := list(self.temporary.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.2)
        left += [f"folder {each.name}" for each in rest]
        left += [f"shared memory {each}" for each in segments_of(set(self.seen))]
        for each in alive:
            with contextlib.suppress(psutil.Error):
                each.kill()

    def _alive(self) -> list[psutil.Process]:
        found = []
        for pid, created in self.seen.items():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _look_at_results(self, run: Path) -> None:
        wrong, killed = self.outcome.wrong, self.case.part == "harness" and self.outcome.code == -9
        lines = _lines(run / "steps.jsonl")
        if killed and lines:
            # what was measured before is kept, and can be reported
            made = subprocess.run(
                [
                    *(*BENCH, "report", str(run)),
                    *("--reports", str(self.reports), "--results", str(self.results)),
                ],
                cwd=self.folder,
                capture_output=True,
                text=True,
                env=self.environment,
                check=False,
            )
            if made.returncode not in (0, 4):
                wrong.append(
                    f"report of what was kept: exit {made.returncode} {made.stderr[-200:]}"
                )
        allowed = (-9,) if killed else (0, 3, 4)
        if self.outcome.code not in allowed:
            wrong.append(f"exit code {self.outcome.code}: {self.outcome.output[-400:]}")
        if "Traceback" in self.outcome.output:
            wrong.append(f"traceback: {self.outcome.output[-600:]}")
        for step in lines:
            ledger = step["ledger"]
            parts = sum(value for name, value in ledger.items() if name != "scheduled")
            if parts != ledger["scheduled"]:
                wrong.append(f"the ledger does not add up: {ledger}")
        ends = _lines(run / "trials.jsonl")
        wrong += self._damaged_and_used(lines, ends)
        self.outcome.lost = [each["failure"] for each in ends if each["failure"]]
        summary = run / "summary.json"
        rows = json.loads(summary.read_text()) if summary.is_file() else []
        self.outcome.paces = {
            row["variant"]: row["pace_rps"] for row in rows if row.get("pace_rps") is not None
        }
        self.outcome.out = [v for v in (self.case.strategy, PARTNER) if v not in self.outcome.paces]

    def _damaged_and_used(
        self, steps: list[dict[str, Any]], ends: list[dict[str, Any]]
    ) -> Iterator[str]:
        """Yield the windows that the fault fell into and that count nevertheless."""
        lost = {each["trial"] for each in ends if any(map(_breaks, each["reasons"]))}
        began, ended = self.outcome.struck_s
        # what the guard does, and the harness alone, reaches no window
        if not self.outcome.struck or (self.case.part == "guard" and self.case.fault == "SIGSTOP"):
            return
        for step in steps:
            own = step["variant"] == self.case.strategy
            if self.case.part in OWN_PARTS and not own:
                continue
            start = datetime.fromisoformat(step["started_at"]).timestamp() + self._lead_s(step)
            inside = start + PRECISE_S < ended and began < start + step["window_s"]
            void = step["trial"] in lost or any(map(_breaks, step["reasons"]))
            if inside and not void:
                yield f"{step['variant']}: the window at {step['started_at']}, struck, counts"

    def _lead_s(self, step: dict[str, Any]) -> float:
        """Return the load before a step's window: of the last that was noted before it began."""
        noted = [
            float(event[4])
            for event in self._events()
            if event[1:3] == ["window", step["trial"]]
            and event[3] == step["turn"]["kind"]
            and datetime.fromisoformat(event[0]) <= datetime.fromisoformat(step["started_at"])
        ]
        return noted[-1] if noted else 0.0


def _breaks(doubt: dict[str, Any]) -> bool:
    return doubt["kind"] in BREAKING


def judged(outcome: Outcome, healthy: dict[str, float]) -> None:
    """Add what is wrong beside a run that nothing was done to.

    Parameters
    ----------
    outcome : to be judged.
    healthy : paces of the same variants without a fault, 1/s.
    """
    case = outcome.case
    for variant, pace in outcome.paces.items():
        if not LEAST <= pace / healthy[variant] <= MOST:
            outcome.wrong.append(
                f"{variant} is ranked with {pace:.0f}/s, unharmed it is {healthy[variant]:.0f}/s"
            )
    noticed = case.moment in ("window", "drain") and (case.part, case.fault) != (
        "harness",
        "SIGKILL",
    )
    if noticed and outcome.struck and not outcome.lost:
        outcome.wrong.append("no trial says that anything was lost")


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def segments_of(pids: set[int]) -> list[str]:
    """Return the segments of shared memory that some processes made and that are still there."""
    listed = subprocess.run(["ipcs", "-mp"], capture_output=True, text=True, check=False).stdout
    rows = re.findall(r"^(\d+)\s+\S+\s+(\d+)\s+\d+", listed, re.MULTILINE)
    return [segment for segment, creator in rows if int(creator) in pids]
