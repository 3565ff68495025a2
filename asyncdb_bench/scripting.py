"""Runs from Python: a plan, and what came of it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asyncdb_bench.frames import LoadedRun
from asyncdb_bench.plan import planner
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.records.plan import Plan
from asyncdb_bench.whole_run import Places, measure_plan


def make_plan(
    strategy: str | None = None,
    scenario: str | None = None,
    profile: str = "",
    seed: int | None = None,
    **settings: Any,
) -> Plan:
    """Return a plan, as ``bench.py run`` makes it.

    Parameters
    ----------
    strategy, scenario, profile : as on the command line: ``"executor:threads=32,native"``.
    seed : of a run whose arrivals are to be repeated.
    settings : of :class:`asyncdb_bench.records.plan.Settings`: ``blocks=2``, ``rtt_ms=1.0``.

    Raises
    ------
    UsageError : all that is wrong with the request, one line each.
    """
    choices = Choices(
        profile=profile, strategies=strategy, scenarios=scenario, seed=seed, overrides=settings
    )
    return planner.make_plan(choices, read_profiles())


def run(
    planned: Plan,
    results: str | Path = "results",
    reports: str | Path = "reports",
    say: Callable[[str], None] = lambda _: None,
) -> LoadedRun:
    """Measure, write the report, and return the run.

    Parameters
    ----------
    planned : see :func:`make_plan`.
    results, reports : folders to write to.
    say : is given a line for each service that starts, each launch and each trial that failed.

    Raises
    ------
    ServiceError : a service or the application could not start, and nothing was measured.
    StoreError : nothing can be written.
    KeyboardInterrupt : it was interrupted before anything was measured.
    """
    places = Places(Path(results).resolve(), Path(reports).resolve())
    display = contextlib.nullcontext(Lines(say))
    return LoadedRun(measure_plan(planned, places, display, sys.argv[:1]).folder)


class Lines:
    """Shows a run in lines.

    Parameters
    ----------
    say : is given each.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def service(self, name: str) -> None:
        """Say which service starts."""
        self.say(f"starting {name}")

    def recall(self, launches: Any) -> None:
        """Take note of nothing: no answer is said before the end."""

    def launch(self, order: Any) -> None:
        """Say that variants are launched."""
        self.say(f"launch {order.number + 1}")

    def step(self, step: Any) -> None:
        """Say nothing: there are many."""

    def end(self, end: Any) -> None:
        """Say how a trial failed."""
        if end.failure:
            self.say(f"{end.scenario}: {end.variant}: {end.failure}")
