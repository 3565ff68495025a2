"""Verdicts -> the decision: for each kind of work what to use, why, its price, how sure. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.conditions import FELT_MS, NOTABLE
from asyncdb_bench.analysis.turn_verdict import minutes, percent_within, times
from asyncdb_bench.analysis.turns.answers import Answer, Said
from asyncdb_bench.analysis.turns.findings import TurnFindings
from asyncdb_bench.analysis.turns.values import CPU, PACE
from asyncdb_bench.analysis.verdict import rate
from asyncdb_bench.analysis.verdict_parts import Verdict
from asyncdb_bench.records.plan import PlannedScenario, Variant
from asyncdb_bench.text import listed, number
from asyncdb_bench.text import ratio as as_ratio


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
    use : variants; none: nothing can be recommended.
    because : one figure with its interval.
    costs : what it takes beside the others.
    sure : how sure that is.
    what_then : what would make it surer, or why it is not sound.
    open : variants of which it is not known whether they fall short.
    """

    scenario: str
    work: str
    use: tuple[str, ...]
    because: str
    costs: str
    sure: Sure
    what_then: str = ""
    open: tuple[str, ...] = ()


def whole_sentence(choices: Sequence[Choice]) -> str:
    """Return one sentence over several kinds of work; empty: nothing can be recommended.

    A variant is named for all of them only where it leads in each, or where nothing is known to do
    better there.
    """
    told = [each for each in choices if each.use]
    if not told:
        return ""
    doubt = "; not all of it is sound" if any(e.sure is Sure.UNSOUND for e in told) else ""
    everywhere = " throughout" if len(told) > 1 else ""
    for known in (True, False):
        able = [set(each.use if known else (*each.use, *each.open)) for each in told]
        shared = [name for name in (*told[0].use, *told[0].open) if all(name in a for a in able)]
        if shared:
            better = "" if known else ": nothing is known to do better"
            return f"use {' or '.join(shared)}{everywhere}{better}{doubt}"
    by_use: dict[tuple[str, ...], list[str]] = {}
    for each in told:
        by_use.setdefault(each.use, []).append(each.scenario)
    parts = [f"{' or '.join(use)} for {listed(names)}" for use, names in by_use.items()]
    return f"use {', '.join(parts)}{doubt}"


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
    found = comparison.turns
    work = asked.work or asked.label
    if not verdict.best:
        return Choice(
            scenario=asked.label, work=work, use=(), because=verdict.sentence, costs="–",
            sure=Sure.UNSOUND,
        )  # fmt: skip
    turned = found if found is not None and found.leader else None
    because, then = (
        _of_turns(turned, verdict) if turned else _of_ladders(comparison, verdict)
    )  # fmt: skip
    return Choice(
        scenario=asked.label,
        work=work,
        use=verdict.best,
        because=because,
        costs=costs_of(verdict.best[0], comparison, variants),
        sure=_sure(verdict, turned),
        what_then=then if verdict.sound else "NOT SOUND: it rests on invalid measurements",
        open=verdict.open,
    )


def _sure(verdict: Verdict, found: TurnFindings | None) -> Sure:
    if not verdict.sound:
        return Sure.UNSOUND
    if verdict.open or (found is None and len(verdict.best) > 1):
        return Sure.OPEN
    return Sure.SAME if len(verdict.best) > 1 else Sure.KNOWN


def _of_turns(found: TurnFindings, verdict: Verdict) -> tuple[str, str]:
    """Return the nearest answer that decides or is open, and what would tell what is open."""
    beside = [each for each in found.answers[PACE.name] if each.ratio is not None]
    beside.sort(key=lambda each: abs(each.ratio.centre) if each.ratio else math.inf)
    open_ = [each for each in beside if each.other in verdict.open]
    same = [each for each in beside if each.said is Said.SAME]
    told = [each for each in beside if each.said in (Said.WORSE, Said.BETTER)]
    then = _would_tell(open_, found)
    if open_:
        return pace_of(open_[0]), then
    if same:
        return f"the pace is the same within {_widest(same)}", then
    if told:
        return pace_of(told[0]), then
    return f"{number(found.tables[PACE.name].values[found.leader])}/s; nothing beside it", ""


def _widest(same: Sequence[Answer]) -> str:
    return percent_within(max((e.ratio for e in same if e.ratio), key=lambda ratio: ratio.within))


def pace_of(each: Answer) -> str:
    """Say a variant's pace beside the leader's: ``native does 0.68 x (0.63 to 0.72)``."""
    assert each.ratio is not None
    if each.ratio.bounds is None:
        return f"{each.other} does {as_ratio(each.ratio.ratio)} x, once"
    return f"{each.other} does {times((each.ratio.ratio, *each.ratio.bounds))}"


def _would_tell(open_: Sequence[Answer], found: TurnFindings) -> str:
    if not open_:
        return ""
    if any(each.ratio is None or not each.ratio.known for each in open_):
        return "one block tells nothing of a repetition"
    more = max((each.more_blocks or 0) for each in open_)
    if not more or not found.block_s:
        return ""
    return f"{minutes(more * found.block_s)} would tell {listed([each.other for each in open_])}"


def _of_ladders(comparison: Comparison, verdict: Verdict) -> tuple[str, str]:
    """Return the capacity of the best, and the nearest rival's beside it."""
    best = verdict.best[0]
    text = f"it carries {rate(comparison.capacities[best])}"
    rivals = [
        (name, each)
        for name, each in comparison.standings.items()
        if name not in verdict.best and each.ratio is not None
    ]
    if rivals:
        name, each = max(rivals, key=lambda rival: rival[1].ratio or 0.0)
        bounds = ""
        if each.low is not None and each.high is not None:
            bounds = f" ({as_ratio(each.low)} to {as_ratio(each.high)})"
        text += f"; {name} {as_ratio(each.ratio or 0.0)} x{bounds}"
    then = "more blocks would tell them apart" if len(verdict.best) > 1 else ""
    return text, then


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
    return ", ".join(parts) or "nothing"


def parts_of(variant: Variant) -> list[str]:
    """Return what a variant needs to run beside application and database."""
    parts = [f"{each.copies} {each.role}" for each in variant.parts]
    if variant.brokers:
        parts.append("a broker")
    if variant.needs_store:
        parts.append("a Redis")
    return parts


def _cheaper(name: str, comparison: Comparison) -> str:
    """Say who takes less CPU time for a request, where that is known."""
    found = comparison.turns
    if found is None:
        costs = comparison.rows.get("cpu_ms_per_request")
        if costs is None or name not in costs.dropna().index or costs.dropna().min() <= 0:
            return ""
        least = str(costs.dropna().idxmin())
        times_ = float(costs[name] / costs[least])
        return f"{times_:.1f} x the CPU of {least}" if times_ > NOTABLE else ""
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
        if name not in each.invalid
    ]
    lag, rps, name, scenario = max(found, default=(0.0, 0.0, "", ""))
    if lag < FELT_MS:
        return ""
    return (
        f"With {name}, everyone else waits {number(lag)} ms once in a hundred requests"
        f" ({scenario}, {number(rps)}/s)"
    )
