"""The history's series and where they changed: slow drifts that no single run shows. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np

from asyncdb_bench.errors import UsageError
from asyncdb_bench.extensions.history.history_file import HistoryPoint, HistoryRun

LEAST_MAGNITUDE = 0.05
"""Changes below it are not reported, however well they are seen; as in the gate."""
MOST_P = 0.001
WINDOW = 50
FEWEST = 10
"""Runs that a series needs before changes are looked for."""
NEAR = 2
"""A change of the canary so many runs around explains a change of the code's."""
CANARY = "canary_"
RECENT = 10
"""Runs after a change for which it is news."""
MORE_IS_BETTER = ("pace_rps", "capacity_rps")


@dataclass(frozen=True, slots=True)
class Change:
    """One change point.

    Parameters
    ----------
    at : place in the series of the first run after it.
    before, after : the runs around it.
    ratio : mean after / mean before.
    p : of Student's t between the two stretches.
    machine : whether the canary changed too, so that it was the machine.
    """

    at: int
    before: HistoryRun
    after: HistoryRun
    ratio: float
    p: float
    machine: bool = False


@dataclass(frozen=True, slots=True)
class FigureSeries:
    """One figure over the runs of one machine.

    Parameters
    ----------
    machine, scenario, variant, figure : what it is of.
    runs : in order; `values` likewise, in the figure's unit.
    loads : at which each was taken; None where it is of no load.
    magnitude : least relative change that is reported: 5 %, or the A/A's noise.
    changes : its change points.
    """

    machine: str
    scenario: str
    variant: str
    figure: str
    runs: tuple[HistoryRun, ...]
    values: tuple[float, ...]
    loads: tuple[float | None, ...]
    magnitude: float = LEAST_MAGNITUDE
    changes: tuple[Change, ...] = field(default_factory=tuple)

    @property
    def title(self) -> str:
        """What people call it."""
        return " · ".join(filter(None, (self.scenario, self.variant, self.figure)))


def all_series(
    runs: Sequence[HistoryRun], points: Iterable[tuple[int, HistoryPoint]]
) -> list[FigureSeries]:
    """Return every series with its change points.

    Parameters
    ----------
    runs : in the order of the history.
    points : with their run's place.

    Raises
    ------
    UsageError : Apache Otava is not installed.
    """
    by_place = {run.place: run for run in runs}
    grouped: dict[tuple[str, str, str, str], list[tuple[HistoryRun, HistoryPoint]]] = {}
    for place, point in points:
        run = by_place[place]
        key = (run.machine, point.scenario, point.variant, point.figure)
        grouped.setdefault(key, []).append((run, point))
    found = [with_changes(_series(key, rows)) for key, rows in sorted(grouped.items())]
    return [explained(each, found) for each in found]


def _series(
    key: tuple[str, str, str, str], rows: Sequence[tuple[HistoryRun, HistoryPoint]]
) -> FigureSeries:
    noises = [point.noise - 1 for _, point in rows if point.noise is not None]
    return FigureSeries(
        *key,
        runs=tuple(run for run, _ in rows),
        values=tuple(point.value for _, point in rows),
        loads=tuple(point.offered_rps for _, point in rows),
        magnitude=max([LEAST_MAGNITUDE, *([float(np.median(noises))] if noises else [])]),
    )


def with_changes(series: FigureSeries) -> FigureSeries:
    """Return a series with its change points.

    By Apache Otava's library (Fleming et al., *Hunter*, ICPE 2023: E-divisive on sliding windows,
    Student's t, and a least magnitude), on values above zero.
    """
    if len(series.values) < FEWEST or min(series.values) <= 0:
        return series
    try:
        from otava.analysis import compute_change_points
    except ImportError as error:
        raise UsageError(
            "change points need Apache Otava: `pip install --no-deps apache-otava` (its pins are"
            " older than what it runs on; `make setup` installs it so)"
        ) from error
    # it warns of stretches that do not vary at all
    logging.getLogger("otava").setLevel(logging.ERROR)
    with np.errstate(all="ignore"):
        points, _ = compute_change_points(
            list(series.values),
            window_len=min(WINDOW, max(len(series.values) // 2, 4)),
            max_pvalue=MOST_P,
            min_magnitude=series.magnitude,
        )
    changes = tuple(
        Change(
            at=int(each.index),
            before=series.runs[int(each.index) - 1],
            after=series.runs[int(each.index)],
            ratio=float(each.stats.mean_2 / each.stats.mean_1),
            p=float(each.stats.pvalue),
        )
        for each in points
    )
    return replace(series, changes=changes)


def explained(series: FigureSeries, others: Iterable[FigureSeries]) -> FigureSeries:
    """Return a series whose changes say whether the canary changed then, too."""
    if series.figure.startswith(CANARY):
        return series
    machine = [
        change.after.place
        for other in others
        if other.machine == series.machine and other.figure.startswith(CANARY)
        for change in other.changes
    ]
    order = {run.place: at for at, run in enumerate(series.runs)}

    def near(change: Change) -> bool:
        return any(abs(order.get(place, -99) - change.at) <= NEAR for place in machine)

    return replace(
        series, changes=tuple(replace(each, machine=near(each)) for each in series.changes)
    )


def why(series: FigureSeries, change: Change) -> str:
    """Return what a change may come from, in words."""
    if series.figure.startswith(CANARY):
        return "the machine's own pace"
    if change.machine:
        return "the machine: its canary changed too"
    if change.before.revision == change.after.revision:
        return "the same revision: not the code"
    return "the code between these revisions, or what the canary does not see"


class Status(StrEnum):
    """What the history says of now."""

    WORSE = "worse"
    BETTER = "better"
    MACHINE = "machine changed"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A change of a series, and what it means.

    Parameters
    ----------
    series, change : what changed.
    status : whether the code's figure got worse or better, or the machine changed.
    recent : whether it lies in the last :data:`RECENT` runs.
    """

    series: FigureSeries
    change: Change
    status: Status
    recent: bool

    @property
    def revisions(self) -> str:
        """The last revision before and the first after: where to look."""
        return f"{self.change.before.revision[:12]}..{self.change.after.revision[:12]}"


def status_of(series: FigureSeries, change: Change) -> Status:
    """Return what a change means."""
    if series.figure.startswith(CANARY) or change.machine:
        return Status.MACHINE
    more = series.figure.split(" ")[0] in MORE_IS_BETTER
    return Status.BETTER if (change.ratio > 1) == more else Status.WORSE


def suspects(series: Sequence[FigureSeries]) -> list[Suspect]:
    """Return all changes: the worse first, of each kind the newest first."""
    found = [
        Suspect(each, change, status_of(each, change), recent=len(each.runs) - change.at <= RECENT)
        for each in series
        for change in each.changes
    ]
    order = list(Status)
    return sorted(found, key=lambda s: (order.index(s.status), -s.change.after.place))


def overall(series: Sequence[FigureSeries]) -> tuple[Status, int]:
    """Return the worst status among recent changes, and how many changes have it."""
    recent = [each.status for each in suspects(series) if each.recent]
    for status in (Status.WORSE, Status.BETTER, Status.MACHINE):
        if count := recent.count(status):
            return status, count
    return Status.STEADY, 0


def backwards(runs: Sequence[HistoryRun]) -> list[str]:
    """Return a sentence for each run whose clock says that it was before the one before it."""
    return [
        f"{later.run_id} says it began at {later.started_at}, before {earlier.run_id}"
        f" ({earlier.started_at}): a clock ran backwards, or it was imported late; the order of"
        " the history is kept"
        for earlier, later in pairwise(runs)
        if later.started_at < earlier.started_at
    ]
