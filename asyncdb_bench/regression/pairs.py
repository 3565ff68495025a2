"""What the gate decides on: head against base, by strategy and scenario. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from asyncdb_bench.analysis.capacity import capacity_of
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import PlannedScenario, Variant
from asyncdb_bench.regression.decision import (
    LEAST_FRESH,
    Decision,
    LogRatios,
    Rules,
    confirms,
    interim,
    log_ratios,
)
from asyncdb_bench.regression.effects import CAPACITY, LOADLESS, Figure, by_block

HALF, TIMES = 0.5, 3
"""Half of the capacity that the pilot found is offered so often in each trial, and the median of
those steps taken: a machine that others slow down for a second does not decide a block."""
FACTORS = (0.8, 1.0, 1.2, 1.45, 1.75, 2.1)
"""The rungs above it, up to saturation, from which the block's capacity comes."""


@dataclass(slots=True)
class Pair:
    """One strategy in one scenario: head against base.

    Parameters
    ----------
    strategy : what people call it.
    scenario : to ask.
    base : labels of base's copies; empty where base could not be made.
    head : label of head.
    ladder : of every block, once the pilot has found it.
    turns : whether its variants take turns; they have no ladder then.
    common_rps : the load at which they are compared, once the first block has found it.
    decisions : what was decided last, by figure; those that are not `open` are not analysed again.
    doubt : why nothing can be decided.
    """

    strategy: str
    scenario: PlannedScenario
    base: tuple[str, ...]
    head: str
    ladder: tuple[float, ...] = ()
    turns: bool = False
    common_rps: float = 0.0
    decisions: dict[str, Decision] = field(default_factory=dict)
    doubt: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Of all that runs in a block."""
        return (*self.base, self.head)

    @property
    def load(self) -> float:
        """The load at which they are compared, 1/s."""
        return self.common_rps if self.turns else self.ladder[0]

    @property
    def is_open(self) -> bool:
        """Whether more blocks could decide something."""
        undecided = any(each.interim.verdict == "open" for each in self.decisions.values())
        ready = self.turns or bool(self.ladder)
        return not self.doubt and ready and (undecided or not self.decisions)

    @property
    def is_orphan(self) -> bool:
        """Whether only head can be measured, since base does not start."""
        return (self.turns or bool(self.ladder)) and not self.base

    @property
    def suspected(self) -> bool:
        """Whether a figure of it looks worse."""
        return any(each.verdict == "regress" for each in self.decisions.values())


def focus(carried: float) -> tuple[float, ...]:
    """Return a block's ladder around a capacity, half of it first, 1/s.

    The capacity is rounded to a tenth of a decade (the Renard series R10, ISO 3): pilots differ a
    little from run to run, and figures compare over runs at the same load only.
    """
    preferred = 10 ** (round(10 * math.log10(carried)) / 10)
    digits = 0 if carried >= 40 else 1
    half, *above = (max(round(preferred * each, digits), 0.1) for each in (HALF, *FACTORS))
    return (half,) * TIMES + tuple(above)


def pilot_capacity(steps: pd.DataFrame) -> float:
    """Return what a pilot carried, 1/s: where an interval says nothing, the middle of its rungs."""
    found = capacity_of(steps)
    if found.rps <= 0:
        return 0.0
    return (found.rps * found.high) ** 0.5 if found.high else found.rps


def decide_pair(
    pair: Pair,
    steps: pd.DataFrame,
    rules: Rules,
    blocks: int,
    *,
    final: bool,
    figures: Sequence[Figure],
) -> None:
    """Analyse every figure of a pair that is still open, and note what the analysis says.

    Parameters
    ----------
    pair : its decisions are replaced.
    steps : rows of :func:`steps_table` of the blocks so far, confirming ones aside.
    rules, blocks, final : as :func:`interim`.
    figures : to decide on.
    """
    for figure in figures:
        before = pair.decisions.get(figure.name)
        if before is not None and before.interim.verdict != "open":
            continue
        ratios, base, head = figure_values(pair, steps, figure)
        seen = interim(ratios, rules, blocks, final=final)
        lacking = None if ratios.worse or not final else _lacking(pair, figure, blocks)
        if seen.verdict == "invalid" and not final:
            seen = replace(seen, verdict="open")
        pair.decisions[figure.name] = Decision(
            scenario=pair.scenario.label,
            strategy=pair.strategy,
            figure=figure,
            offered_rps=None if figure in LOADLESS else pair.load,
            base_mean=_middle(base),
            head_mean=_middle(head),
            interim=seen,
            doubt=lacking,
        )


def figure_values(
    pair: Pair, steps: pd.DataFrame, figure: Figure
) -> tuple[LogRatios, list[float], list[float]]:
    """Return a figure's log ratios and the values of base and head by block."""
    own = steps[steps.scenario == pair.scenario.label]

    def of(label: str) -> dict[int, float]:
        rows = own[own.variant == label]
        return by_block(rows, figure, pair.load, pair.scenario.objective.p99_ms)

    head = of(pair.head)
    if not pair.base:
        return LogRatios(()), [], list(head.values())
    return log_ratios(figure, [of(label) for label in pair.base], head)


def _middle(values: Sequence[float]) -> float | None:
    return float(pd.Series(values).median()) if values else None


def _lacking(pair: Pair, figure: Figure, blocks: int) -> Doubt:
    if pair.doubt:
        return Doubt(DoubtKind.NOT_MEASURED, subject=pair.doubt)
    if pair.turns:
        what = "turn at full speed" if figure in LOADLESS else "turn at the common load"
    else:
        what = "capacity" if figure is CAPACITY else "step at half of the capacity"
    return Doubt(DoubtKind.NO_BLOCK, blocks, subject=what)


def confirmed(decision: Decision, again: LogRatios) -> Decision:
    """Return a suspected regression as fresh blocks leave it.

    One block, for which alone there was time, neither agrees nor does not.
    """
    if len(again.worse) < LEAST_FRESH:
        return replace(decision, interim=replace(decision.interim, verdict="inconclusive"))
    agreed = confirms(again, decision.interim.threshold)
    verdict = "regress" if agreed else "inconclusive"
    return replace(decision, confirmed=agreed, interim=replace(decision.interim, verdict=verdict))


def pairs_of(
    heads: Sequence[tuple[str, Variant]],
    bases: Sequence[Sequence[Variant]],
    scenarios: Sequence[PlannedScenario],
) -> list[Pair]:
    """Return what a gate decides: each strategy in each scenario.

    Parameters
    ----------
    heads : name and head of each strategy.
    bases : the copies of each strategy's base; none where it could not be made.
    scenarios : asked of all.
    """
    return [
        Pair(name, scenario, tuple(each.label for each in base), head.label)
        for scenario in scenarios
        for (name, head), base in zip(heads, bases, strict=True)
    ]
