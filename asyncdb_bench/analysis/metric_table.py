"""One metric over all variants of a scenario: values, ratios, what is said of each pair. Pure."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.inference import (
    BORROWED,
    CONFIDENCE,
    Cells,
    Metric,
    Prior,
    Ratio,
    Said,
    Slack,
    Spread,
    classify,
    exp,
    prior_of,
    ratio_of,
    rounds_wanting,
    satterthwaite,
    spread_of,
)
from asyncdb_bench.analysis.values import Values
from asyncdb_bench.records.files import Seen
from asyncdb_bench.records.plan import Variant

BATCHES = 10
"""Into which a variant's rounds are put for its own value's error: neighbouring rounds share what
the machine did, so that they stray together (batch means; Law, *Simulation Modeling*, 9.5)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One variant beside another by one metric.

    Parameters
    ----------
    metric : what is compared.
    one, other : labels; `other` is spoken of.
    ratio : of `other` to `one`; None: no round has both.
    said : what that says.
    times_more : how many times as many rounds would probably tell; None: nothing is left to tell.
    """

    metric: Metric
    one: str
    other: str
    ratio: Ratio | None
    said: Said
    times_more: float | None = None


@dataclass(frozen=True)
class Table:
    """One metric over all variants of a scenario.

    Parameters
    ----------
    metric : which.
    cells : by variant, launch and round; with the metric's floor added.
    slack : by variant, how far its values may be off in the same direction.
    brokers : by variant, whether it works over a broker.
    seen : spreads of launches on this machine before.
    """

    metric: Metric
    cells: Mapping[str, Cells]
    slack: Mapping[str, Slack] = field(default_factory=dict)
    brokers: Mapping[str, bool] = field(default_factory=dict)
    seen: Seen = field(default_factory=dict)

    @functools.cached_property
    def means(self) -> Mapping[str, float]:
        """By variant, the mean logarithm over launches, each launch's rounds taken together."""
        return {
            name: float(np.mean([np.mean(np.log(list(r.values()))) for r in cells.values()]))
            for name, cells in self.cells.items()
        }

    @functools.cached_property
    def best(self) -> str:
        """The variant that none is ahead of in the rounds that both have; empty: none has any."""
        if not self.cells:
            return ""
        sign = 1 if self.metric.more_is_better else -1
        best = max(self.means, key=lambda name: sign * self.means[name])
        for _ in self.cells:
            ahead = [
                (sign * ratio.centre, name)
                for name in self.cells
                if name != best and (ratio := self.ratio(best, name)) is not None
            ]
            if not ahead or max(ahead)[0] <= 0:
                break
            best = max(ahead)[1]
        return best

    @functools.cached_property
    def values(self) -> Mapping[str, float]:
        """By variant: of the best its mean, of the others that and their ratio to it.

        A variant that is known to be far behind has fewer rounds, of other minutes perhaps: what is
        shown beside one another agrees with the ratios.
        """
        best = self.best
        found = {}
        for name, mean in self.means.items():
            ratio = self.ratio(best, name) if name != best else None
            value = mean if ratio is None else self.means[best] + ratio.centre
            found[name] = exp(value) - self.metric.floor
        return found

    def spread_of(self, *names: str) -> Spread:
        """Return the spread over rounds of the variants that are of the kinds of some."""
        return self._spread(frozenset(self.brokers.get(name, False) for name in names))

    @functools.cached_property
    def _spreads(self) -> dict[frozenset[bool], Spread]:
        return {}

    def _spread(self, kinds: frozenset[bool]) -> Spread:
        if kinds not in self._spreads:
            near = [c for name, c in self.cells.items() if self.brokers.get(name, False) in kinds]
            found = spread_of(near)
            if not found.freedom and len(near) < len(self.cells):
                found = spread_of(list(self.cells.values()))
            self._spreads[kinds] = found
        return self._spreads[kinds]

    def prior(self, name: str) -> Prior:
        """Return how far launches of a variant stray, the floor added."""
        with_broker = self.brokers.get(name, False)
        found = prior_of(self.metric, with_broker=with_broker, seen=self.seen)
        return replace(found, sd=found.sd * self.share_of(name))

    def share_of(self, name: str) -> float:
        """Return the share of a variant's values that is not the floor: so much of what strays."""
        if not self.metric.floor or name not in self.means:
            return 1.0
        return max(0.0, 1 - self.metric.floor / exp(self.means[name]))

    def with_floor(self, floor: float) -> Table:
        """Return the table with another floor, in the metric's unit."""
        more = floor - self.metric.floor
        cells = {
            name: {
                launch: {place: value + more for place, value in rounds.items()}
                for launch, rounds in own.items()
            }
            for name, own in self.cells.items()
        }
        return replace(self, metric=replace(self.metric, floor=floor), cells=cells)

    def ratio(self, one: str, other: str) -> Ratio | None:
        """Return the ratio of `other` to `one`; None where no round has both."""
        if one not in self.cells or other not in self.cells:
            return None
        mine, theirs = (self.slack.get(name, Slack()) for name in (one, other))
        found = ratio_of(
            self.cells[one],
            self.cells[other],
            self.spread_of(one, other),
            len(self.cells),
            (self.prior(one), self.prior(other)),
            theirs.over(mine),
        )
        if found is None or not self.metric.grain:
            return found
        return replace(found, error=math.hypot(found.error, math.sqrt(2) * self.metric.grain))

    @functools.cached_property
    def _long_run(self) -> Mapping[str, tuple[float, int]]:
        """By variant, the variance of a round over many rounds, and its degrees of freedom."""
        found = {}
        for name, cells in self.cells.items():
            batches = batches_of(cells)
            if len(batches) > 1:
                size = sum(map(len, batches)) / len(batches)
                means = [float(np.mean(each)) for each in batches]
                found[name] = (float(np.var(means, ddof=1)) * size, len(batches) - 1)
        return found

    def bounds(self, name: str) -> tuple[float, float] | None:
        """Return the bounds of one variant's value, 95 %; None where its spread is not known.

        A few rounds of its own are steadied by how the others stray.
        """
        if name not in self.cells or not self._long_run:
            return None
        others = sum(freedom for _, freedom in self._long_run.values())
        pooled = sum(variance * freedom for variance, freedom in self._long_run.values()) / others
        own, freedom = self._long_run.get(name, (0.0, 0))
        borrowed = min(others - freedom, BORROWED)
        if not freedom + borrowed:
            return None
        variance = (own * freedom + pooled * borrowed) / (freedom + borrowed)
        cells, prior = self.cells[name], self.prior(name)
        by_round = variance / sum(map(len, cells.values()))
        by_launch = prior.sd**2 / len(cells)
        error = math.hypot(math.sqrt(by_round + by_launch), self.metric.grain)
        total = satterthwaite([(by_launch, prior.freedom), (by_round, freedom + borrowed)])
        slack = self.slack.get(name, Slack())
        centre = math.log(self.values[name] + self.metric.floor)
        low, high = statistics.t_bounds(centre, error, total, CONFIDENCE)
        floor = self.metric.floor
        return max(0.0, exp(low - slack.down) - floor), exp(high + slack.up) - floor

    def answer(self, one: str, other: str, equal: float, half_width: float) -> Answer:
        """Return what is said of `other` beside `one`.

        Parameters
        ----------
        one, other : labels.
        equal : ratio - 1 within which two are the same.
        half_width : ratio - 1 that more rounds would aim at.
        """
        return answer_of(self.metric, one, other, self.ratio(one, other), equal, half_width)

    @property
    def launches(self) -> int:
        """How many launches have any value."""
        return len({launch for cells in self.cells.values() for launch in cells})

    @property
    def rounds(self) -> int:
        """How many rounds have any value, over all launches."""
        return len(
            {
                (launch, number)
                for cells in self.cells.values()
                for launch, own in cells.items()
                for number in own
            }
        )


def batches_of(cells: Cells) -> list[list[float]]:
    """Return the logarithms of a variant's values in batches of neighbouring rounds."""
    logs = [
        math.log(value) for launch in sorted(cells) for _, value in sorted(cells[launch].items())
    ]
    count = min(len(logs), BATCHES)
    edges = [round(place * len(logs) / count) for place in range(count + 1)] if count else []
    return [logs[low:high] for low, high in itertools.pairwise(edges)]


def answer_of(
    metric: Metric, one: str, other: str, ratio: Ratio | None, equal: float, half_width: float
) -> Answer:
    """Return what a ratio of `other` to `one` says; parameters as :meth:`Table.answer`."""
    said = classify(metric, ratio, equal)
    more = None
    if said is Said.UNKNOWN and ratio is not None and ratio.known:
        more = max(1.0, rounds_wanting(ratio, equal, half_width))
    return Answer(metric, one, other, ratio, said, more)


def table_of(found: Values, brokers: Mapping[str, bool], seen: Seen) -> Table:
    """Return the table of a metric's values."""
    return Table(found.metric, found.cells, found.slack, brokers, seen)


def brokers_of(variants: Sequence[Variant]) -> dict[str, bool]:
    """Return of each variant whether it works over a broker, by label."""
    return {each.label: bool(each.brokers) for each in variants}
