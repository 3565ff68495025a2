"""Findings -> a verdict on each scenario: who is best, and of whom that is not known. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.findings import Carried, ScenarioFindings
from asyncdb_bench.analysis.inference import CAPACITY, GOODPUT, HOLDS, Metric, Ratio, Said
from asyncdb_bench.analysis.metric_table import Answer
from asyncdb_bench.records.doubts import sentence
from asyncdb_bench.text import counted, listed, number, ratio_bounds, warranted
from asyncdb_bench.text import ratio as as_ratio

OPEN_ENDED = "the ladder ended before it was saturated: ask for more load, or give it more time"
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one scenario.

    Parameters
    ----------
    scenario : its label.
    best : the leader and those that are known to be the same; empty where there is none.
    sentence : who is best, by how much, and of whom that is not known.
    sureness : how far it can be relied on.
    sound : False where it rests on invalid turns or on nothing.
    others : variants that are known to be worse.
    open : variants of which it is not known whether they are.
    alone : nothing was measured beside the one variant.
    """

    scenario: str
    best: tuple[str, ...]
    sentence: str
    sureness: str
    sound: bool
    others: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    alone: bool = False


def decide(comparison: Comparison) -> Verdict:
    """Return the verdict on one scenario."""
    found = comparison.findings
    if not found.leader:
        return _nothing(comparison)
    beside = found.beside
    same = [each.other for each in beside if each.said is Said.SAME]
    shaky = [name for name in found.table.values if name in comparison.invalid]
    turned = [each.other for each in beside if each.said is Said.UNSOUND]
    return Verdict(
        scenario=comparison.scenario,
        best=(found.leader, *same),
        sentence=pace_sentence(found),
        sureness=_sureness(comparison, shaky),
        sound=not shaky and not turned,
        others=tuple(each.other for each in beside if each.said is Said.WORSE),
        open=(
            *(e.other for e in beside if e.said in (Said.UNKNOWN, Said.UNSOUND)),
            *left_out(found),
        ),
        alone=len(comparison.capacities) == 1,
    )


def _nothing(comparison: Comparison) -> Verdict:
    """Return the verdict on a scenario of which nothing can be said."""
    text = "nothing was measured"
    if comparison.findings.main is GOODPUT and comparison.capacities:
        text = "nothing is ranked, since no two were overloaded: a pace says nothing of an overload"
    elif comparison.capacities:
        text = (
            "no variant carried even the lowest offered load; ask for less (a lower ladder) or look"
            " at the logs"
        )
    if comparison.invalid and set(comparison.invalid) >= set(comparison.capacities):
        first = next(iter(comparison.invalid.values()))[0]
        text = f"nothing is ranked, since no variant was measured soundly: {sentence(first)}"
    elif comparison.not_run and not comparison.capacities:
        name, why = next(iter(comparison.not_run.items()))
        text = f"nothing was measured: {name}: {why}"
    return Verdict(comparison.scenario, (), text, "", sound=False)


def pace_sentence(found: ScenarioFindings) -> str:
    """Say who is best by the metric that ranks, by how much, and of whom that is not known."""
    leader, beside = found.leader, found.beside
    value = leader_value(found)
    if not beside:
        return f"{leader} {does(found.main)} {value}; nothing was measured beside it"
    faster = "answers more in time" if found.main is GOODPUT else "is faster"
    slower = _nearest_first(each for each in beside if each.said in (Said.WORSE, Said.BETTER))
    same = [each for each in beside if each.said is Said.SAME]
    open_ = [each for each in beside if each.said in (Said.UNKNOWN, Said.UNSOUND)]
    parts = []
    if same:
        names = listed([leader, *(each.other for each in same)])
        within = max(each.ratio.within for each in same if each.ratio)
        parts.append(f"{names} are the same within {percent(within)} ({value})")
    if slower:
        head = f"{leader} ({value})" if not same else leader
        parts.append(f"{head} {faster} {listed([_faster(each) for each in slower])}")
    if open_:
        head = "not known" if parts else f"{leader} ({value}) was ahead; not known"
        parts.append(f"{head} {listed([unknown(each, found) for each in open_])}")
    return "; ".join(parts)


def does(metric: Metric) -> str:
    """Return the verb that goes with a figure: ``native does 800/s``."""
    return {CAPACITY: "carries", GOODPUT: "answers"}.get(metric, "does")


def left_out(found: ScenarioFindings) -> tuple[str, ...]:
    """Return who was measured and has no value by the metric that ranks: not overloaded yet."""
    if found.main is not GOODPUT:
        return ()
    return tuple(name for name in found.capacities if name not in found.table.cells)


def _nearest_first(answers: Iterable[Answer]) -> list[Answer]:
    return sorted(answers, key=lambda each: abs(each.ratio.centre) if each.ratio else math.inf)


def _faster(each: Answer) -> str:
    """Say by how much the leader exceeds another."""
    assert each.ratio is not None
    return f"than {each.other} by {ratio_words(each.ratio.inverse)}"


def ratio_words(ratio: Ratio) -> str:
    """Return a ratio with its interval as text, e.g. ``1.42 x (1.38 to 1.46)``."""
    if ratio.bounds is None:
        return f"{as_ratio(ratio.ratio)} x"
    return f"{as_ratio(ratio.ratio)} x ({' to '.join(ratio_bounds(*ratio.bounds))})"


def unknown(each: Answer, found: ScenarioFindings) -> str:
    """Say between what a ratio lies that is not known, and how long it would take to tell."""
    if found.capacities[each.other].open_ended:
        return f"against {each.other}: {OPEN_ENDED}"
    if each.ratio is None or each.ratio.bounds is None:
        return f"against {each.other}: too few rounds"
    if each.said is Said.UNSOUND:
        return f"against {each.other}: what is doubtful could turn it"
    low, high = each.ratio.inverse.bounds or (math.nan, math.nan)
    text = f"against {each.other}: between {as_ratio(low)} and {as_ratio(high)} x"
    more_s = more_seconds(each, found)
    return f"{text}, {duration_words(more_s)} would tell" if more_s else text


def more_seconds(each: Answer, found: ScenarioFindings) -> float:
    """Return how many more seconds of measuring would probably tell what is open; 0: not known."""
    if each.times_more is None or not found.table.rounds:
        return 0.0
    return max(0.0, each.times_more - 1) * found.spent_s * 1.3


def duration_words(seconds: float) -> str:
    """Return more measuring as text."""
    if seconds > DAY_S:
        return "more than a day"
    whole = max(1, math.ceil(seconds / 60))
    return f"{counted(whole, 'more minute')}" if whole < 120 else f"{whole / 60:.0f} more hours"


def leader_value(found: ScenarioFindings) -> str:
    """Return the leader's value by the metric that ranks, with its unit."""
    if found.main is CAPACITY:
        return rate(found.capacities[found.leader])
    value, bounds = found.table.values[found.leader], found.table.bounds(found.leader)
    if found.main is GOODPUT:
        return f"{warranted(value, *(bounds or (None, None)))} of what its pace allows in time"
    return f"{warranted(value, *(bounds or (None, None)))}/s"


def _sureness(comparison: Comparison, shaky: Sequence[str]) -> str:
    found = comparison.findings
    table = found.table
    spread = table.spread_of(found.leader).round
    parts = [
        f"{counted(table.launches, 'launch', 'launches')}, {counted(table.rounds, 'round')},"
        f" {found.turns:,} turns"
    ]
    if spread:
        parts.append(
            f"intervals hold with {HOLDS:.0%} for all pairs at once; a round strays by"
            f" {spread:.1%}, a launch by {table.prior(found.leader).sd:.1%} before those of this"
            " run are looked at"
        )
    for with_broker, whom in ((False, ""), (True, " of those with a broker")):
        smallest = found.smallest(with_broker=with_broker)
        if smallest is not None:
            parts.append(f"smallest difference{whom} that would show: {percent(smallest)}")
    if shaky:
        reasons = "; ".join(f"{name}: {sentence(comparison.invalid[name][0])}" for name in shaky)
        parts.append(f"NOT SOUND, it rests on invalid turns ({reasons})")
    if comparison.absent:
        parts.append(comparison.absent)
    return "; ".join(parts)


def rate(carried: Carried) -> str:
    """Return a capacity as text: ``≥ 400/s`` where the ladder ended first."""
    if carried.rps == 0:
        return f"< {number(carried.high)}/s" if carried.high else "none"
    if carried.open_ended:
        return f"≥ {number(carried.rps)}/s"
    return f"{warranted(carried.rps, carried.low, carried.high)}/s"


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"
