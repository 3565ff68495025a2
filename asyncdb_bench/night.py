"""The gate's measurements: base twice and head in every block, until all is decided or time is up.

Base runs twice in each block, an A/A of the same night in the same minutes: it says what is noise,
and the mean of the two makes the comparison steadier.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from asyncdb_bench.capacities import capacity
from asyncdb_bench.effects import CAPACITY, GATED, Figure, by_block
from asyncdb_bench.gate import (
    CONFIRMING,
    GateCell,
    Look,
    Rules,
    Series,
    confirms,
    look,
    series_of,
)
from asyncdb_bench.model import Asked, Plan, Settings, Trial, TrialEnd, Variant
from asyncdb_bench.plan import START_S, STEP_OVERHEAD_S
from asyncdb_bench.progress import Progress
from asyncdb_bench.tables import steps_table
from asyncdb_bench.trial import Bench, run_trial

HALF, TIMES = 0.5, 3
"""Half of the capacity that the pilot found is offered so often in each trial, and the median of
those steps taken: a machine that others slow down for a second does not decide a block."""
FACTORS = (0.8, 1.0, 1.2, 1.45, 1.75, 2.1)
"""The rungs above it, up to saturation, from which the block's capacity comes."""
MAIN_SHARE = 0.75
"""Of the time budget; the rest is kept for confirming."""


@dataclass(slots=True)
class Pair:
    """One strategy in one scenario: head against base.

    Parameters
    ----------
    strategy : what people call it.
    asked : the scenario.
    base : labels of base's copies; empty where base could not be made.
    head : label of head.
    ladder : of every block, once the pilot has found it.
    cells : what was decided last, by figure; those that are not `open` are not looked at again.
    doubt : why nothing can be decided.
    """

    strategy: str
    asked: Asked
    base: tuple[str, ...]
    head: str
    ladder: tuple[float, ...] = ()
    cells: dict[str, GateCell] = field(default_factory=dict)
    doubt: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Of all that runs in a block."""
        return (*self.base, self.head)

    @property
    def is_open(self) -> bool:
        """Whether more blocks could decide something."""
        undecided = any(cell.look.verdict == "open" for cell in self.cells.values())
        return not self.doubt and bool(self.ladder) and (undecided or not self.cells)

    @property
    def is_orphan(self) -> bool:
        """Whether only head can be measured, since base does not start."""
        return bool(self.ladder) and not self.base

    @property
    def suspected(self) -> bool:
        """Whether a figure of it looks worse."""
        return any(cell.verdict == "regress" for cell in self.cells.values())


def focus(carried: float) -> tuple[float, ...]:
    """Return a block's ladder around a capacity, half of it first, 1/s.

    The capacity is rounded to a tenth of a decade (the Renard series R10, ISO 3): pilots differ a
    little from night to night, and figures compare over nights at the same load only.
    """
    preferred = 10 ** (round(10 * math.log10(carried)) / 10)
    digits = 0 if carried >= 40 else 1
    half, *above = (max(round(preferred * each, digits), 0.1) for each in (HALF, *FACTORS))
    return (half,) * TIMES + tuple(above)


def pilot_capacity(steps: pd.DataFrame) -> float:
    """Return what a pilot carried, 1/s: where an interval says nothing, the middle of its rungs."""
    found = capacity(steps)
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
    """Look at every figure of a pair that is still open, and note what it says.

    Parameters
    ----------
    pair : its cells are replaced.
    steps : rows of :func:`steps_table` of the night so far, confirming blocks aside.
    rules, blocks, final : as :func:`asyncdb_bench.gate.look`.
    figures : to decide on.
    """
    for figure in figures:
        before = pair.cells.get(figure.name)
        if before is not None and before.look.verdict != "open":
            continue
        series, base, head = values_of(pair, steps, figure)
        seen = look(series, rules, blocks, final=final)
        lacking = "" if series.worse or not final else pair.doubt or _lacking(figure, blocks)
        if seen.verdict == "invalid" and not final:
            seen = replace(seen, verdict="open")
        pair.cells[figure.name] = GateCell(
            scenario=pair.asked.label,
            strategy=pair.strategy,
            figure=figure,
            offered_rps=None if figure is CAPACITY else pair.ladder[0],
            base_mean=_middle(base),
            head_mean=_middle(head),
            look=seen,
            doubt=lacking,
        )


def values_of(
    pair: Pair, steps: pd.DataFrame, figure: Figure
) -> tuple[Series, list[float], list[float]]:
    """Return a figure's series and the values of base and head by block."""
    own = steps[steps.scenario == pair.asked.label]

    def of(label: str) -> dict[int, float]:
        rows = own[own.variant == label]
        return by_block(rows, figure, pair.ladder[0], pair.asked.objective.p99_ms)

    head = of(pair.head)
    if not pair.base:
        return Series(()), [], list(head.values())
    return series_of(figure, [of(label) for label in pair.base], head)


def _middle(values: Sequence[float]) -> float | None:
    return float(pd.Series(values).median()) if values else None


def _lacking(figure: Figure, blocks: int) -> str:
    what = "capacity" if figure is CAPACITY else "step at half of the capacity"
    return f"none of {blocks} blocks has a sound {what} of both"


class Night:
    """Runs the blocks; handed to :func:`asyncdb_bench.run.run` instead of a plan's own trials.

    Parameters
    ----------
    pairs : what to decide.
    rules : how.
    figures : on what; without capacities the blocks offer half of the capacity alone.
    """

    def __init__(
        self, pairs: Sequence[Pair], rules: Rules, figures: Sequence[Figure] = GATED
    ) -> None:
        self.pairs = list(pairs)
        self.rules = rules
        self.figures = tuple(figures)
        self.blocks = 0
        self.confirming = 0
        self.trials: list[Trial] = []
        self.ends: list[TrialEnd] = []
        self.block_s = 0.0

    def __call__(
        self, bench: Bench, plan: Plan, progress: Progress, deadline: float
    ) -> list[TrialEnd]:
        """Measure until all is decided; return how the trials ended."""
        self.bench, self.progress = bench, progress
        self.variants = {each.label: each for each in plan.variants}
        self.place = {each.label: place for place, each in enumerate(plan.scenarios)}
        self.shuffler = random.Random(plan.seed)
        began = time.monotonic()
        if not plan.settings.time_budget_s:
            deadline = began + 1e9
        until = began + (deadline - began) * MAIN_SHARE
        try:
            self._pilot()
            self._main(until)
            self._confirm(deadline)
        finally:
            self._close()
            manifest = bench.folder.manifest()
            settings = replace(plan.settings, blocks=max(self.blocks, 1))
            measured = replace(manifest.plan, trials=tuple(self.trials), settings=settings)
            bench.folder.write_manifest(replace(manifest, plan=measured))
        return self.ends

    def steps(self) -> pd.DataFrame:
        """Return the table of what was measured so far."""
        records = [step for step in self.bench.folder.steps() if not step.repeated]
        return steps_table(records, self.ends)

    def _pilot(self) -> None:
        """Find each pair's capacity roughly, two rungs of its ladder at a time."""
        for pair in self.pairs:
            for label in (*pair.base[:1], pair.head):
                if self.variants[label].not_run:
                    pair.doubt = f"{label} was not run: {self.variants[label].not_run}"
                    continue
                end = self._trial(label, replace(pair.asked, gallop=True), 0, ())
                steps = self.steps()
                carried = pilot_capacity(
                    steps[(steps.scenario == pair.asked.label) & (steps.variant == label)]
                )
                if carried:
                    ladder = focus(carried)
                    pair.ladder = ladder if CAPACITY in self.figures else ladder[:TIMES]
                    break
                lowest = f"{label} did not carry even {pair.asked.ladder[0]:g}/s in the pilot"
                pair.doubt = pair.doubt or end.failure or lowest
                if label != pair.head:
                    pair.base = ()

    def _main(self, until: float) -> None:
        looks = self.rules.looks
        while self.blocks < looks[-1]:
            pairs = [pair for pair in self.pairs if pair.is_open]
            if self.blocks < self.rules.first:
                pairs += [pair for pair in self.pairs if pair.is_orphan]
            if not pairs or (self.blocks and time.monotonic() + self.block_s > until):
                break
            self.blocks += 1
            self._block(pairs, self.blocks)
            if self.blocks in looks:
                open_pairs = [pair for pair in pairs if pair.base]
                self._look(open_pairs, final=self.blocks == looks[-1])
        left = [pair for pair in self.pairs if pair.is_open or pair.is_orphan]
        if left and self.blocks:
            self._look(left, final=True)

    def _close(self) -> None:
        """Leave nothing open, also where it was interrupted or the time was over."""
        steps = self.steps()
        steps = steps[(steps.block > 0) & (steps.block < CONFIRMING)]
        for pair in self.pairs:
            if pair.is_open and self.blocks:
                decide_pair(pair, steps, self.rules, self.blocks, final=True, figures=self.figures)
            for name, cell in pair.cells.items():
                if cell.verdict == "regress" and cell.confirmed is None:
                    pair.cells[name] = replace(
                        cell, look=replace(cell.look, verdict="inconclusive")
                    )

    def _look(self, pairs: Sequence[Pair], *, final: bool) -> None:
        steps = self.steps()
        steps = steps[(steps.block > 0) & (steps.block < CONFIRMING)]
        for pair in pairs:
            decide_pair(
                pair, steps, self.rules, max(self.blocks, 1), final=final, figures=self.figures
            )
            said = ", ".join(f"{c.figure.title} {c.look.verdict}" for c in pair.cells.values())
            self.progress.say(
                f"after {self.blocks} blocks: {pair.asked.label} · {pair.strategy}: {said}"
            )

    def _confirm(self, deadline: float) -> None:
        """Measure the pairs under suspicion afresh, and let the fresh blocks speak alone."""
        suspects = [pair for pair in self.pairs if pair.suspected]
        if not suspects:
            return
        wanted = max(
            cell.look.n
            for pair in suspects
            for cell in pair.cells.values()
            if cell.verdict == "regress"
        )
        names = ", ".join(f"{pair.asked.label} · {pair.strategy}" for pair in suspects)
        self.progress.say(f"confirming {names} by {wanted} fresh blocks")
        while self.confirming < wanted:
            if self.confirming and time.monotonic() + self.block_s > deadline:
                break
            self._block(suspects, CONFIRMING + self.confirming)
            self.confirming += 1
        steps = self.steps()
        steps = steps[steps.block >= CONFIRMING]
        for pair in suspects:
            for name, cell in pair.cells.items():
                if cell.verdict == "regress":
                    again, _, _ = values_of(pair, steps, cell.figure)
                    pair.cells[name] = confirmed(cell, again)

    def _block(self, pairs: Sequence[Pair], block: int) -> None:
        began = time.monotonic()
        jobs = [(label, pair) for pair in pairs for label in pair.labels]
        for label, pair in self.shuffler.sample(jobs, len(jobs)):
            if not self.variants[label].not_run:
                self._trial(label, pair.asked, block, pair.ladder)
        self.block_s = time.monotonic() - began

    def _trial(self, label: str, asked: Asked, block: int, ladder: tuple[float, ...]) -> TrialEnd:
        trial = Trial(f"t{len(self.trials):03d}", block, label, asked.label, ladder)
        self.trials.append(trial)
        self.progress.trial(trial)
        variant = self.variants[label]
        place = self.place[asked.label]
        end = run_trial(self.bench, trial, variant, asked, place, float("inf"))
        self.progress.end(end)
        self.ends.append(end)
        return end


def confirmed(cell: GateCell, again: Series) -> GateCell:
    """Return a suspected regression as fresh blocks leave it."""
    agreed = confirms(again, cell.look.threshold)
    verdict = "regress" if agreed else "inconclusive"
    return replace(cell, confirmed=agreed, look=replace(cell.look, verdict=verdict))


def pairs_of(
    heads: Sequence[tuple[str, Variant]],
    bases: Sequence[Sequence[Variant]],
    scenarios: Sequence[Asked],
) -> list[Pair]:
    """Return what a night decides: each strategy in each scenario.

    Parameters
    ----------
    heads : name and head of each strategy.
    bases : the copies of each strategy's base; none where it could not be made.
    scenarios : asked of all.
    """
    return [
        Pair(name, asked, tuple(each.label for each in base), head.label)
        for asked in scenarios
        for (name, head), base in zip(heads, bases, strict=True)
    ]


def cells_of(night: Night, no_base: str) -> list[GateCell]:
    """Return all decisions; those that could not be made are invalid, with the reason.

    Parameters
    ----------
    night : ended.
    no_base : why base could not be made; empty where it could.
    """
    cells: list[GateCell] = []
    for pair in night.pairs:
        cells += pair.cells.values()
        doubt = pair.doubt or no_base or "the time was over before it was measured"
        cells += [
            GateCell(
                pair.asked.label,
                pair.strategy,
                figure,
                None,
                None,
                None,
                Look("invalid", 0, 1.0),
                doubt=doubt,
            )
            for figure in night.figures
            if figure.name not in pair.cells
        ]
    return cells


def trial_s(settings: Settings, *, with_capacity: bool) -> float:
    """Estimate the seconds of a trial of a block."""
    # of the rungs above half of the capacity some three are carried, the next is offered twice
    steps = TIMES + (5 if with_capacity else 0)
    drained = 2 * settings.drain_s if with_capacity else 0.0
    return START_S + settings.warmup_s + steps * (settings.window_s + STEP_OVERHEAD_S) + drained


def blocks_that_fit(
    settings: Settings, scenarios: int, strategies: int, *, with_capacity: bool
) -> int:
    """Return how many blocks the time budget holds, by estimate; many where there is no limit."""
    if not settings.time_budget_s:
        return 1000
    cells = scenarios * strategies
    block_s = 3 * cells * trial_s(settings, with_capacity=with_capacity)
    left_s = settings.time_budget_s * MAIN_SHARE - cells * 2 * trial_s(settings, with_capacity=True)
    return max(0, int(left_s / block_s))
