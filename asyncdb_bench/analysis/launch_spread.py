"""How far the launches of a run strayed, for later runs on the same machine. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from asyncdb_bench.analysis.findings import ScenarioFindings
from asyncdb_bench.analysis.inference import MEASURED, WHOLE, informed, key_of
from asyncdb_bench.analysis.metric_table import Table
from asyncdb_bench.records.files import LaunchSpread

LEAST_SHARE = 0.05
"""Values that are nearly all floor say nothing of how far they stray."""


def launch_spreads(found: Sequence[ScenarioFindings]) -> dict[str, LaunchSpread]:
    """Return the variance of a variant's logarithm from launch to launch, by metric and kind.

    Scenarios of one run share its launches: their variances are averaged, and count once.

    Parameters
    ----------
    found : of each scenario.

    Returns
    -------
    By :func:`key_of`; without those of which a run with one launch says nothing.
    """
    seen: dict[str, list[LaunchSpread]] = defaultdict(list)
    for each in found:
        for table in each.tables.values():
            for with_broker in (False, True):
                spread = spread_of_launches(table, with_broker=with_broker)
                if spread is not None:
                    seen[key_of(table.metric, with_broker=with_broker)].append(spread)
    return {
        key: LaunchSpread(
            sum(each.variance * each.freedom for each in own) / sum(each.freedom for each in own),
            max(each.freedom for each in own),
        )
        for key, own in seen.items()
    }


def spread_of_launches(table: Table, *, with_broker: bool) -> LaunchSpread | None:
    """Return how launches of one kind strayed by one metric; None: that is not known.

    What a launch does to all variants alike is in no ratio, and is taken off: the residuals of an
    additive model of variants and launches, less what rounds explain of them. Where rounds explain
    most it may come out below 0, and is worth little.
    """
    names = [name for name in table.cells if table.brokers.get(name, False) == with_broker]
    launches = sorted({launch for name in names for launch in table.cells[name]})
    whole = [name for name in names if set(table.cells[name]) == set(launches)]
    if len(whole) < 2 or len(launches) < 2:
        return None
    means = np.array(
        [
            [np.mean(np.log(list(table.cells[name][launch].values()))) for launch in launches]
            for name in whole
        ]
    )
    counts = [len(table.cells[name][launch]) for name in whole for launch in launches]
    residuals = means - means.mean(axis=1, keepdims=True)
    residuals -= residuals.mean(axis=0, keepdims=True)
    freedom = (len(whole) - 1) * (len(launches) - 1)
    rounds = table.spread_of(*whole)
    several = any(WHOLE not in table.cells[name][launch] for name in whole for launch in launches)
    if several and rounds.freedom < freedom:
        # what single rounds stray by would count as the launches'
        return None
    by_rounds = rounds.round**2 * float(np.mean([1 / n for n in counts]))
    # the floor that is added to values strays in no launch
    strays = max(float(np.mean([table.share_of(name) for name in whole])), LEAST_SHARE) ** 2
    variance = (float((residuals**2).sum()) / freedom - by_rounds) / strays
    usual = MEASURED[table.metric.name][with_broker] ** 2
    return LaunchSpread(variance, freedom * informed(usual, by_rounds / strays))
