"""How far launches of one variant stray: a prior, narrowed by this machine's own runs. Pure.

The figures are cautious ones: in the reference of version 0.8 a launch added 1 % at most to a pace.
``benchmarks/launch_spread.py`` measures them, from many launches of the same variants. What a run's
own launches show, and those of earlier runs on the same machine, moderate them.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncdb_bench.analysis.inference import Prior
from asyncdb_bench.analysis.metrics import CAPACITY, CPU, FREEZE, P50, P95, P99, PACE, Metric
from asyncdb_bench.records.launches import Seen

FREEDOM = 8.0
"""What they are worth: they may be wrong by a third."""
MOST_FREEDOM = 60.0
"""What earlier runs on a machine add up to at most: variants and versions change."""
LEAST = 0.3
"""Share of what is usual below which no machine's launches are taken to stray."""
MEASURED: Mapping[str, tuple[float, float]] = {
    PACE.name: (0.008, 0.020),
    CPU.name: (0.008, 0.015),
    CAPACITY.name: (0.010, 0.025),
    P50.name: (0.010, 0.025),
    P95.name: (0.020, 0.040),
    P99.name: (0.030, 0.060),
    FREEZE.name: (0.040, 0.060),
}
"""Standard deviations of logarithms by metric: of variants without and with a broker."""


def key_of(metric: Metric, *, with_broker: bool) -> str:
    """Return what tells the spreads of a metric and of a kind of variant."""
    return f"{metric.name}{'+broker' if with_broker else ''}"


def prior_of(metric: Metric, *, with_broker: bool, seen: Seen) -> Prior:
    """Return the prior of a metric.

    Parameters
    ----------
    metric : which.
    with_broker : whether the variant works over a broker, whose launches stray more.
    seen : on this machine before.
    """
    sd = MEASURED[metric.name][with_broker]
    found = seen.get(key_of(metric, with_broker=with_broker))
    if found is None or not found.freedom:
        return Prior(sd, FREEDOM)
    more = min(found.freedom, MOST_FREEDOM)
    variance = (FREEDOM * sd**2 + more * found.variance) / (FREEDOM + more)
    return Prior(max(variance, (LEAST * sd) ** 2) ** 0.5, FREEDOM + more)
