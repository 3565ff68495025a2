"""What a run knows of cases that it did not measure: its cells, and the model fitted to them. Pure.

It goes into the page as it is, so that the page's script can answer from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.decision import lag_ms, parts_of
from asyncdb_bench.analysis.distance import measured_ms
from asyncdb_bench.analysis.metrics import PACE
from asyncdb_bench.analysis.pace_model import GOOD, Case, Fit, Way, fit
from asyncdb_bench.records.plan import Plan, PlannedScenario, Variant

OFFERED = 0.30
"""A model that is off by more is not offered. It may be off by more than on a map: the answer keeps
apart only what its error keeps apart."""


class AdvisedWay(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one variant.

    Parameters
    ----------
    name : its label.
    resource, at_once : what lets requests in, and how many at once.
    model : of its pace: CPU time of a request and of each query, round trips beside the queries',
        time of a query beside its own, ms, and how even they are; empty: it does not fit.
    share : of its pace at which the objective is lost; the least that was seen.
    lag_ms : p99 of the loop's lag, the median over the loads common to all.
    holds_loop : whether the handler itself waits, so that the loop does.
    parts : what it needs to run beside application and database.
    broker : whether it works over one.
    """

    name: str
    resource: str
    at_once: int
    model: tuple[float, ...]
    share: float
    lag_ms: float
    holds_loop: bool
    parts: tuple[str, ...]
    broker: bool


class AdvisedCell(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured at one place.

    Parameters
    ----------
    rtt_ms, queries, ms, rows : the place, see :class:`Case`.
    scenario : its label.
    paces : by variant, 1/s, and the share that each may be off.
    errors : by variant, of a model that did not know the place: a share.
    """

    rtt_ms: float
    queries: float
    ms: float
    rows: float
    scenario: str
    paces: dict[str, tuple[float, float]]
    errors: dict[str, float]

    @property
    def case(self) -> Case:
        """Its place."""
        return Case(self.rtt_ms, self.queries, self.ms, self.rows)


class Advising(msgspec.Struct, frozen=True, kw_only=True):
    """All that the answer to a case rests on.

    Parameters
    ----------
    ways, cells : what is known.
    connections : of the closed loop that measured the paces.
    strategies : as they were asked for, to measure more of them.
    rtt_ms : the usual round trip of the run, asked for.
    """

    ways: tuple[AdvisedWay, ...]
    cells: tuple[AdvisedCell, ...]
    connections: int
    strategies: str
    rtt_ms: float

    @property
    def cases(self) -> tuple[Case, ...]:
        """The places that were measured."""
        return tuple(each.case for each in self.cells)

    @property
    def fitted(self) -> Fit:
        """The model of the ways that it fits."""
        ways = {
            each.name: Way(each.name, each.at_once, *each.model) for each in self.ways if each.model
        }
        errors = {
            name: {cell.case: cell.errors[name] for cell in self.cells if name in cell.errors}
            for name in ways
        }
        return Fit(ways, self.connections, errors, self.cases)


def make_advising(plan: Plan, comparisons: Sequence[Comparison]) -> Advising:
    """Return what a run knows of cases; without cells where none of its work is of one kind.

    Parameters
    ----------
    plan : of the run.
    comparisons : of its scenarios, in the plan's order.
    """
    told = [
        (asked, each)
        for asked, each in zip(plan.scenarios, comparisons, strict=True)
        if asked.asks and each.findings.leader and each.findings.main is PACE
    ]
    usable = [
        variant for variant in plan.variants if any(_knows(each, variant) for _, each in told)
    ]
    places = _places(told)
    paces = {
        variant.label: {
            places[asked.label]: each.findings.tables[PACE.name].values[variant.label]
            for asked, each in told
            if _knows(each, variant)
        }
        for variant in usable
    }
    connections = plan.settings.connections
    at_once = {each.label: _at_once(each, connections)[1] for each in usable}
    found = fit(paces, at_once, connections)
    return Advising(
        ways=tuple(_way(variant, found, comparisons, connections) for variant in usable),
        cells=tuple(_cell(asked, each, places[asked.label], found) for asked, each in told),
        connections=connections,
        strategies=",".join(each.request or each.label for each in usable),
        rtt_ms=plan.settings.rtt_ms,
    )


def _knows(comparison: Comparison, variant: Variant) -> bool:
    return (
        variant.label in comparison.findings.tables[PACE.name].values
        and variant.label not in comparison.invalid
    )


def _places(told: Sequence[tuple[PlannedScenario, Comparison]]) -> dict[str, Case]:
    """Return the scenarios' places; what was measured of a round trip counts, not what was asked.

    It is the median over the scenarios that asked for the same: they were as far away.
    """
    real: dict[float, list[float]] = {}
    for asked, each in told:
        found = measured_ms(each.round_trips, "database") or asked.reach.rtt_ms
        real.setdefault(asked.reach.rtt_ms, []).append(found)
    return {
        asked.label: Case(
            median(real[asked.reach.rtt_ms]),
            asked.asks["queries"],
            asked.asks["ms"],
            asked.asks.get("rows", 1),
        )
        for asked, _ in told
    }


def _at_once(variant: Variant, connections: int) -> tuple[str, int]:
    """Return what lets fewest requests in, and how many."""
    return min(
        ((name, count) for name, count in variant.limits.items()),
        key=lambda each: each[1],
        default=("connections", connections),
    )


def _way(
    variant: Variant, found: Fit | None, comparisons: Sequence[Comparison], connections: int
) -> AdvisedWay:
    name = variant.label
    resource, at_once = _at_once(variant, connections)
    fits = found is not None and name in found.ways and found.typical(name) <= OFFERED
    model = found.ways[name] if found is not None and fits else None
    limits = [each.findings.limits.get(name) for each in comparisons]
    shares = [each.share for each in limits if each is not None and each.turns]
    lags = [lag_ms(name, each) for each in comparisons]
    return AdvisedWay(
        name=name,
        resource="processes" if resource == "handler" else resource,
        at_once=at_once,
        model=(model.cpu_ms, model.cpu_each_ms, model.trips, model.each_ms, model.even)
        if model
        else (),
        share=min(1.0, *shares) if shares else 0.7,
        lag_ms=median(known) if (known := [each for each in lags if each]) else 0.0,
        holds_loop="handler" in variant.limits,
        parts=tuple(parts_of(variant)),
        broker=bool(variant.brokers),
    )


def _cell(
    asked: PlannedScenario, comparison: Comparison, place: Case, found: Fit | None
) -> AdvisedCell:
    table = comparison.findings.tables[PACE.name]
    paces, errors = {}, {}
    for name, pace in table.values.items():
        if name in comparison.invalid:
            continue
        bounds = table.bounds(name)
        paces[name] = (pace, min(1.0, bounds[1] / pace - 1) if bounds else GOOD)
        if found is not None and place in found.errors.get(name, {}):
            errors[name] = abs(found.errors[name][place])
    return AdvisedCell(
        rtt_ms=place.rtt_ms, queries=place.queries, ms=place.ms, rows=place.rows,
        scenario=asked.label, paces=paces, errors=errors,
    )  # fmt: skip
