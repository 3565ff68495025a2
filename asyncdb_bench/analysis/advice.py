"""The reader's own case -> what to use, from what was measured and the model fitted to it. Pure.

The same reckoning is in the page's script, so that it answers without a network; a test holds the
two against each other.

It goes into the page as it is, so that the page's script can answer from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import msgspec

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.decision import FELT_MS, Sure, lag_ms, measured_ms, parts_of
from asyncdb_bench.analysis.inference import PACE
from asyncdb_bench.analysis.limits import BUSY
from asyncdb_bench.analysis.overload import Outcomes
from asyncdb_bench.analysis.pace_model import AXES, GOOD, TIMES, Case, Fit, Way, fit, outside
from asyncdb_bench.records.plan import Plan, PlannedScenario, Variant
from asyncdb_bench.text import PROGRAM, listed, number

NEAR = 0.10
"""A case that differs by less on every axis from what was measured needs no model."""
NEAR_MS = 0.1
MOST_MS = 50.0
"""A request of the table takes no longer in its queries."""
WORDS = {
    "rtt_ms": "round trip, ms",
    "queries": "queries a request",
    "ms": "time of a query, ms",
    "rows": "rows of a query",
}


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """The reader's case.

    Parameters
    ----------
    rtt_ms : round trip to the database.
    queries : of a request, one after another.
    ms : time of each in the database.
    rows : that each returns.
    rps : requests a second, of all processes.
    cores, processes : of the application.
    websockets : whether other work runs on the same loop.
    celery : whether a Celery is there already.
    patience_ms : after which clients give up; 0: not told.
    """

    rtt_ms: float = 0.5
    queries: float = 1
    ms: float = 5
    rows: float = 1
    rps: float = 100
    cores: int = 1
    processes: int = 1
    websockets: bool = False
    celery: bool = False
    patience_ms: float = 0

    @property
    def case(self) -> Case:
        """What each request is."""
        return Case(self.rtt_ms, self.queries, self.ms, self.rows)

    @property
    def parallel(self) -> int:
        """Processes that can work at once."""
        return max(1, min(self.cores, self.processes))


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a case.

    Parameters
    ----------
    use : variants, the best first; none: it cannot be told, or nothing carries it.
    because, costs : why, and what it takes.
    sure : how sure it is.
    notes : what else a reader must know.
    measure : the command that would measure it.
    pace : of the first of them, 1/s, and the share that it may be off; None: none can be told.
    """

    because: str
    sure: Sure
    measure: str
    use: tuple[str, ...] = ()
    costs: str = ""
    notes: tuple[str, ...] = ()
    pace: tuple[float, float] | None = None

    @property
    def how_sure(self) -> str:
        """How sure it is, in words: of several that all carry it the best need not be known."""
        return f"{self.sure} which of them is faster" if len(self.use) > 1 else str(self.sure)


class _Estimate(msgspec.Struct, frozen=True):
    """One way in a case: its pace, the share that it may be off, and whether it was measured."""

    way: AdvisedWay
    pace: float
    error: float
    measured: bool

    @property
    def holds(self) -> float:
        """Load that it carries with its objective held, at least."""
        return self.pace * (1 - self.error) * self.way.share


def advise(known: Advising, ask: Ask) -> Advice:
    """Return what to use in a case.

    Parameters
    ----------
    known : of a run, see :func:`make_advising`.
    ask : the case.
    """
    measure = measuring(known, ask)
    if not known.cells:
        return _silent("this run measured no work whose requests are all alike", measure)
    if beyond := outside(ask.case, known.cases):
        words = [
            f"{WORDS[axis]}: {number(getattr(ask.case, axis))} asked, {number(beyond[axis][0])} to"
            f" {number(beyond[axis][1])} measured"
            for axis in AXES
            if axis in beyond
        ]
        return _silent(f"not measured ({'; '.join(words)})", measure)
    found, silent = estimates(known, ask.case)
    if not found:
        return _silent(
            f"the model is off by more than {OFFERED:.0%} about here, so it is not offered", measure
        )
    return _answer(ask, found, silent, measure)


def _silent(why: str, measure: str) -> Advice:
    return Advice(because=why, sure=Sure.OPEN, measure=measure)


def estimates(known: Advising, case: Case) -> tuple[list[_Estimate], list[str]]:
    """Return each way's pace in a case, the best first, and of which ways nothing can be told."""
    near = next((each for each in known.cells if _is_near(each.case, case)), None)
    model = known.fitted
    found, silent = [], []
    for way in known.ways:
        if near is not None and way.name in near.paces:
            found.append(_Estimate(way, *near.paces[way.name], measured=True))
        elif (answer := model.answer(way.name, case, OFFERED)) is not None:
            found.append(_Estimate(way, *answer, measured=False))
        else:
            silent.append(way.name)
    return sorted(found, key=lambda each: -each.pace), silent


def _is_near(one: Case, other: Case) -> bool:
    return all(
        abs(getattr(one, axis) - getattr(other, axis))
        <= max(NEAR * abs(getattr(one, axis)), NEAR_MS if axis in TIMES else 0)
        for axis in AXES
    )


def _occupied_ms(way: AdvisedWay, case: Case) -> float:
    """Return for how long a request occupies what lets it in, by the model where there is one."""
    if not way.model:
        return case.wait_ms
    model = Way(way.name, way.at_once, *way.model)
    return model.demand_ms(case) + model.wait_ms(case)


def freeze_ms(way: AdvisedWay, case: Case) -> float:
    """Return for how long a request of a way keeps the loop from others, at p99 or longer."""
    return _occupied_ms(way, case) if way.holds_loop else way.lag_ms


def _answer(ask: Ask, found: Sequence[_Estimate], silent: Sequence[str], measure: str) -> Advice:
    each_rps = ask.rps / ask.parallel
    frozen = [each for each in found if ask.websockets and freeze_ms(each.way, ask.case) > FELT_MS]
    left = [each for each in found if each not in frozen]
    carrying = [each for each in left if each.holds >= each_rps]
    notes = _notes(ask, frozen, silent)
    if not carrying:
        return _too_much(ask, left, notes, measure)
    top = carrying[0]
    rivals = [
        each
        for each in carrying[1:]
        if each.pace * (1 + each.error) >= top.pace * (1 - top.error)
        and (ask.celery or top.way.broker or not each.way.broker)
    ]
    how = "measured" if top.measured else "by the model"
    because = (
        f"{top.way.name} does {number(top.pace)}/s ± {top.error:.0%} {how}, {number(ask.rps)}/s is"
        f" {each_rps / (top.pace * top.way.share):.0%} of what holds the objective"
    )
    second = next((each for each in carrying[1:] if each not in rivals), None)
    if second is not None:
        because += f"; {second.way.name} does {second.pace / top.pace:.2f} x"
    elif len(found) == 1:
        because += "; of no other is anything known here"
    return Advice(
        use=(top.way.name, *(each.way.name for each in rivals)),
        because=because,
        costs=_costs(top.way, ask),
        # to be known as best takes something that is known beside it
        sure=Sure.OPEN if rivals or len(found) == 1 else Sure.KNOWN,
        notes=(_needs(top.way, ask, each_rps), *_patience(ask, [top, *rivals]), *notes),
        measure=measure,
        pace=(top.pace, top.error),
    )


def _too_much(ask: Ask, left: Sequence[_Estimate], notes: Sequence[str], measure: str) -> Advice:
    if not left:
        because = f"all that were measured freeze the loop for more than {number(FELT_MS)} ms"
        return Advice(because=because, sure=Sure.KNOWN, notes=tuple(notes), measure=measure)
    best = max(left, key=lambda each: each.holds)
    wanted = math.ceil(ask.rps / best.holds - 1e-9) if best.holds > 0 else 0
    because = (
        f"no way carries {number(ask.rps)}/s on {_processes(ask.parallel)} for certain:"
        f" {best.way.name} holds {number(best.holds * ask.parallel)}/s"
    )
    more = f"{_processes(wanted)} on as many cores would, if the database keeps up"
    return Advice(because=because, sure=Sure.KNOWN, notes=(more, *notes), measure=measure)


def _processes(count: int) -> str:
    return "one process" if count == 1 else f"{count} processes"


def _costs(way: AdvisedWay, ask: Ask) -> str:
    parts = [] if way.broker and ask.celery else list(way.parts)
    return ", ".join(parts) or "nothing"


def _needs(way: AdvisedWay, ask: Ask, each_rps: float) -> str:
    """Say how many of what lets requests in are wanted: Little's law."""
    occupied = _occupied_ms(way, ask.case)
    wanted = max(1, math.ceil(each_rps * occupied / 1000 / BUSY - 1e-9))
    return f"{way.resource}: {wanted} would do, {way.at_once} were measured"


def _notes(ask: Ask, frozen: Sequence[_Estimate], silent: Sequence[str]) -> list[str]:
    notes = []
    if frozen:
        named = [f"{each.way.name} ({number(freeze_ms(each.way, ask.case))} ms)" for each in frozen]
        notes.append(f"left out, since they freeze the loop: {listed(named)}")
    if ask.processes > ask.cores:
        notes.append("more processes than cores add nothing")
    if ask.parallel > 1:
        notes.append(
            f"the pace of one process is multiplied by {ask.parallel}: not measured, and the"
            " database must keep up"
        )
    if silent:
        notes.append(f"not told of {listed(list(silent))}: the model is off too far there")
    return notes


HUNDREDTH = math.log(100)
"""Of those that wait in a queue, one in a hundred waits so many times the mean or longer."""


def impatient_rps(top: _Estimate, ask: Ask) -> float | None:
    """Return the load from which on one client in a hundred gives up, 1/s; None: at any load.

    Who waits in a queue does so for a time that is exponential, with a mean of one over what the
    pace exceeds the load by (Kleinrock, *Queueing Systems* I, 3.5: M/M/c).
    """
    left_s = (ask.patience_ms - _occupied_ms(top.way, ask.case)) / 1000
    if left_s <= 0:
        return None
    found = (top.pace - HUNDREDTH / left_s) * ask.parallel
    return found if found > 0 else None


def _patience(ask: Ask, best: Sequence[_Estimate]) -> list[str]:
    """Say from which load on the clients' patience matters, and what overloads have shown."""
    if not ask.patience_ms:
        return []
    rps = impatient_rps(best[0], ask)
    given_up = f"clients who wait {number(ask.patience_ms)} ms give up"
    if rps is None:
        notes = [f"{given_up}, one in a hundred or more, at any load"]
    else:
        notes = [f"{given_up} from {number(rps)}/s on, one in a hundred"]
    shown = [
        f"{each.way.name} answered {number(each.way.overload[1], 2)} of what its pace allows in"
        f" time at {number(each.way.overload[0])} x"
        for each in best
        if each.way.overload is not None
    ]
    told = listed(shown) if shown else f"not measured: {PROGRAM} run --scenario overload"
    return [*notes, f"in an overload: {told}"]


def measuring(known: Advising, ask: Ask) -> str:
    """Return the command that would measure a case."""
    knobs = f"map:grid=one:queries={ask.queries:g}:ms={ask.ms:g}"
    if ask.rows != 1:
        knobs = f"page:queries={ask.queries:g}:rows={ask.rows:g}"
    more = f" --vary app:processes=1,{ask.processes}" if ask.processes > 1 else ""
    names = f" --strategy {known.strategies}" if known.strategies else ""
    return f"{PROGRAM} run{names} --scenario {knobs} --rtt {ask.rtt_ms:g}{more} --profile standard"


def grid(known: Advising) -> list[tuple[Ask, Advice]]:
    """Return the answers at places within what was measured, for those without the form."""
    if not known.cells:
        return []

    def values(axis: str, *between: float) -> list[float]:
        seen = sorted({getattr(each.case, axis) for each in known.cells})
        inner = [each for each in between if seen[0] < each < seen[-1]]
        return sorted({round(each, 2) for each in (seen[0], *inner, seen[-1])})

    return [
        (ask, advise(known, ask))
        for rtt_ms in values("rtt_ms")
        for queries in values("queries")
        for ms in values("ms", 5)
        if queries * ms <= MOST_MS
        for ask in (Ask(rtt_ms=rtt_ms, queries=queries, ms=ms, rps=1),)
    ]


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
    overload : load over its pace, and the share of that which it then answered in time; None: it
        was not overloaded.
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
    overload: tuple[float, float] | None = None


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
        if asked.asks and each.findings.tables[PACE.name].cells
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
    limits = variant.limits.items()
    return min(limits, key=lambda each: each[1], default=("connections", connections))


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
        overload=next(
            ((own.factor, own.share) for each in comparisons if (own := _overload(each, name))),
            None,
        ),
    )


def _overload(comparison: Comparison, name: str) -> Outcomes | None:
    return comparison.findings.overloads.get(name)


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
