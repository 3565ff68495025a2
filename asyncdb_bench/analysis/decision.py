"""Verdicts -> the decision: for each kind of work what to use, why, its price, how sure. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

import msgspec

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.findings import ScenarioFindings
from asyncdb_bench.analysis.inference import CPU, GOODPUT, Said
from asyncdb_bench.analysis.metric_table import Answer
from asyncdb_bench.analysis.overload import Outcomes
from asyncdb_bench.analysis.verdict import (
    OPEN_ENDED,
    Verdict,
    does,
    duration_words,
    leader_value,
    more_seconds,
    percent,
    rate,
    ratio_words,
)
from asyncdb_bench.records.plan import PlannedScenario, Reach, Variant
from asyncdb_bench.records.step import RoundTrip
from asyncdb_bench.text import listed, number
from asyncdb_bench.text import ratio as as_ratio

LOOPBACK_MS = 0.2
"""A round trip below it, with nothing added, is loopback's."""
OFF_MS, OFF = 0.08, 0.10
"""How far off a round trip may be, milliseconds or a share, before the measured one is named."""


def away(reach: Reach, found: Sequence[RoundTrip]) -> str:
    """Say how far away the database was, as it was measured; empty where it was not.

    Parameters
    ----------
    reach : how it was reached.
    found : round trips of the trials.
    """
    measured = measured_ms(found, "database")
    if not measured:
        return ""
    if not reach.rtt_ms and measured < LOOPBACK_MS:
        where = f"with the database on loopback ({measured:.2f} ms)"
    elif not reach.rtt_ms:
        where = f"with the database {number(measured)} ms away, as it is"
    elif is_off(reach.rtt_ms, measured):
        where = f"with the database {number(measured, 2)} ms away, not {reach.rtt_ms:g}"
    else:
        where = f"with the database {reach.rtt_ms:g} ms away"
    if reach.via == "pgbouncer":
        where += " behind PgBouncer"
    if reach.tls:
        where += " over TLS"
    if reach.broker_rtt_ms:
        where += f" and the broker {reach.broker_rtt_ms:g} ms"
    return where


def is_off(asked_ms: float, measured_ms_: float) -> bool:
    """Return whether a round trip was not what was asked for, so that the measured one is named."""
    return abs(measured_ms_ - asked_ms) > max(OFF_MS, OFF * asked_ms)


def measured_ms(found: Sequence[RoundTrip], to: str) -> float:
    """Return the median of what was measured, milliseconds; 0: nothing was."""
    known = sorted(
        each.measured_ms for each in found if each.to == to and each.measured_ms is not None
    )
    return known[len(known) // 2] if known else 0.0


def placed(verdict: Verdict, asked: PlannedScenario, comparison: Comparison) -> Verdict:
    """Return a verdict that says how far away the database was.

    Parameters
    ----------
    verdict, comparison : of the scenario.
    asked : it; where variants differ in how they reach the database nothing is said.
    """
    where = away(asked.reach, comparison.round_trips)
    asked_ms = {each.asked_ms for each in comparison.round_trips if each.to == "database"}
    if not where or len(asked_ms) > 1:
        return verdict
    return replace(verdict, sentence=f"{where}, {verdict.sentence}")


def trip_rows(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return the round trips that trials really had, by scenario and what they lead to."""
    rows = []
    for comparison in comparisons:
        for to, asked_ms in dict.fromkeys((t.to, t.asked_ms) for t in comparison.round_trips):
            seen = [
                value
                for each in comparison.round_trips
                if (each.to, each.asked_ms) == (to, asked_ms)
                for value in (each.before_ms, each.after_ms)
                if value is not None
            ]
            rows.append(
                {
                    "scenario": comparison.scenario,
                    "to": to,
                    "asked_ms": asked_ms,
                    "median_ms": sorted(seen)[len(seen) // 2],
                    "low_ms": min(seen),
                    "high_ms": max(seen),
                }
            )
    return rows


FELT_MS = 10.0
"""A loop lag below it is no reason to choose otherwise."""
MOST_SHARED = 2
"""Variants that a sentence over several kinds of work names as equally good."""
MOST_NAMED = 2
"""Variants that are named where several are slower; more are counted: the table names them."""
NOTHING = "nothing"
NO_DIFFERENCE = "no difference: all are the same"


class Sure(StrEnum):
    """How sure a decision is."""

    KNOWN = "known"
    SAME = "the same"
    OPEN = "not known"
    UNSOUND = "not sound"


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to use for one kind of work.

    Parameters
    ----------
    scenario : its label.
    work : what a request looks like.
    use : variants that are known to be best, or the same; none: nothing can be recommended.
    answer : what is said of it, in a few words; it claims no more than is known.
    because : one figure with its interval.
    costs : what it takes beside the others.
    sure : how sure that is.
    what_then : what would make it surer, or why it is not sound.
    ahead : the variant that was ahead where it is not known which is best.
    open : variants of which it is not known whether they fall short.
    """

    scenario: str
    work: str
    use: tuple[str, ...]
    answer: str
    because: str
    costs: str
    sure: Sure
    what_then: str = ""
    ahead: str = ""
    open: tuple[str, ...] = ()


def whole_sentence(choices: Sequence[Choice]) -> str:
    """Return one sentence over several kinds of work; empty: nothing was compared.

    A variant is recommended where it is known to be best, or the same as the best, and nowhere
    else; what is open is said to be.
    """
    told = [each for each in choices if each.use or each.ahead]
    if not told:
        return ""
    shared = [name for name in told[0].use if all(name in each.use for each in told)]
    differs = any(each.answer != NO_DIFFERENCE for each in told)
    if differs and 0 < len(shared) <= MOST_SHARED and len(told) == len(choices):
        everywhere = " throughout" if len(told) > 1 else ""
        return f"use {' or '.join(shared)}{everywhere}"
    groups = _groups(told, _short)
    if len(groups) > 1:
        # who was ahead is in the rows
        groups = _groups(told, lambda each: _short(each).partition(":")[0])
    parts = [
        words if len(groups) == 1 else f"{words} for {listed(names)}"
        for words, names in groups.items()
    ]
    return "; ".join(parts)


def _groups(choices: Sequence[Choice], words: Callable[[Choice], str]) -> dict[str, list[str]]:
    """Return the scenarios of which the same is said, by what is said."""
    groups: dict[str, list[str]] = {}
    for each in choices:
        groups.setdefault(words(each), []).append(each.scenario)
    return groups


def _short(choice: Choice) -> str:
    """Return what a sentence over several kinds of work says of one."""
    if choice.use and choice.sure is Sure.KNOWN:
        return f"use {choice.use[0]}"
    if choice.use and choice.answer != NO_DIFFERENCE:
        return f"use {choice.answer}"
    return choice.answer.partition(" (")[0]


def choice_of(
    asked: PlannedScenario,
    comparison: Comparison,
    verdict: Verdict,
    variants: Mapping[str, Variant],
) -> Choice:
    """Return what to use for the work of one scenario.

    Parameters
    ----------
    asked, comparison, verdict : of the scenario.
    variants : by label, for what each takes to run.
    """
    found = comparison.findings
    work = asked.work or asked.label
    if not verdict.best:
        return Choice(
            scenario=asked.label, work=work, use=(), answer="no answer",
            because=verdict.sentence, costs="–", sure=Sure.UNSOUND,
        )  # fmt: skip
    sure = _sure(verdict)
    known = sure in (Sure.KNOWN, Sure.SAME)
    leader = found.leader
    costs = costs_of(leader, comparison, variants)
    return Choice(
        scenario=asked.label,
        work=work,
        use=verdict.best if known else (),
        answer=_answer(verdict, sure, leader),
        because=_because(comparison, verdict),
        # where nothing is recommended, "nothing" would be the price of something
        costs=costs if known or costs != NOTHING else "–",
        sure=sure,
        what_then=_what_then(verdict, sure, found, variants),
        ahead="" if known or verdict.alone else leader,
        open=verdict.open,
    )


def _sure(verdict: Verdict) -> Sure:
    if not verdict.sound:
        return Sure.UNSOUND
    if verdict.open or verdict.alone:
        return Sure.OPEN
    return Sure.SAME if len(verdict.best) > 1 else Sure.KNOWN


def _answer(verdict: Verdict, sure: Sure, leader: str) -> str:
    """Return what is said of one kind of work; a list of all variants is no answer."""
    if verdict.alone:
        return f"{leader} alone was measured"
    if sure is Sure.KNOWN:
        return leader
    if sure is Sure.SAME:
        names = " or ".join(verdict.best)
        return names if verdict.others else NO_DIFFERENCE
    few = len(verdict.others) <= MOST_NAMED
    others = listed(verdict.others) if few else f"{len(verdict.others)} others"
    slower = f" ({others} slower)" if verdict.others else ""
    words = "not sound" if sure is Sure.UNSOUND else "not known yet"
    return f"{words}: {leader} was ahead{slower}"


def _because(comparison: Comparison, verdict: Verdict) -> str:
    """Return the nearest answer that decides or is open."""
    found = comparison.findings
    if found.main is GOODPUT:
        return overload_words(found)
    if verdict.alone:
        return f"{verdict.best[0]} {does(found.main)} {leader_value(found)}"
    beside = sorted(
        (each for each in found.beside if each.ratio is not None),
        key=lambda each: abs(each.ratio.centre) if each.ratio else math.inf,
    )
    open_ = [each for each in beside if each.other in verdict.open]
    same = [each for each in beside if each.said is Said.SAME]
    if open_:
        return beside_words(open_[0])
    if same:
        widest = max(each.ratio.within for each in same if each.ratio)
        return f"the {found.main.title} is the same within {percent(widest)}"
    if beside:
        return beside_words(beside[0])
    carried = comparison.capacities.get(found.leader)
    return f"{found.leader} carries {rate(carried)}" if carried else verdict.sentence


def beside_words(each: Answer) -> str:
    """Say a variant's figure beside the leader's: ``native does 0.68 x (0.63 to 0.72)``."""
    assert each.ratio is not None
    return f"{each.other} {does(each.metric)} {ratio_words(each.ratio)}"


def overload_words(found: ScenarioFindings) -> str:
    """Say what the best does in an overload, and the one that is farthest behind it."""
    best = found.overloads[found.leader]
    told = [
        f"at {best.factor:g} x its pace {best.variant} answers {in_time(best)} of it in time and"
        f" {back_words(best)}"
    ]
    others = [each for name, each in found.overloads.items() if name != found.leader]
    if others:
        worst = min(others, key=lambda each: each.share)
        told.append(f"{worst.variant} {in_time(worst)}, {back_words(worst)}")
    return "; ".join(told)


def in_time(each: Outcomes) -> str:
    """Return what a variant answered in time in its overloads, as a share of its pace."""
    return number(each.during, 2)


def back_words(each: Outcomes) -> str:
    """Say how long a variant needs to come back from its overloads."""
    if each.recovery_s is None:
        return f"is not back within {each.after_s:g} s"
    return f"is back after {number(each.recovery_s, 2)} s" if each.recovery_s else "is back at once"


def _what_then(
    verdict: Verdict, sure: Sure, found: ScenarioFindings, variants: Mapping[str, Variant]
) -> str:
    """Say what would tell what is open."""
    if verdict.alone:
        (only,) = verdict.best
        added = f"STRATEGY={only},{','.join(others_than(only))}"
        if only in variants and variants[only].target is not None:
            added = "another --target"
        return f"nothing was measured beside it: add {added}"
    if sure is Sure.UNSOUND:
        return "what is doubtful could turn it: see What to doubt"
    open_ = [each for each in found.beside if each.other in verdict.open]
    if not open_:
        return ""
    if any(found.capacities[each.other].open_ended for each in open_):
        return OPEN_ENDED
    if any(each.ratio is None or not each.ratio.known for each in open_):
        return "too few rounds: measure for longer"
    more_s = max(more_seconds(each, found) for each in open_)
    names = listed([each.other for each in open_])
    return f"{duration_words(more_s)} would tell {names}" if more_s else ""


def others_than(name: str) -> tuple[str, ...]:
    """Return what to compare a variant with where it was measured alone."""
    usual = ("executor", "native")
    return tuple(each for each in usual if each != name.partition(":")[0]) or usual


def costs_of(name: str, comparison: Comparison, variants: Mapping[str, Variant]) -> str:
    """Say what a variant takes that others of the comparison do without.

    Parameters
    ----------
    name : of the variant.
    comparison : for CPU time and the loop's lag, and for whom it is held against.
    variants : by label, for connections and parts.
    """
    parts = []
    if cheaper := _cheaper(name, comparison):
        parts.append(cheaper)
    mine = variants.get(name)
    others = [each for label, each in variants.items() if label in comparison.capacities]
    if mine is not None:
        least = min((each.budget for each in others), default=mine.budget)
        if mine.budget > least:
            parts.append(f"{mine.budget} connections instead of {least}")
        parts += parts_of(mine)
    if _surely_felt(name, comparison):
        parts.append(f"the loop freezes for {number(lag_ms(name, comparison))} ms")
    return ", ".join(parts) or NOTHING


def parts_of(variant: Variant) -> list[str]:
    """Return what a variant needs to run beside application and database."""
    parts = [f"{each.copies} {each.role}" for each in variant.parts]
    if variant.brokers and not variant.one_redis:
        parts.append("a broker")
    if variant.needs_store:
        parts.append("a Redis")
    return parts


def _cheaper(name: str, comparison: Comparison) -> str:
    """Say who takes less CPU time for a request, where that is known."""
    found = comparison.findings
    known = [
        each
        for each in found.answers.get(CPU.name, ())
        if each.said is Said.BETTER and each.ratio is not None
    ]
    if name != found.leader or not known:
        return ""
    best = min(known, key=lambda each: each.ratio.ratio if each.ratio else math.inf)
    assert best.ratio is not None
    return f"{as_ratio(1 / best.ratio.ratio)} x the CPU of {best.other}"


def lag_ms(name: str, comparison: Comparison) -> float:
    """Return the p99 of a variant's loop lag at the common load, milliseconds; 0: not known."""
    if name not in comparison.rows.index:
        return 0.0
    value = float(comparison.rows.loc[name].get("loop_lag_p99_ms") or 0.0)
    return 0.0 if math.isnan(value) else value


def _surely_felt(name: str, comparison: Comparison) -> bool:
    """Return whether a variant's freeze is felt, and not by one bad second alone."""
    if name not in comparison.rows.index:
        return False
    row = comparison.rows.loc[name]
    least: Any = row.get("loop_lag_p99_ms_low")
    known = least is not None and not math.isnan(least)
    return lag_ms(name, comparison) > FELT_MS and (not known or float(least) > FELT_MS)


def held_lag_ms(name: str, comparison: Comparison) -> tuple[float, float]:
    """Return a variant's loop lag p99, milliseconds, and the load that it is of, 1/s.

    At the common load; of one that was not asked for that, at the lowest that it was asked for.
    """
    load = comparison.common_rps
    if load is not None and name in comparison.rows.index:
        return lag_ms(name, comparison), load
    table = comparison.by_load
    own = table[(table.variant == name) & table.valid & table.loop_lag_p99_ms.notna()]
    if own.empty:
        return 0.0, 0.0
    first = next(own.sort_values("offered_rps").itertuples())
    return float(str(first.loop_lag_p99_ms)), float(str(first.offered_rps))


def felt_sentence(comparisons: Sequence[Comparison]) -> str:
    """Say what people feel of the worst freeze of the loop; empty: there is none to feel."""
    found = [
        (*held_lag_ms(name, each), name, each.scenario)
        for each in comparisons
        for name in each.capacities
        if name not in each.invalid and (name not in each.rows.index or _surely_felt(name, each))
    ]
    lag, rps, name, scenario = max(found, default=(0.0, 0.0, "", ""))
    if lag < FELT_MS:
        return ""
    return (
        f"With {name}, everyone else waits {number(lag)} ms once in a hundred requests"
        f" ({scenario}, {number(rps)}/s)"
    )
