"""How often the gate errs: its decision on blocks whose truth is known. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asyncdb_bench.analysis import statistics
from asyncdb_bench.regression.decision import LogRatios, Rules, log_ratios, replay
from asyncdb_bench.regression.effects import Figure

Blocks = Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Rate:
    """What the gate said of one known truth.

    Parameters
    ----------
    what : the truth in words.
    figure : decided on.
    ratio : head / base over all blocks: the true size, as measured.
    decisions, red : how many, and how many of them said *regress*.
    other : the other verdicts with their counts.
    disjoint : how many of the decisions share no trial with another.
    blocks : that a decision took, median, confirmation aside.
    """

    what: str
    figure: str
    ratio: float
    decisions: int
    red: int
    other: Mapping[str, int]
    disjoint: int
    blocks: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bounds of the share of red ones (Clopper and Pearson), as if all were independent.

        They are not where `disjoint` is less than `decisions`: the bounds are then too narrow.
        """
        return statistics.share_interval(self.red, self.decisions)


def false_alarms(copies: Sequence[Blocks], figure: Figure, rules: Rules) -> Rate:
    """Decide on A/A: every choice of a head and a pair of bases among copies of one variant.

    Parameters
    ----------
    copies : a figure by block, of each copy of the same variant; three at least.
    figure : it is of.
    rules : how to decide.
    """
    choices = [
        (head, pair)
        for head in range(len(copies))
        for pair in itertools.combinations([p for p in range(len(copies)) if p != head], 2)
    ]
    made = [_decide(copies[h], [copies[a], copies[b]], figure, rules, 0) for h, (a, b) in choices]
    logs = [_mean_log(copies[h]) - _mean_log(copies[a]) for h, (a, _) in choices]
    return _rate("no change (A/A)", figure, float(np.exp(np.mean(logs))), made, len(copies) // 3)


def power(
    what: str, faulty: Blocks, copies: Sequence[Blocks], figure: Figure, rules: Rules
) -> Rate:
    """Decide on a known slowdown against every pair of copies, from several blocks on.

    Parameters
    ----------
    what : the fault in words.
    faulty : the figure by block, with the fault.
    copies, figure, rules : as :func:`false_alarms`.
    """
    starts = range(0, len(faulty), 3)
    pairs = list(itertools.combinations(copies, 2))
    made = [_decide(faulty, pair, figure, rules, start) for start in starts for pair in pairs]
    base = float(np.mean([_mean_log(each) for each in copies]))
    return _rate(what, figure, math.exp(_mean_log(faulty) - base), made, 1)


def _mean_log(values: Blocks) -> float:
    return float(np.mean(np.log([value for value in values.values() if value > 0])))


def _decide(
    head: Blocks, base: Sequence[Blocks], figure: Figure, rules: Rules, start: int
) -> tuple[str, int]:
    """Replay a gate on blocks from `start` on, those before it coming last."""
    order = sorted(head)
    order = order[start:] + order[:start]

    def renumbered(values: Blocks, blocks: Sequence[int]) -> dict[int, float]:
        return {place: values[block] for place, block in enumerate(blocks) if block in values}

    def ratios(blocks: Sequence[int]) -> LogRatios:
        copies = [renumbered(each, blocks) for each in base]
        return log_ratios(figure, copies, renumbered(head, blocks))[0]

    first = replay(ratios(order), rules, LogRatios(()))
    if first.low is None or first.low <= first.threshold:
        return first.verdict, first.n
    # suspected: fresh blocks are those that the decision did not use
    fresh = ratios(order[first.n :])
    return replay(ratios(order), rules, fresh).verdict, first.n


def _rate(
    what: str, figure: Figure, ratio: float, made: Sequence[tuple[str, int]], disjoint: int
) -> Rate:
    verdicts = [verdict for verdict, _ in made]
    counts = {name: verdicts.count(name) for name in dict.fromkeys(verdicts) if name != "regress"}
    return Rate(
        what=what,
        figure=figure.title,
        ratio=ratio,
        decisions=len(made),
        red=verdicts.count("regress"),
        other=counts,
        disjoint=disjoint,
        blocks=float(np.median([n for _, n in made])),
    )


def rates_markdown(rates: Sequence[Rate], measured: str) -> str:
    """Return the rates as Markdown.

    Parameters
    ----------
    rates : of each truth.
    measured : on what, in a sentence.
    """
    lines = [
        measured,
        "",
        "| truth | figure | ratio as measured | decisions | red | 95 % interval | blocks | other |",
        "|---|---|---:|---:|---:|---|---:|---|",
    ]
    for each in rates:
        low, high = each.interval
        other = ", ".join(f"{count} {name}" for name, count in each.other.items()) or "–"
        lines.append(
            f"| {each.what} | {each.figure} | {each.ratio:.3f} | {each.decisions}"
            f" ({each.disjoint} disjoint) | {each.red / each.decisions:.0%} |"
            f" {low:.0%} to {high:.0%} | {each.blocks:g} | {other} |"
        )
    return "\n".join(lines) + "\n"
