"""What is compared: figures, their units, which way is better, and what is too small to matter."""

from __future__ import annotations

import math
from dataclasses import dataclass

from asyncdb_bench.analysis.step.histogram import GROWTH


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that is compared.

    Parameters
    ----------
    name : of the figure, as in ``summary.json``.
    title, unit : for people.
    more_is_better : whether a ratio above 1 is good.
    floor : added before ratios are taken, in the figure's unit: differences far below it do not
        matter, whatever their ratio.
    grain : standard error that a value has by the bins that it is read from, as a share.
    quantile : of the distribution that it is, 0 to 1; 0: it is none.
    """

    name: str
    title: str
    unit: str
    more_is_better: bool = False
    floor: float = 0.0
    grain: float = 0.0
    quantile: float = 0.0


BIN = GROWTH / math.sqrt(12)
"""Standard deviation of a uniform error within one bin."""
PACE = Metric("pace_rps", "pace", "1/s", more_is_better=True)
CAPACITY = Metric("capacity_rps", "capacity", "1/s", more_is_better=True)
P50 = Metric("p50_ms", "p50", "ms", grain=BIN, quantile=0.5)
P95 = Metric("p95_ms", "p95", "ms", grain=BIN, quantile=0.95)
P99 = Metric("p99_ms", "p99", "ms", grain=BIN, quantile=0.99)
FREEZE = Metric(
    "loop_lag_p99_ms",
    "loop freeze",
    "ms",
    floor=1.0,
    grain=BIN,
    quantile=0.99,
)
CPU = Metric("cpu_ms_per_request", "CPU per request", "ms")
METRICS = (PACE, CAPACITY, P50, P95, P99, FREEZE, CPU)
