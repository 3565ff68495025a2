"""Raw requests -> latency against percentile, corrected and raw. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asyncdb_bench import windows
from asyncdb_bench.model import OUTCOMES

K = TypeVar("K", bound=Hashable)

COLUMNS = ("trial", "step", "intended_us", "done_us", "outcome")
COUNTED = (OUTCOMES.index("ok"), OUTCOMES.index("timeout"))


class Curve(NamedTuple):
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


def percentile_curves(pieces: Iterable[Any], wanted: Mapping[tuple[str, int], K]) -> dict[K, Curve]:
    """Return latency against percentile for some steps, from the raw requests.

    Parameters
    ----------
    pieces : tables with the columns :data:`COLUMNS`.
    wanted : what to call each (trial, step); those of one name are pooled.

    Returns
    -------
    By name, a curve.
    """
    gathered: dict[K, list[Any]] = {}
    for piece in pieces:
        trials = piece["trial"].to_numpy(zero_copy_only=False)
        numbers = piece["step"].to_numpy()
        for (trial, number), name in wanted.items():
            mine = (trials == trial) & (numbers == number)
            if mine.any():
                outcome = piece["outcome"].to_numpy()
                mine &= np.isin(outcome, COUNTED)
                intended, done = (
                    piece[column].to_numpy()[mine].astype(np.int64)
                    for column in ("intended_us", "done_us")
                )
                kept, _ = windows.closed_loop(intended, done)
                gathered.setdefault(name, []).append((done - intended, kept))
    curves = {}
    for name, parts in gathered.items():
        corrected = np.concatenate([latency for latency, _ in parts])
        raw = np.concatenate([latency[kept] for latency, kept in parts])
        if len(corrected) and len(raw):
            # half a request beyond the last, so that the greatest latency is shown too
            levels = 1 - np.geomspace(1, 0.5 / len(corrected), 120)
            values = (
                np.quantile(each, levels, method="inverted_cdf") / 1000 for each in (corrected, raw)
            )
            curves[name] = Curve(levels.tolist(), *(each.tolist() for each in values))
    return curves


class Waiting(NamedTuple):
    """What waited over one step.

    Parameters
    ----------
    at_s : seconds from the step's first point.
    waiting : requests due and not yet answered.
    oldest_s : how long the oldest of them had waited, seconds.
    """

    at_s: list[float]
    waiting: list[float]
    oldest_s: list[float]


SERIES = ("trial", "step", "at_us", "name", "value")


def waiting_curves(pieces: Iterable[Any], wanted: Mapping[tuple[str, int], K]) -> dict[K, Waiting]:
    """Return what waited over time for some steps, of each name the first.

    Parameters
    ----------
    pieces : tables with the columns :data:`SERIES`.
    wanted : what to call each (trial, step).
    """
    found: dict[K, dict[str, list[tuple[int, float]]]] = {}
    taken: dict[K, tuple[str, int]] = {}
    for piece in pieces:
        kept = piece.filter(pc.is_in(piece["name"], pa.array(["waiting", "oldest_us"])))
        for row in kept.to_pylist():
            place = (row["trial"], row["step"])
            name = wanted.get(place)
            if name is None or taken.setdefault(name, place) != place:
                continue
            own = found.setdefault(name, {"waiting": [], "oldest_us": []})
            own[row["name"]].append((row["at_us"], row["value"]))
    return {name: _waiting(own["waiting"], own["oldest_us"]) for name, own in found.items()}


def _waiting(waiting: list[tuple[int, float]], oldest: list[tuple[int, float]]) -> Waiting:
    waiting.sort()
    oldest.sort()
    start = waiting[0][0]
    return Waiting(
        [(at - start) / 1e6 for at, _ in waiting],
        [value for _, value in waiting],
        [value / 1e6 for _, value in oldest],
    )
