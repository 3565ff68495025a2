"""What the gate measures: base twice and head in every block, until all is decided or time is up.

Base runs twice in each block, an A/A in the same seconds: it says what is noise, and the mean of
the two makes the comparison steadier. The three of a pair take turns; where a scenario cannot be
asked in turns they climb a short ladder one after the other, around a capacity that a pilot finds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from asyncdb_bench.analysis.standing import not_measured
from asyncdb_bench.plan.schedule import START_S, STEP_OVERHEAD_S, block_s, takes_turns
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Block, Plan, Purpose, Settings, Trial, TurnKind
from asyncdb_bench.regression.decision import Decision, Interim, Rules
from asyncdb_bench.regression.effects import CAPACITY, GATED, TURN_GATED, Figure
from asyncdb_bench.regression.pairs import (
    TIMES,
    Pair,
    confirmed,
    decide_pair,
    figure_values,
    focus,
    pilot_capacity,
)
from asyncdb_bench.regression.rows import comparison_rows
from asyncdb_bench.trial.schedule_loop import Results

MAIN_SHARE = 0.75
"""Of the time budget; the rest is kept for confirming."""
KINDS: tuple[TurnKind, ...] = ("pace", "common")
"""Turns of a gate: its figures need no others."""


class GateSchedule:
    """A pilot, then blocks until all is decided or time is up, then fresh blocks to confirm.

    Pure: what it decides follows from the results that it is handed, see
    :class:`asyncdb_bench.trial.schedule_loop.Schedule`.

    Parameters
    ----------
    plan : the variants and scenarios.
    pairs : what to decide.
    rules : how.
    figures : of the pairs that climb; without capacities they offer half of the capacity alone.
    """

    def __init__(
        self, plan: Plan, pairs: Sequence[Pair], rules: Rules, figures: Sequence[Figure] = GATED
    ) -> None:
        self.pairs = list(pairs)
        for pair in self.pairs:
            pair.turns = takes_turns(plan.settings, pair.scenario)
        self.rules = rules
        self.figures = tuple(figures)
        self.blocks = 0
        self.confirming = 0
        self.trials: list[Trial] = []
        self.results = Results()
        self._given = plan
        self._variants = {each.label: each for each in plan.variants}
        self._shuffler = random.Random(plan.seed)
        self._news: list[str] = []
        self._block_s = 0.0
        self._story = self._stages()

    @property
    def plan(self) -> Plan:
        """The plan with the trials that were asked for, and the blocks that were begun."""
        settings = replace(self._given.settings, blocks=max(self.blocks, 1))
        return replace(self._given, trials=tuple(self.trials), settings=settings)

    def figures_of(self, pair: Pair) -> tuple[Figure, ...]:
        """Return what is decided of a pair."""
        return TURN_GATED if pair.turns else self.figures

    def next(self, results: Results) -> Trial | Block | None:
        """Return the next trial or block; None: all is decided, or time is up."""
        self.results = results
        return next(self._story, None)

    def news(self) -> list[str]:
        """Return what was decided since the last call."""
        news, self._news = self._news, []
        return news

    def conclude(self, results: Results) -> None:
        """Leave nothing open, also where the run was interrupted."""
        self.results = results
        steps = self._steps("measure")
        for pair in self.pairs:
            if pair.is_open and self.blocks:
                figures = self.figures_of(pair)
                decide_pair(pair, steps, self.rules, self.blocks, final=True, figures=figures)
            for name, decision in pair.decisions.items():
                if decision.verdict == "regress" and decision.confirmed is None:
                    open_again = replace(decision.interim, verdict="inconclusive")
                    pair.decisions[name] = replace(decision, interim=open_again)

    def _stages(self) -> Iterator[Trial | Block]:
        yield from self._pilot()
        yield from self._main()
        yield from self._confirm()

    def _pilot(self) -> Iterator[Trial]:
        """Find the capacity of each pair that climbs, roughly: two rungs at a time."""
        for pair in self.pairs:
            if pair.turns:
                self._refuse_turns(pair)
                continue
            for label in (*pair.base[:1], pair.head):
                if why := self._variants[label].not_run:
                    pair.doubt = pair.doubt or f"{label} was not run: {why}"
                    continue
                yield self._trial(label, pair, 0, "pilot")
                steps = self._steps("pilot")
                carried = pilot_capacity(
                    steps[(steps.scenario == pair.scenario.label) & (steps.variant == label)]
                )
                if carried:
                    ladder = focus(carried)
                    pair.ladder = ladder if CAPACITY in self.figures else ladder[:TIMES]
                    break
                lowest = f"{label} did not carry even {pair.scenario.ladder[0]:g}/s in the pilot"
                pair.doubt = pair.doubt or self.results.ends[-1].failure or lowest
                if label != pair.head:
                    pair.base = ()

    def _refuse_turns(self, pair: Pair) -> None:
        """Note why a pair that takes turns cannot be measured here, if so."""
        for label in (pair.head, *pair.base[:1]):
            if why := self._variants[label].not_run:
                pair.doubt = pair.doubt or f"{label} was not run: {why}"

    def _main(self) -> Iterator[Trial | Block]:
        analyses = self.rules.analyses
        until = self.results.budget_s * MAIN_SHARE
        while self.blocks < analyses[-1]:
            pairs = [pair for pair in self.pairs if pair.is_open]
            if self.blocks < self.rules.first:
                pairs += [pair for pair in self.pairs if pair.is_orphan]
            if not pairs or (self.blocks and self.results.spent_s + self._block_s > until):
                break
            self.blocks += 1
            yield from self._block(pairs, self.blocks - 1, "measure")
            if self.blocks in analyses:
                with_base = [pair for pair in pairs if pair.base]
                self._analyse(with_base, final=self.blocks == analyses[-1])
        left = [pair for pair in self.pairs if pair.is_open or pair.is_orphan]
        if left and self.blocks:
            self._analyse(left, final=True)

    def _confirm(self) -> Iterator[Trial | Block]:
        """Measure the pairs under suspicion afresh, and let the fresh blocks decide alone."""
        suspects = [pair for pair in self.pairs if pair.suspected]
        if not suspects:
            return
        wanted = max(
            decision.interim.n
            for pair in suspects
            for decision in pair.decisions.values()
            if decision.verdict == "regress"
        )
        names = ", ".join(f"{pair.scenario.label} · {pair.strategy}" for pair in suspects)
        self._news.append(f"confirming {names} by {wanted} fresh blocks")
        while self.confirming < wanted:
            if self.confirming and self._block_s > self.results.left_s:
                break
            yield from self._block(suspects, self.confirming, "confirm")
            self.confirming += 1
        steps = self._steps("confirm")
        for pair in suspects:
            for name, decision in pair.decisions.items():
                if decision.verdict == "regress":
                    again, _, _ = figure_values(pair, steps, decision.figure)
                    pair.decisions[name] = confirmed(decision, again)

    def _block(
        self, pairs: Sequence[Pair], block: int, purpose: Purpose
    ) -> Iterator[Trial | Block]:
        began_s = self.results.spent_s
        jobs: list[tuple[Pair, tuple[str, ...]]] = [
            (pair, labels)
            for pair in pairs
            for labels in ([pair.labels] if pair.turns else [(label,) for label in pair.labels])
        ]
        for pair, labels in self._shuffler.sample(jobs, len(jobs)):
            run = [label for label in labels if not self._variants[label].not_run]
            trials = tuple(self._trial(label, pair, block, purpose) for label in run)
            if pair.turns and trials:
                yield self._turns(pair, trials)
                self._note_failures(pair)
            else:
                yield from trials
        self._block_s = self.results.spent_s - began_s

    def _turns(self, pair: Pair, trials: tuple[Trial, ...]) -> Block:
        self._find_load(pair)
        return Block(trials, KINDS, self._given.settings.rounds, pair.common_rps)

    def _note_failures(self, pair: Pair) -> None:
        """Note why a side that has never been measured does not start."""
        own = [end for end in self.results.ends if end.scenario == pair.scenario.label]
        lost = not_measured(own)
        for label in (pair.head, *pair.base):
            ended = [end for end in own if end.variant == label]
            out = any((end.purpose, end.scenario, label) in lost for end in ended)
            if ended and (out or all(end.failure for end in ended)):
                last = [end.failure for end in ended if end.failure][-1]
                pair.doubt = pair.doubt or last
                if label != pair.head:
                    pair.base = ()

    def _find_load(self, pair: Pair) -> None:
        """Note the load at which the first block of a pair compared its variants."""
        pair.common_rps = pair.common_rps or next(
            (
                step.offered_rps
                for step in self.results.steps
                if step.turn is not None
                and step.turn.kind == "common"
                and step.scenario == pair.scenario.label
                and step.variant in pair.labels
            ),
            0.0,
        )

    def _trial(self, label: str, pair: Pair, block: int, purpose: Purpose) -> Trial:
        pilot = purpose == "pilot"
        trial = Trial(
            id=f"t{len(self.trials):03d}",
            block=block,
            variant=label,
            scenario=pair.scenario.label,
            ladder=() if pilot else pair.ladder,
            purpose=purpose,
            gallop=pilot,
            retry_missed=not pilot,
        )
        self.trials.append(trial)
        return trial

    def _analyse(self, pairs: Sequence[Pair], *, final: bool) -> None:
        steps, blocks = self._steps("measure"), max(self.blocks, 1)
        for pair in pairs:
            self._find_load(pair)
            figures = self.figures_of(pair)
            decide_pair(pair, steps, self.rules, blocks, final=final, figures=figures)
            said = ", ".join(
                f"{each.figure.title} {each.interim.verdict}" for each in pair.decisions.values()
            )
            self._news.append(
                f"after {self.blocks} blocks: {pair.scenario.label} · {pair.strategy}: {said}"
            )

    def _steps(self, purpose: Purpose) -> pd.DataFrame:
        records = [step for step in self.results.steps if step.purpose == purpose]
        return comparison_rows(records, self.results.ends)


def decisions_of(schedule: GateSchedule, no_base: str) -> list[Decision]:
    """Return all decisions; those that could not be made are invalid, with the reason.

    Parameters
    ----------
    schedule : concluded.
    no_base : why base could not be made; empty where it could.
    """
    decisions: list[Decision] = []
    for pair in schedule.pairs:
        decisions += pair.decisions.values()
        doubt = pair.doubt or no_base or "the time was over before it was measured"
        decisions += [
            Decision(
                pair.scenario.label,
                pair.strategy,
                figure,
                None,
                None,
                None,
                Interim("invalid", 0, 1.0),
                doubt=Doubt(DoubtKind.NOT_MEASURED, subject=doubt),
            )
            for figure in schedule.figures_of(pair)
            if figure.name not in pair.decisions
        ]
    return decisions


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
    pairs = scenarios * strategies
    block_s = 3 * pairs * trial_s(settings, with_capacity=with_capacity)
    left_s = settings.time_budget_s * MAIN_SHARE - pairs * 2 * trial_s(settings, with_capacity=True)
    return max(0, int(left_s / block_s))


def turn_blocks_that_fit(settings: Settings, scenarios: int, strategies: int) -> int:
    """Return how many blocks of turns the time budget holds, by estimate; many: no limit."""
    if not settings.time_budget_s:
        return 1000
    whole_s = scenarios * strategies * block_s(settings, 3, KINDS)
    return int(settings.time_budget_s * MAIN_SHARE / whole_s)
