"""The reader's own case -> what to use, from what was measured and the model fitted to it. Pure.

The same reckoning is in the page's script, so that it answers without a network; a test holds the
two against each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from asyncdb_bench.analysis.advising import OFFERED, AdvisedWay, Advising
from asyncdb_bench.analysis.decision import FELT_MS, Sure
from asyncdb_bench.analysis.pace_model import AXES, TIMES, Case, Way, outside
from asyncdb_bench.analysis.sizing import BUSY
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

    use: tuple[str, ...]
    because: str
    costs: str
    sure: Sure
    notes: tuple[str, ...]
    measure: str
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
    return Advice(use=(), because=why, costs="", sure=Sure.OPEN, notes=(), measure=measure)


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


def freeze_ms(way: AdvisedWay, case: Case) -> float:
    """Return for how long a request of a way keeps the loop from others, at p99 or longer."""
    if not way.holds_loop:
        return way.lag_ms
    if not way.model:
        return case.wait_ms
    model = Way(way.name, way.at_once, *way.model)
    return model.demand_ms(case) + model.wait_ms(case)


def _answer(ask: Ask, found: Sequence[_Estimate], silent: Sequence[str], measure: str) -> Advice:
    each_rps = ask.rps / ask.parallel
    frozen = [each for each in found if ask.websockets and freeze_ms(each.way, ask.case) > FELT_MS]
    left = [each for each in found if each not in frozen]
    carrying = [each for each in left if each.holds >= each_rps]
    notes = _notes(ask, frozen, silent)
    if not carrying:
        return _too_much(ask, left, notes, measure)
    top = carrying[0]
    rivals = [each for each in carrying[1:] if _overlap(top, each)]
    if not ask.celery and not top.way.broker:
        rivals = [each for each in rivals if not each.way.broker]
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
        notes=(_needs(top.way, ask, each_rps), *notes),
        measure=measure,
        pace=(top.pace, top.error),
    )


def _overlap(top: _Estimate, other: _Estimate) -> bool:
    return other.pace * (1 + other.error) >= top.pace * (1 - top.error)


def _too_much(ask: Ask, left: Sequence[_Estimate], notes: Sequence[str], measure: str) -> Advice:
    if not left:
        because = f"all that were measured freeze the loop for more than {number(FELT_MS)} ms"
        return Advice(
            use=(), because=because, costs="", sure=Sure.KNOWN, notes=tuple(notes), measure=measure
        )
    best = max(left, key=lambda each: each.holds)
    wanted = math.ceil(ask.rps / best.holds - 1e-9) if best.holds > 0 else 0
    because = (
        f"no way carries {number(ask.rps)}/s on {_processes(ask.parallel)} for certain:"
        f" {best.way.name} holds {number(best.holds * ask.parallel)}/s"
    )
    more = (f"{_processes(wanted)} on as many cores would, if the database keeps up",)
    return Advice(
        use=(), because=because, costs="", sure=Sure.KNOWN, notes=(*more, *notes), measure=measure
    )


def _processes(count: int) -> str:
    return "one process" if count == 1 else f"{count} processes"


def _costs(way: AdvisedWay, ask: Ask) -> str:
    parts = [] if way.broker and ask.celery else list(way.parts)
    return ", ".join(parts) or "nothing"


def _needs(way: AdvisedWay, ask: Ask, each_rps: float) -> str:
    """Say how many of what lets requests in are wanted: Little's law."""
    occupied = ask.case.wait_ms
    if way.model:
        model = Way(way.name, way.at_once, *way.model)
        occupied = model.demand_ms(ask.case) + model.wait_ms(ask.case)
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
