"""The cases: which part is struck, how, when, in a run of which strategy. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

STRATEGIES = ("native", "celery", "celery_aio")
QUEUES = ("taskiq", "saq", "arq", "dramatiq", "procrastinate")
"""Struck in what they have instead of Celery's, and in the harness, which ends all of it."""
QUEUE_PARTS = ("worker", "broker", "harness")
FAULTS = ("SIGKILL", "SIGSTOP")
MOMENTS = ("start", "warm-up", "window", "drain", "report")
PARTS = ("application", "load", "postmaster", "backend", "guard", "delay", "harness")
CELERY_PARTS = ("worker", "worker's child", "broker")


@dataclass(frozen=True, slots=True)
class Case:
    """One fault.

    Parameters
    ----------
    strategy : of the variant that is struck; ``executor`` takes turns with it.
    part, fault, moment : what is struck, by which signal (SIGSTOP is followed by SIGCONT after
        3 s), and when.
    """

    strategy: str
    part: str
    fault: str
    moment: str

    def __str__(self) -> str:
        return f"{self.strategy}: {self.part}, {self.fault}, {self.moment}"


def possible(case: Case) -> bool:
    """Return whether there is such a part at that moment."""
    if case.strategy in QUEUES:
        if case.part == "broker" and case.strategy == "procrastinate":
            return False
    elif case.part in CELERY_PARTS and not case.strategy.startswith("celery"):
        return False
    if case.moment == "report":
        # all else has ended before the report is written
        return case.part == "harness"
    if case.moment == "start":
        # children and backends come only when their parents are ready
        return case.part not in ("worker's child", "backend")
    return True


def all_cases() -> list[Case]:
    """Return every case that there is."""
    made = itertools.product(STRATEGIES, (*PARTS, *CELERY_PARTS), FAULTS, MOMENTS)
    queues = itertools.product(QUEUES, QUEUE_PARTS, FAULTS, MOMENTS)
    return [case for case in itertools.starmap(Case, (*made, *queues)) if possible(case)]


SHORT = (
    Case("native", "guard", "SIGKILL", "window"),
    Case("native", "delay", "SIGKILL", "window"),
    Case("celery", "worker's child", "SIGKILL", "window"),
    Case("celery", "harness", "SIGKILL", "window"),
    Case("taskiq", "worker", "SIGKILL", "window"),
    Case("arq", "harness", "SIGKILL", "window"),
)
"""Those that CI tries."""
