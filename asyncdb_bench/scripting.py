"""Runs from Python: planned, measured, read as data frames and compared."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from asyncdb_bench.plan import planner
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.records.plan import Plan
from asyncdb_bench.records.run_folder import RunFolder, open_run

if TYPE_CHECKING:
    from asyncdb_bench.analysis.inference import Ratio
    from asyncdb_bench.analysis.verdict import Verdict
    from asyncdb_bench.records.run import Manifest
    from asyncdb_bench.report.findings import Analysed


@dataclass(frozen=True)
class LoadedRun:
    """A run's records and what follows from them, each read when it is first asked for.

    Parameters
    ----------
    folder : of the run.
    """

    folder: RunFolder

    @functools.cached_property
    def manifest(self) -> Manifest:
        """Plan, machine, versions, services."""
        return self._analysed.manifest

    @functools.cached_property
    def steps(self) -> pd.DataFrame:
        """A row for each step or turn that counts: loads in requests per second, times in ms."""
        return self._analysed.steps

    @functools.cached_property
    def requests(self) -> pd.DataFrame:
        """A row for each request of the run, with its scenario and variant.

        Times are microseconds on CLOCK_MONOTONIC, missing where a request was not sent or not
        answered; `latency_us` is missing where it does not count. A million rows take some 200 MB.
        """
        return self._table("requests")

    @functools.cached_property
    def series(self) -> pd.DataFrame:
        """What was sampled over time, with its scenario and variant: trial, step, time, value."""
        return self._table("series")

    @functools.cached_property
    def summary(self) -> pd.DataFrame:
        """The report's table, a row for each scenario, variant and offered load.

        Columns as in ``docs/summary.schema.json``.
        """
        from asyncdb_bench.report.exports import summary_rows

        return pd.DataFrame(summary_rows(self._analysed.manifest, self._analysed.comparisons))

    @functools.cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What the report says of each scenario."""
        from asyncdb_bench.report.write import decided

        return tuple(decided(self.manifest, self._analysed.comparisons))

    @functools.cached_property
    def _analysed(self) -> Analysed:
        from asyncdb_bench.report.write import analysed

        return analysed(self.folder)

    def _table(self, name: str) -> pd.DataFrame:
        import pyarrow as pa

        pieces = list(self.folder.tables(name, None))
        if not pieces:
            return pd.DataFrame()
        table = pa.concat_tables(pieces)
        # processes that serve several scenarios are one trial of each: a step tells them apart
        whose = pd.DataFrame(
            [(e.trial, e.step, e.scenario, e.variant) for e in self.folder.steps()],
            columns=["trial", "step", "scenario", "variant"],
        )
        frame = table.to_pandas().merge(whose, on=["trial", "step"], how="left")
        found: pd.DataFrame = frame[
            ["scenario", "variant", *(n for n in frame if n not in ("scenario", "variant"))]
        ]
        return found


def load_run(path: str | Path = "latest", results: str | Path = "results") -> LoadedRun:
    """Return a run from disk.

    Parameters
    ----------
    path : of its folder; or its id, or ``"latest"``, under `results`.
    results : folder of results.

    Raises
    ------
    StoreError : there is no such run, or it cannot be read.
    """
    run = LoadedRun(open_run(Path(results), str(path)))
    run.folder.manifest()
    return run


def compare(
    base: str | Path | LoadedRun, head: str | Path | LoadedRun, results: str | Path = "results"
) -> pd.DataFrame:
    """Compare two runs, or two variants of a run, as ``bench.py compare`` does.

    Parameters
    ----------
    base, head : runs, paths, or names as the command line takes them: ``RUN/VARIANT``.
    results : folder of results.

    Returns
    -------
    A row for each figure that either has: its values, the ratio of head to base with its 95 %
    interval, and what is said of head: ``better``, ``worse``, ``the same``, ``not known`` or ``not
    sound``. What makes the whole doubtful stands in ``frame.attrs["warnings"]``.

    Raises
    ------
    UsageError : no such run, or they have nothing in common.
    """
    from asyncdb_bench.report.sides import contrasts

    (found,) = contrasts(_name(base), [_name(head)], "latest", Path(results))
    rows: list[dict[str, Any]] = [
        {
            "scenario": scenario,
            "metric": each.answer.metric.name,
            "base": each.answer.one,
            "head": each.answer.other,
            "offered_rps": each.offered_rps,
            "base_value": each.base_value,
            "head_value": each.head_value,
            "said": str(each.answer.said),
        }
        | _of_ratio(each.answer.ratio)
        for scenario, compared in found.compared.items()
        for each in compared
    ]
    frame = pd.DataFrame(rows)
    frame.attrs["warnings"] = [*found.invalidating, *found.warnings, *found.left_out]
    return frame


def _of_ratio(ratio: Ratio | None) -> dict[str, Any]:
    low, high = (ratio.bounds if ratio is not None else None) or (None, None)
    return {"ratio": ratio.ratio if ratio is not None else None, "low": low, "high": high}


def _name(side: str | Path | LoadedRun) -> str:
    return str(side.folder.path) if isinstance(side, LoadedRun) else str(side)


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
    from asyncdb_bench.whole_run import Places, measure_plan

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
