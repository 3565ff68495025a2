"""Raw requests -> latency against percentile, corrected and raw. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from asyncdb_bench import stats
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
                kept, _ = stats.closed_loop(intended, done)
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
