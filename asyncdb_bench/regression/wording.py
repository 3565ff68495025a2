"""Effects and decisions as people read them: words, and the lines of a forest figure."""

from __future__ import annotations

from collections.abc import Sequence

from asyncdb_bench.records.sentences import sentence
from asyncdb_bench.regression.decision import Decision
from asyncdb_bench.regression.effects import TIE, FigureEffect
from asyncdb_bench.report.figures.forest import ForestRow


def effect_words(row: FigureEffect) -> str:
    """Return the verdict of an effect with what it takes to understand it."""
    if row.doubt is not None:
        return f"invalid: {sentence(row.doubt)}"
    effect = row.effect
    if effect is None or effect.low is None:
        return "inconclusive: one block, so there is no interval; ask for more --blocks"
    if row.verdict == "tie":
        return f"tie within {TIE:.0%}"
    if row.verdict == "inconclusive" and effect.mde is not None:
        return f"inconclusive: nothing below {effect.mde - 1:.0%} could have been seen"
    return row.verdict


def decision_words(decision: Decision) -> str:
    """Return the verdict of a decision with its figures."""
    if decision.doubt is not None:
        return f"invalid: {sentence(decision.doubt)}"
    if decision.verdict == "inconclusive":
        return f"inconclusive: {_why_open(decision)}"
    beyond = f"{decision.change or 0:+.0%}, beyond {decision.interim.threshold - 1:.0%}"
    if decision.verdict == "regress":
        sure = "; fresh blocks agree" if decision.confirmed else "; not confirmed by fresh blocks"
        return f"regress: {beyond}{sure}"
    if decision.verdict == "improve":
        return f"improve: {beyond}"
    return "pass"


def _why_open(decision: Decision) -> str:
    interim = decision.interim
    if decision.confirmed is False:
        return f"{interim.ratio - 1:+.0%} was suspected, fresh blocks did not agree"
    if interim.low is not None and interim.low > interim.threshold:
        return f"{interim.ratio - 1:+.0%} is suspected, and there was no time to confirm it"
    if interim.mde is None:
        return "one block tells nothing; give it more time"
    if max(interim.noise, 1.0) > interim.mde:
        return f"base differs from itself by up to {interim.noise - 1:.0%} in this run"
    needed = f"{interim.needed} blocks" if interim.needed else "no number of blocks"
    return f"nothing below {interim.mde - 1:.0%} could have been seen; {needed} would do"


def effect_rows(effects: Sequence[FigureEffect]) -> list[ForestRow]:
    """Return the lines of the effects that were measured."""
    several = len({each.head for each in effects}) > 1
    rows = []
    for each in effects:
        effect = each.effect
        if effect is None:
            continue
        low, ratio, high = effect.low or effect.ratio, effect.ratio, effect.high or effect.ratio
        if each.figure.more_is_better:
            low, ratio, high = 1 / high, 1 / ratio, 1 / low
        label = f"{each.head} · " * several + each.figure.title
        rows.append(ForestRow(label, low, ratio, high, each.verdict))
    return rows


def decision_rows(decisions: Sequence[Decision]) -> list[ForestRow]:
    """Return the lines of the decisions that rest on measurements."""
    several = len({each.strategy for each in decisions}) > 1
    return [
        ForestRow(
            f"{each.strategy} · " * several + each.figure.title,
            each.interim.low or each.interim.ratio,
            each.interim.ratio,
            each.interim.high or each.interim.ratio,
            each.verdict,
        )
        for each in decisions
        if each.interim.n
    ]
