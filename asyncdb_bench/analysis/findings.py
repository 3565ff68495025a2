"""All turns of a scenario -> its tables, its limits, and what is said of each variant. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from asyncdb_bench.analysis.inference import CAPACITY, GOODPUT, METRICS, PACE, Metric, Said, Slack
from asyncdb_bench.analysis.ladder import (
    LimitLoad,
    Trying,
    climbs_of,
    common_rung,
    limit_load,
    rung_values,
)
from asyncdb_bench.analysis.metric_table import Answer, Table, answer_of, brokers_of, table_of
from asyncdb_bench.analysis.overload import Outcomes, outcomes
from asyncdb_bench.analysis.values import Rest, Values, gross_ms, sound, values_of
from asyncdb_bench.records.files import Seen
from asyncdb_bench.records.plan import Settings, Variant
from asyncdb_bench.records.step import OPEN_KINDS, Step


@dataclass(frozen=True, slots=True)
class Carried:
    """The highest load at which a variant holds the objective, 1/s.

    Parameters
    ----------
    rps, low, high : value and bounds; `high` is infinite where the ladder ended first, and 0 of a
        variant that held none.
    tried : whether any turn was near it; else the bounds follow from what is usual.
    """

    rps: float
    low: float
    high: float
    tried: bool = True

    @property
    def open_ended(self) -> bool:
        """Whether the ladder ended before the variant was saturated."""
        return math.isinf(self.high)


@dataclass(frozen=True, slots=True)
class ScenarioFindings:
    """What the turns of one scenario come to.

    Parameters
    ----------
    tables : by metric name.
    main : the metric that ranks: the pace, the capacity of what climbs a ladder, or the goodput of
        what is overloaded.
    leader : the variant that is best by it; empty: none has a value.
    answers : by metric name, each variant beside the leader.
    capacities : by variant.
    limits : by variant, the share of its pace at which the objective is lost.
    rest : by variant, what it uses with nothing to do.
    gross_ms : by variant, CPU per request at full speed, idle use included.
    common_rps : the load at which percentiles are compared; None: there is none.
    turns : how many there were.
    spent_s : seconds that their windows took.
    overloads : by variant, what its overloads come to.
    """

    tables: Mapping[str, Table]
    main: Metric
    leader: str
    answers: Mapping[str, tuple[Answer, ...]]
    capacities: Mapping[str, Carried]
    limits: Mapping[str, LimitLoad]
    rest: Mapping[str, Rest]
    gross_ms: Mapping[str, float]
    common_rps: float | None
    turns: int
    spent_s: float
    overloads: Mapping[str, Outcomes] = field(default_factory=dict)

    @property
    def table(self) -> Table:
        """The table of the metric that ranks."""
        return self.tables[self.main.name]

    @property
    def beside(self) -> tuple[Answer, ...]:
        """What is said of each variant beside the leader, by the metric that ranks."""
        return self.answers.get(self.main.name, ())

    def said(self, metric: str, variant: str) -> Answer | None:
        """Return what is said of a variant beside the leader by a metric, given by its name."""
        return next((each for each in self.answers.get(metric, ()) if each.other == variant), None)

    def compare(self, metric: Metric, one: str, other: str, settings: Settings) -> Answer:
        """Return what is said of one variant beside any other."""
        if metric is CAPACITY and self.main is not CAPACITY:
            found = _capacity_answers(self.tables[PACE.name], self.limits, one, settings)
            nothing = Answer(
                metric, one, other, None, answer_of(metric, one, other, None, 0, 0).said
            )
            return next((each for each in found if each.other == other), nothing)
        each = self.tables[metric.name].answer(one, other, settings.equal, settings.half_width)
        return _without_open_end(each, self.capacities) if metric is CAPACITY else each

    def by_launch(self, name: str) -> dict[int, float]:
        """Return a variant's capacity in each launch, 1/s, as the metric that ranks strayed.

        None of one that the ladder did not saturate.
        """
        whole = self.table.values.get(name, 0.0)
        if not whole:
            return {}
        carried = self.capacities[name].rps
        return {
            launch: carried * math.exp(sum(map(math.log, own.values())) / len(own)) / whole
            for launch, own in self.table.cells.get(name, {}).items()
        }

    def smallest(self, *, with_broker: bool) -> float | None:
        """Return the smallest ratio - 1 that would show between the leader and any other.

        Parameters
        ----------
        with_broker : among those that work over a broker, which stray more, or the others.

        Returns
        -------
        The greatest of them; None where none is known.
        """
        brokers = self.table.brokers
        known = [
            found
            for each in self.beside
            if each.ratio is not None
            and brokers.get(each.other, False) == with_broker
            and (found := each.ratio.smallest)
        ]
        return max(known) - 1 if known else None


def findings_of(
    steps: Sequence[Step],
    variants: Sequence[Variant],
    settings: Settings,
    objective_ms: float,
    seen: Seen,
    *,
    overloaded: bool = False,
) -> ScenarioFindings:
    """Return what the turns of one scenario come to.

    Parameters
    ----------
    steps : its turns.
    variants : in the order of the run.
    settings : for what counts as the same.
    objective_ms : the scenario's p99.
    seen : spreads of launches on this machine before.
    overloaded : it is ranked by what becomes of an overload, or not at all.
    """
    brokers = brokers_of(variants)
    own = {name: [step for step in steps if step.variant == name] for name in brokers}
    climbed = any(step.turn.kind == "rung" for step in steps)
    if climbed:
        found = rung_values(own, objective_ms)
    else:
        found = {m.name: values_of(steps, m, brokers) for m in METRICS if m is not CAPACITY}
    if overloaded:
        found[GOODPUT.name] = values_of(steps, GOODPUT, brokers)
    nothing = {m.name: Values(m, {}) for m in METRICS}
    tables = {n: table_of(each, brokers, seen) for n, each in (nothing | found).items()}
    main = GOODPUT if overloaded else CAPACITY if climbed else PACE
    leader = tables[main.name].best
    if overloaded and len(tables[main.name].cells) == 1 < len(tables[PACE.name].cells):
        # the only one that had its turn so far is ahead of nobody
        leader = ""
    answers = {
        name: tuple(
            table.answer(leader, other, settings.equal, settings.half_width)
            for other in table.cells
            if other != leader and leader in table.cells
        )
        for name, table in tables.items()
    }
    limits: dict[str, LimitLoad] = {}
    if climbed:
        capacities = {
            name: carried
            for name in own
            if (carried := _climbed(tables[CAPACITY.name], name, own[name])) is not None
        }
        answers[CAPACITY.name] = tuple(
            _without_open_end(each, capacities) for each in answers[CAPACITY.name]
        )
    else:
        pace = tables[PACE.name]
        limits = {
            name: limit_load(tried_by(turns)) for name, turns in own.items() if name in pace.cells
        }
        capacities = {name: _carried(pace, name, each) for name, each in limits.items()}
        answers[CAPACITY.name] = tuple(_capacity_answers(pace, limits, leader, settings))
    commons = [step.offered_rps for step in steps if step.turn.kind == "common"]
    return ScenarioFindings(
        tables=tables,
        main=main,
        leader=leader,
        answers=answers,
        capacities=capacities,
        limits=limits,
        rest={name: Rest.of(each) for name, each in own.items()},
        gross_ms={name: cost for name, each in own.items() if (cost := _gross(each)) is not None},
        common_rps=common_rung(own) if climbed else (commons[0] if commons else None),
        turns=len(steps),
        spent_s=sum(step.window_s for step in steps),
        overloads=outcomes(steps) if overloaded else {},
    )


def tried_by(steps: Sequence[Step]) -> list[Trying]:
    """Return what one variant's sound turns at any load say of its limit."""
    return [
        Trying(step.turn.share, step.holds)
        for kind in OPEN_KINDS
        for step in sound(steps, kind)
        if step.turn.share
    ]


def _climbed(table: Table, name: str, steps: Sequence[Step]) -> Carried | None:
    """Return what a variant carried that climbed a ladder; None: it was not measured."""
    climbs = climbs_of(steps)
    if not climbs:
        return None
    if name not in table.cells:
        return Carried(0.0, 0.0, min((e.missed for e in climbs if e.missed), default=0.0))
    value = table.values[name]
    slack = table.slack.get(name, Slack())
    low, high = table.bounds(name) or (
        value * math.exp(-slack.down),
        value * math.exp(slack.up),
    )
    open_ended = any(each.missed is None for each in climbs if each.carried > 0)
    return Carried(value, low, math.inf if open_ended else high)


def _without_open_end(each: Answer, capacities: Mapping[str, Carried]) -> Answer:
    """Return an answer without the ratio of what the ladder did not saturate, unless it tells."""
    if each.said is Said.UNKNOWN and capacities[each.other].open_ended:
        return replace(each, ratio=None, times_more=None)
    return each


def _carried(pace: Table, name: str, limit: LimitLoad) -> Carried:
    """Return a variant's capacity: its pace times the share of it at which the objective is lost.

    The bounds add what is not known of the share to what is not known of the pace.
    """
    value, bounds = pace.values[name], pace.bounds(name)
    spread = (math.log(bounds[1] / bounds[0]) / 4) if bounds else 0.0
    error = math.hypot(spread, limit.log_spread)
    return Carried(
        value * limit.share,
        value * limit.share * math.exp(-1.96 * error),
        value * limit.share * math.exp(1.96 * error),
        tried=bool(limit.turns),
    )


def _capacity_answers(
    pace: Table, limits: Mapping[str, LimitLoad], leader: str, settings: Settings
) -> list[Answer]:
    found = []
    for name, limit in limits.items():
        ratio = pace.ratio(leader, name)
        if name == leader or leader not in limits or ratio is None:
            continue
        mine = limits[leader]
        both = replace(
            ratio,
            centre=ratio.centre + math.log(limit.share / mine.share),
            error=math.hypot(ratio.error, limit.log_spread, mine.log_spread),
        )
        found.append(answer_of(CAPACITY, leader, name, both, settings.equal, settings.half_width))
    return found


def _gross(steps: Sequence[Step]) -> float | None:
    costs = [cost for step in sound(steps, "pace") if (cost := gross_ms(step)) is not None]
    return sum(costs) / len(costs) if costs else None
