"""Turns -> sentences: one of three answers for each pair and axis, and how sharp it is. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.turns.answers import Answer, Said, Table
from asyncdb_bench.analysis.turns.findings import CAPACITY, TurnFindings
from asyncdb_bench.analysis.turns.nested import CONFIDENCE, HOLDS, Ratio
from asyncdb_bench.analysis.turns.values import CPU, FREEZE, P50, P99, PACE, Axis
from asyncdb_bench.analysis.verdict_parts import Badge, Verdict, nothing_verdict, short_of
from asyncdb_bench.records.sentences import sentence
from asyncdb_bench.text import counted, listed, number, warranted
from asyncdb_bench.text import ratio as as_ratio

BLUNT = 0.25
"""A run whose smallest difference is beyond it is marked."""


def turn_verdict(comparison: Comparison, found: TurnFindings) -> Verdict:
    """Return the verdict on a scenario whose variants took turns."""
    paces = found.tables[PACE.name]
    if not found.leader:
        return nothing_verdict(comparison)
    beside = found.answers[PACE.name]
    same = [each.other for each in beside if each.said is Said.SAME]
    best = (found.leader, *same)
    shaky = [name for name in paces.values if name in comparison.invalid]
    return Verdict(
        scenario=comparison.scenario,
        best=best,
        sentence=pace_sentence(found),
        why=". ".join(filter(None, (_figures(comparison, found), short_of(comparison)))),
        sureness=_sureness(comparison, found, shaky),
        sound=not shaky,
        others=tuple(each.other for each in beside if each.said is Said.WORSE),
        open=tuple(each.other for each in beside if each.said is Said.UNKNOWN),
        conditions=tuple(_axes(comparison, found)),
        badges=_badges(found, shaky),
    )


def pace_sentence(found: TurnFindings) -> str:
    """Say who has the best pace, by how much, and of whom that is not known."""
    table, leader, beside = found.tables[PACE.name], found.leader, found.answers[PACE.name]
    pace = f"{_value(table, leader)}/s"
    if not beside:
        return f"{leader} does {pace}; there is nothing to compare it with"
    slower = _nearest_first(each for each in beside if each.said in (Said.WORSE, Said.BETTER))
    same = [each for each in beside if each.said is Said.SAME]
    open_ = [each for each in beside if each.said is Said.UNKNOWN]
    parts = []
    if same:
        names = listed([leader, *(each.other for each in same)])
        within = max(each.ratio.within for each in same if each.ratio)
        what = "have the same pace" if not slower else "do the same"
        parts.append(f"{names} {what} within {_percent(within)} ({pace})")
    if slower:
        head = f"use {leader} ({pace}): it is" if not same else f"{leader} is"
        parts.append(f"{head} faster {listed([_faster(each) for each in slower])}")
    if open_:
        head = (
            "not known" if parts else f"{leader} ({pace}) is ahead, but it is not known by how much"
        )
        parts.append(f"{head} {listed([unknown(each, found) for each in open_])}")
    return "; ".join(parts)


def _nearest_first(answers: Iterable[Answer]) -> list[Answer]:
    return sorted(answers, key=lambda each: abs(each.ratio.centre) if each.ratio else math.inf)


def _faster(each: Answer) -> str:
    """Say by how much the leader exceeds another."""
    assert each.ratio is not None
    return f"than {each.other} by {times(inverse(each.ratio))}"


def inverse(ratio: Ratio) -> tuple[float, float, float]:
    """Return the leader over the other: ratio and bounds."""
    low, high = ratio.bounds or (math.nan, math.nan)
    return 1 / ratio.ratio, 1 / high, 1 / low


def times(values: tuple[float, float, float]) -> str:
    """Return a ratio with its interval as text, e.g. ``1.42 x (1.38 to 1.46)``."""
    ratio, low, high = values
    return f"{as_ratio(ratio)} x ({as_ratio(low)} to {as_ratio(high)})"


def unknown(each: Answer, found: TurnFindings) -> str:
    """Say between what a ratio lies that is not known, and how long it would take to tell."""
    if each.ratio is None or not each.ratio.known:
        return f"against {each.other}: one block tells nothing of a repetition"
    _, low, high = inverse(each.ratio)
    text = f"against {each.other}: between {as_ratio(low)} and {as_ratio(high)} x"
    if each.more_blocks and found.block_s:
        text += f", {minutes(each.more_blocks * found.block_s)} would tell"
    return text


def minutes(seconds: float) -> str:
    """Return more measuring as text."""
    if seconds > 86_400:
        return "no run of a day"
    whole = max(1, math.ceil(seconds / 60))
    return f"{counted(whole, 'more minute')}" if whole < 120 else f"{whole / 60:.0f} more hours"


def _axes(comparison: Comparison, found: TurnFindings) -> list[str]:
    """Say of every other axis who wins there, where it is not the leader, and by how much."""
    at = f" at {number(comparison.common_rps)}/s" if comparison.common_rps else ""
    named = (
        (CAPACITY, "under the objective"),
        (P50, f"p50{at}"),
        (P99, f"p99{at}"),
        (FREEZE, f"loop freeze (lag p99){at}"),
        (CPU, "CPU per request, idle use taken off"),
    )
    return [said for axis, title in named if (said := _axis(axis, title, found))]


def _axis(axis: Axis, title: str, found: TurnFindings) -> str:
    """Say how the others stand beside the leader on one axis."""
    answers = found.answers.get(axis.name, ())
    if not answers:
        return ""
    parts = []
    better = _nearest_first(each for each in answers if each.said is Said.BETTER)
    worse = _nearest_first(each for each in answers if each.said is Said.WORSE)
    same = [each for each in answers if each.said is Said.SAME]
    open_ = [each for each in answers if each.said is Said.UNKNOWN]
    for group, word in ((better, "better"), (worse, "worse")):
        if group:
            listed_ = listed([f"{each.other} {_ratio_of(each)}" for each in group])
            parts.append(f"{word} {'is' if len(group) == 1 else 'are'} {listed_}")
    if same:
        within = max(each.ratio.within for each in same if each.ratio)
        parts.append(f"the same within {_percent(within)}: {listed([e.other for e in same])}")
    if open_:
        parts.append(f"not known {listed([_open(each) for each in open_])}")
    value = _of_leader(axis, found)
    return f"{title}: {found.leader} {value}; {'; '.join(parts)}"


def _of_leader(axis: Axis, found: TurnFindings) -> str:
    if axis is CAPACITY:
        value, low, high = found.capacities[found.leader]
        return f"carries {warranted(value, low, high)}/s"
    table = found.tables[axis.name]
    text = f"{_value(table, found.leader)} ms"
    gross = found.gross_ms.get(found.leader)
    if axis is CPU and gross is not None:
        text += f" ({number(gross)} gross)"
    return text


def _ratio_of(each: Answer) -> str:
    assert each.ratio is not None
    low, high = each.ratio.bounds or (math.nan, math.nan)
    return times((each.ratio.ratio, low, high))


def _open(each: Answer) -> str:
    if each.ratio is None or not each.ratio.known:
        return f"of {each.other}"
    low, high = each.ratio.bounds or (math.nan, math.nan)
    return f"of {each.other} (between {as_ratio(low)} and {as_ratio(high)} x)"


def _figures(comparison: Comparison, found: TurnFindings) -> str:
    """Return the paces themselves, and what was left out of the common load."""
    table = found.tables[PACE.name]
    paces = listed([f"{name} {_value(table, name)}" for name in comparison.capacities])
    text = f"Pace, requests a second: {paces}"
    left = [name for name in table.values if name not in comparison.rows.index]
    if left and comparison.common_rps:
        text += f". {number(comparison.common_rps)}/s is beyond {listed(left)}"
    return text


def _value(table: Table, name: str) -> str:
    value, cells = table.values[name], table.cells[name]
    spread = table.spread_of(name)
    error = spread.block / math.sqrt(len(cells)) if spread.freedom else math.nan
    if math.isnan(error):
        return number(value)
    return warranted(value, value * math.exp(-2 * error), value * math.exp(2 * error))


def _sureness(comparison: Comparison, found: TurnFindings, shaky: Sequence[str]) -> str:
    pace = found.tables[PACE.name].spread_of(found.leader)
    parts = [
        f"{counted(found.blocks, 'block')} of {counted(found.rounds, 'round')},"
        f" {found.turns:,} turns of about a second in random order, the others stopped meanwhile"
    ]
    if pace.freedom:
        parts.append(
            f"intervals hold with {HOLDS:.0%} for all pairs at once (computed at {CONFIDENCE:.1%}"
            f" since the run looks at them as it goes); {found.leader} and its kind stray"
            f" in pace by {pace.round:.1%} from round to round, by {pace.launch:.1%} from launch to"
            " launch"
        )
    else:
        parts.append("one block: what another launch would show is not known")
    if shaky:
        reasons = "; ".join(f"{name}: {sentence(comparison.invalid[name][0])}" for name in shaky)
        parts.append(f"NOT SOUND, it rests on invalid turns ({reasons})")
    if comparison.absent:
        parts.append(comparison.absent)
    return "; ".join(parts)


def _badges(found: TurnFindings, shaky: Sequence[str]) -> tuple[Badge, ...]:
    badges = [Badge("not sound", warns=True) if shaky else Badge("measured soundly")]
    badges.append(
        Badge(f"{found.blocks} blocks x {found.rounds} rounds")
        if found.blocks > 1
        else Badge("one block, not replicated", warns=True)
    )
    for same_kind, against in ((True, ""), (False, " against another kind")):
        known = [
            (axis, smallest)
            for axis in (PACE, CPU)
            if (smallest := found.smallest(axis, same_kind=same_kind)) is not None
        ]
        if known:
            sizes = ", ".join(f"{axis.title} {_percent(smallest)}" for axis, smallest in known)
            blunt = max(smallest for _, smallest in known) > BLUNT
            text = f"smallest difference that would show{against}: {sizes}"
            badges.append(Badge(text, warns=blunt))
    return tuple(badges)


def percent_within(ratio: Ratio) -> str:
    """Return within what two are the same, as text."""
    return _percent(ratio.within)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"
