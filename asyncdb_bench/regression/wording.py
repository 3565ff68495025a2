"""Decisions and comparisons as people read them: words, and the lines of a forest figure."""

from __future__ import annotations

from collections.abc import Sequence

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.analysis.verdict import percent
from asyncdb_bench.records.doubts import sentence
from asyncdb_bench.regression.decision import Decision
from asyncdb_bench.regression.sides import Compared
from asyncdb_bench.report.figures.ratios import ForestRow
from asyncdb_bench.report.quantities import said_text


def compared_words(row: Compared) -> str:
    """Return what is said of a figure with what it takes to understand it."""
    ratio = row.answer.ratio
    if ratio is None:
        return "not known: not measured in both at one load"
    if ratio.bounds is None:
        return "not known: too few rounds for an interval"
    if row.answer.said is Said.UNKNOWN and ratio.smallest is not None:
        return f"not known: nothing below {percent(ratio.smallest - 1)} could have been seen"
    return said_text(row.answer)


def decision_words(decision: Decision) -> str:
    """Return what a decision says with its figures."""
    judged = decision.judged
    if decision.doubt is not None:
        return f"not sound: {sentence(decision.doubt)}"
    if judged.said is Said.UNSOUND:
        return f"not sound: base differs from itself, or is in doubt, by {percent(judged.slack)}"
    if judged.said is Said.UNKNOWN:
        return f"not known: {_why_open(decision)}"
    if judged.said is Said.SAME:
        assert judged.high is not None
        return f"the same: worse by {percent(max(0.0, judged.high - 1))} at most"
    change = f"{decision.change or 0:+.0%}"
    if judged.said is Said.WORSE:
        agreed = (
            "a fresh launch agrees" if decision.confirmed else "nothing was measured to confirm it"
        )
        return f"worse: {change}; {agreed}"
    return f"better: {change}"


def _why_open(decision: Decision) -> str:
    judged, bounds = decision.judged, decision.change_interval
    change = f"{decision.change or 0:+.0%}"
    if decision.confirmed is False:
        return f"{change} was suspected, a fresh launch did not agree"
    if bounds is None or judged.low is None:
        return "too few rounds; give it more time"
    if judged.low > 1:
        return f"{change} is suspected; there was no time for more, or to confirm it"
    return f"between {bounds[0]:+.0%} and {bounds[1]:+.0%}; give it more time"


def compared_rows(compared: Sequence[Compared]) -> list[ForestRow]:
    """Return the lines of the figures that were measured."""
    several = len({each.head for each in compared}) > 1
    rows = []
    for each in compared:
        ratio = each.answer.ratio
        if ratio is None:
            continue
        worse = ratio.inverse if each.answer.metric.more_is_better else ratio
        low, high = worse.bounds or (worse.ratio, worse.ratio)
        label = f"{each.head} · " * several + each.answer.metric.title
        rows.append(ForestRow(label, low, worse.ratio, high, each.answer.said))
    return rows


def decision_rows(decisions: Sequence[Decision]) -> list[ForestRow]:
    """Return the lines of the decisions that rest on measurements."""
    several = len({each.strategy for each in decisions}) > 1
    return [
        ForestRow(
            f"{each.strategy} · " * several + each.metric.title,
            each.judged.low or each.judged.ratio,
            each.judged.ratio,
            each.judged.high or each.judged.ratio,
            each.said,
        )
        for each in decisions
        if each.judged.rounds
    ]
