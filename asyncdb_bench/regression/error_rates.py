"""How often the gate errs: its decisions on blocks whose truth is known. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asyncdb_bench.analysis import statistics
from asyncdb_bench.regression.decision import (
    Interim,
    LogRatios,
    Rules,
    confirms,
    interim,
    log_ratios,
)
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
    decisions, red : how many, none of which shares a turn with another, and how many of them said
        *regress*.
    other : the other verdicts with their counts.
    blocks : that a decision took, median, confirmation aside.
    """

    what: str
    figure: str
    ratio: float
    decisions: int
    red: int
    other: Mapping[str, int]
    blocks: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bounds of the share of red ones (Clopper and Pearson)."""
        return statistics.share_interval(self.red, self.decisions)


def false_alarms(copies: Sequence[Blocks], figure: Figure, rules: Rules) -> Rate:
    """Decide on A/A: three copies of one variant at a time, a head and two bases.

    Parameters
    ----------
    copies : a figure by block, of each copy of the same variant; three at least.
    figure : it is of.
    rules : how to decide.
    """
    threes = [copies[place : place + 3] for place in range(0, len(copies) - 2, 3)]
    made = [each for head, *base in threes for each in decisions(head, base, figure, rules)]
    logs = [mean_log(head) - mean_log(base) for head, base, _ in threes]
    return _rate("no change (A/A)", figure, math.exp(float(np.mean(logs))), made)


def power(
    what: str, faulty: Sequence[Blocks], copies: Sequence[Blocks], figure: Figure, rules: Rules
) -> Rate:
    """Decide on a known slowdown: each copy of it against two bases of its own.

    Parameters
    ----------
    what : the fault in words.
    faulty : the figure by block, of each copy with the fault.
    copies, figure, rules : as :func:`false_alarms`; two copies for each with the fault.
    """
    made: list[tuple[str, int]] = []
    logs = []
    for place, head in enumerate(faulty):
        base = copies[2 * place : 2 * place + 2]
        made += decisions(head, base, figure, rules)
        logs.append(mean_log(head) - float(np.mean([mean_log(each) for each in base])))
    return _rate(what, figure, math.exp(float(np.mean(logs))), made)


def mean_log(values: Blocks) -> float:
    """Return the mean logarithm of a figure over blocks."""
    return float(np.mean(np.log([value for value in values.values() if value > 0])))


def decisions(
    head: Blocks, base: Sequence[Blocks], figure: Figure, rules: Rules
) -> Iterator[tuple[str, int]]:
    """Yield what a gate would have said, again and again, each time on blocks of its own.

    Parameters
    ----------
    head, base : a figure by block; blocks that one lacks are left out.
    figure, rules : as :func:`false_alarms`.

    Returns
    -------
    Verdict, and how many blocks it took, confirmation aside. What the last blocks do not suffice to
    decide is left out.
    """
    blocks = sorted(head.keys() & base[0].keys() & base[1].keys())
    start = 0
    while True:
        found = _decide(_ratios(head, base, figure, blocks[start:]), rules)
        if found is None:
            return
        seen, used = found
        yield seen.verdict, seen.n
        start += used


def _ratios(
    head: Blocks, base: Sequence[Blocks], figure: Figure, blocks: Sequence[int]
) -> LogRatios:
    if not blocks:
        return LogRatios(())
    copies = [{block: each[block] for block in blocks} for each in base]
    return log_ratios(figure, copies, {block: head[block] for block in blocks})[0]


def _decide(ratios: LogRatios, rules: Rules) -> tuple[Interim, int] | None:
    """Return a decision and the blocks that it used; None where there are too few."""
    for blocks in rules.analyses:
        if blocks > len(ratios.worse):
            return None
        part = LogRatios(ratios.worse[:blocks], ratios.noise[:blocks])
        seen = interim(part, rules, blocks, final=blocks == rules.analyses[-1])
        if seen.verdict != "open":
            break
    if seen.verdict != "regress":
        return seen, seen.n
    if 2 * seen.n > len(ratios.worse):
        return None
    fresh = slice(seen.n, 2 * seen.n)
    again = LogRatios(ratios.worse[fresh], ratios.noise[fresh])
    if not confirms(again, seen.threshold):
        seen = replace(seen, verdict="inconclusive")
    return seen, 2 * seen.n


def _rate(what: str, figure: Figure, ratio: float, made: Sequence[tuple[str, int]]) -> Rate:
    verdicts = [verdict for verdict, _ in made]
    counts = {name: verdicts.count(name) for name in dict.fromkeys(verdicts) if name != "regress"}
    return Rate(
        what=what,
        figure=figure.title,
        ratio=ratio,
        decisions=len(made),
        red=verdicts.count("regress"),
        other=counts,
        blocks=float(np.median([n for _, n in made])) if made else 0.0,
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
        "| figure | truth | ratio as measured | decisions | red | 95 % interval | blocks | other |",
        "|---|---|---:|---:|---:|---|---:|---|",
    ]
    for each in rates:
        low, high = each.interval if each.decisions else (0.0, 1.0)
        share = f"{each.red / each.decisions:.0%}" if each.decisions else "–"
        other = ", ".join(f"{count} {name}" for name, count in each.other.items()) or "–"
        lines.append(
            f"| {each.figure} | {each.what} | {each.ratio:.3f} | {each.decisions} | {share} |"
            f" {low:.0%} to {high:.0%} | {each.blocks:g} | {other} |"
        )
    return "\n".join(lines) + "\n"
