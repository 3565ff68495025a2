"""Raw requests -> latency against percentile, corrected and raw. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from asyncdb_bench.analysis.step.durations import closed_loop
from asyncdb_bench.analysis.step.histogram import Sketch

K = TypeVar("K", bound=Hashable)

EXACT = 2_000_000
"""Requests of one curve that are kept; of more there is a sketch, whatever their number."""
COLUMNS = ("trial", "step", "intended_us", "latency_us")


class PercentileCurve(NamedTuple):
    """Latency by percentile.

    Parameters
    ----------
    levels : percentiles, 0 to 1.
    corrected_ms : from the intended arrival.
    raw_ms : of those requests that a closed loop would have sent: what it would have believed.
    """

    levels: list[float]
    corrected_ms: list[float]
    raw_ms: list[float]


def percentile_curves(
    pieces: Iterable[Any], wanted: Mapping[tuple[str, int], K]
) -> dict[K, PercentileCurve]:
    """Return latency against percentile for some steps, from the raw requests.

    Parameters
    ----------
    pieces : tables with the columns :data:`COLUMNS`.
    wanted : by (trial, step) what to call it; steps of one name are pooled.

    Returns
    -------
    By name, a curve over the population that tables and verdicts count; over more than
    :data:`EXACT` requests from a sketch, with its error (:data:`histogram.ERROR`).
    """
    gathered: dict[K, tuple[_Values, _Values]] = {}
    for piece in pieces:
        for place, rows in _steps_of(piece, wanted):
            counting = rows.filter(pc.is_valid(rows["latency_us"]))
            intended, latency = (
                counting[name].to_numpy().astype(np.int64) for name in ("intended_us", "latency_us")
            )
            kept, _ = closed_loop(intended, intended + latency)
            corrected, raw = gathered.setdefault(wanted[place], (_Values(), _Values()))
            # half of the memory; a latency of half an hour and more was given up long before
            short = np.minimum(latency, np.iinfo(np.int32).max).astype(np.int32)
            corrected.add(short)
            raw.add(short[kept])
    found = {}
    for name, both in gathered.items():
        if all(each.n for each in both):
            # half a request beyond the last, so that the greatest latency is shown too
            levels = 1 - np.geomspace(1, 0.5 / both[0].n, 120)
            values = ((each.quantiles_us(levels) / 1000).tolist() for each in both)
            found[name] = PercentileCurve(levels.tolist(), *values)
    return found


class _Values:
    """Some values, or where they are many, their sketch."""

    def __init__(self) -> None:
        self.n = 0
        self.parts: list[NDArray[np.int32]] = []
        self.sketch: Sketch | None = None

    def add(self, values: NDArray[np.int32]) -> None:
        self.n += len(values)
        self.parts.append(values)
        if self.n > EXACT:
            self.sketch = self.sketch or Sketch()
            for each in self.parts:
                self.sketch.add(each)
            self.parts = []

    def quantiles_us(self, levels: NDArray[Any]) -> NDArray[np.float64]:
        if self.sketch is not None:
            return self.sketch.quantiles_us(levels)
        found: NDArray[np.float64] = np.quantile(
            np.concatenate(self.parts), levels, method="inverted_cdf"
        )
        return found


SERIES = ("trial", "step", "at_us", "name", "value")
SHOWN = ("loop_lag_us", "probe_us", "waiting", "oldest_us", "broker_depth")
POINTS = 160
"""Points of a curve over time; more would not show, and each is kept at its greatest."""


class Course(NamedTuple):
    """One quantity over one step.

    Parameters
    ----------
    at_s : seconds from the step's first record.
    value : the greatest of each of at most :data:`POINTS` equal stretches of time; in milliseconds
        where the name on disk ends in ``_us``.
    """

    at_s: list[float]
    value: list[float]


def courses(
    pieces: Iterable[Any], wanted: Mapping[tuple[str, int], K]
) -> dict[K, dict[str, Course]]:
    """Return what was felt and what waited over time for some steps, of each name the first.

    Parameters
    ----------
    pieces : tables with the columns :data:`SERIES`.
    wanted : by (trial, step) what to call it; steps of one name are pooled.

    Returns
    -------
    By name, and by series (:data:`SHOWN`).
    """
    found: dict[K, dict[str, list[tuple[Any, Any]]]] = {}
    taken: dict[K, tuple[str, int]] = {}
    for piece in pieces:
        for place, whole in _steps_of(piece, wanted):
            key = wanted[place]
            if taken.setdefault(key, place) != place:
                continue
            rows = whole.filter(pc.is_in(whole["name"], pa.array(SHOWN)))
            own = found.setdefault(key, {})
            names = rows["name"]
            for series in pc.unique(names).to_pylist():
                mine = rows.filter(pc.equal(names, series))
                own.setdefault(series, []).append(
                    (mine["at_us"].to_numpy(), mine["value"].to_numpy())
                )
    return {key: _courses(own) for key, own in found.items() if own}


def _steps_of(
    table: Any, wanted: Mapping[tuple[str, int], Any]
) -> Iterable[tuple[tuple[str, int], Any]]:
    """Yield each wanted trial and step that a table holds rows of, with those rows."""
    places = table.select(["trial", "step"]).group_by(["trial", "step"]).aggregate([])
    for row in places.to_pylist():
        place = (row["trial"], row["step"])
        if place in wanted:
            mask = pc.and_(pc.equal(table["trial"], place[0]), pc.equal(table["step"], place[1]))
            yield place, table.filter(mask)


def _courses(own: Mapping[str, list[tuple[Any, Any]]]) -> dict[str, Course]:
    at = {name: np.concatenate([each for each, _ in parts]) for name, parts in own.items()}
    start = min(int(each.min()) for each in at.values())
    end = max(int(each.max()) for each in at.values())
    stretch = max(1, (end - start) // POINTS + 1)
    return {
        name: _thinned(
            at[name] - start,
            np.concatenate([values for _, values in parts]) / (1000 if name[-3:] == "_us" else 1),
            stretch,
        )
        for name, parts in own.items()
    }


def _thinned(at_us: Any, values: Any, stretch_us: int) -> Course:
    order = np.argsort(at_us, kind="stable")
    slots, values = at_us[order] // stretch_us, values[order]
    starts = np.flatnonzero(np.diff(slots, prepend=-1))
    tops = np.maximum.reduceat(values, starts)
    return Course(((slots[starts] + 0.5) * stretch_us / 1e6).tolist(), tops.tolist())
