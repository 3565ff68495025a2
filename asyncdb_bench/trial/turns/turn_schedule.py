"""Which block comes next: each scenario until its answers are sharp enough or time is up. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from asyncdb_bench.analysis.turns.answers import kinds_of, settled
from asyncdb_bench.analysis.turns.values import DECIDING, PACE
from asyncdb_bench.plan.schedule import takes_turns, trial_share_s
from asyncdb_bench.records.plan import ALL_KINDS, Block, Plan, PlannedScenario, Trial
from asyncdb_bench.records.step import Step
from asyncdb_bench.trial.schedule_loop import Results

FITS = 0.95
"""A block is begun where so much of the time that the last one of its scenario took is left."""


class TurnSchedule:
    """Blocks of turns; scenarios that cannot be asked in turns climb their ladders first.

    Pure: see :class:`asyncdb_bench.trial.schedule_loop.Schedule`.

    Parameters
    ----------
    plan : variants, scenarios, and the trials that there may be at most.
    """

    def __init__(self, plan: Plan) -> None:
        self._given = plan
        self._begun: list[Trial] = []
        self._news: list[str] = []
        self._blocks: Counter[str] = Counter()
        self._took_s: dict[str, float] = {}
        self._settled: set[str] = set()
        self.results = Results()
        self._story = self._stages()

    @property
    def plan(self) -> Plan:
        """The plan with the trials that were begun."""
        most = max(self._blocks.values(), default=0)
        climbed = max((trial.block + 1 for trial in self._begun), default=0)
        settings = replace(self._given.settings, blocks=max(most, climbed, 1))
        return replace(self._given, trials=tuple(self._begun), settings=settings)

    def next(self, results: Results) -> Trial | Block | None:
        """Return the next trial or block; None: all is sharp enough, or time is up."""
        self.results = results
        return next(self._story, None)

    def news(self) -> list[str]:
        """Return which scenarios need no more blocks since the last call."""
        news, self._news = self._news, []
        return news

    def _stages(self) -> Iterator[Trial | Block]:
        settings = self._given.settings
        climbing = [
            trial
            for trial in self._given.trials
            if not takes_turns(settings, self._scenario(trial.scenario))
        ]
        yield from self._climb(climbing)
        while (scenario := self._most_open()) is not None:
            began_s = self.results.spent_s
            block = self._block(scenario)
            self._begun += block.trials
            yield block
            self._blocks[scenario] += 1
            self._took_s[scenario] = self.results.spent_s - began_s
            self._look(scenario)

    def _climb(self, trials: list[Trial]) -> Iterator[Trial]:
        """Yield the trials that climb, within the part of the time that their scenarios have."""
        if not trials:
            return
        scenarios = {trial.scenario for trial in trials}
        share = len(scenarios) / len(self._given.scenarios)
        until_s = self.results.budget_s * share
        for place, trial in enumerate(trials):
            left_s = until_s - self.results.spent_s
            self._begun.append(trial)
            if math.isinf(until_s):
                yield trial
                continue
            yield replace(trial, limit_s=max(trial_share_s(left_s, len(trials) - place), 1e-3))

    def _most_open(self) -> str | None:
        """Return the scenario that has had the fewest blocks and fits into the time that is left.

        None where there is no such.
        """
        settings = self._given.settings
        fits = [
            each.label
            for each in self._given.scenarios
            if takes_turns(settings, each)
            and each.label not in self._settled
            and self._blocks[each.label] < self._most_blocks(each)
            and any(trial.scenario == each.label for trial in self._given.trials)
            and self.results.left_s > FITS * self._took_s.get(each.label, 0.0)
        ]
        return min(fits, key=lambda label: self._blocks[label], default=None)

    def _most_blocks(self, asked: PlannedScenario) -> int:
        """Return how many blocks there are at most: what only stands beside another has few.

        Cells beside scenarios are there for the model, which wants their paces and no intervals.
        """
        settings = self._given.settings
        if asked.place and not all(each.aside for each in self._given.scenarios):
            return 1
        return min(settings.blocks, settings.least_blocks) if asked.beside else settings.blocks

    def _block(self, scenario: str) -> Block:
        number, settings = self._blocks[scenario], self._given.settings
        left_s = self.results.left_s
        asked = self._scenario(scenario)
        # what has one block alone has as many turns in it as others, since one turn strays
        once = self._most_blocks(asked) == 1
        return Block(
            trials=tuple(
                trial
                for trial in self._given.trials
                if trial.scenario == scenario and trial.block == number
            ),
            kinds=("pace",) if asked.pace_only else ALL_KINDS,
            rounds=1 if asked.pace_only and not once else settings.rounds,
            common_rps=self._common_rps(scenario),
            limit_s=0.0 if math.isinf(left_s) else max(left_s, 1e-3),
        )

    def _common_rps(self, scenario: str) -> float:
        loads = [
            step.offered_rps
            for step in self._turns(scenario)
            if step.turn is not None and step.turn.kind == "common"
        ]
        return loads[0] if loads else 0.0

    def _look(self, scenario: str) -> None:
        settings, steps = self._given.settings, self._turns(scenario)
        if not steps:
            # whatever there was to measure broke, again and again
            self._settled.add(scenario)
        if self._blocks[scenario] < settings.least_blocks:
            return
        variants = list(dict.fromkeys(step.variant for step in steps))
        kinds = kinds_of(self._given.variants)
        axes = (PACE,) if self._scenario(scenario).pace_only else DECIDING
        if settled(steps, variants, settings.equal, settings.half_width, kinds, axes):
            self._settled.add(scenario)
            self._news.append(f"{scenario}: sharp enough after {self._blocks[scenario]} blocks")

    def _turns(self, scenario: str) -> list[Step]:
        return [
            step
            for step in self.results.steps
            if step.scenario == scenario and step.turn is not None
        ]

    def _scenario(self, label: str) -> PlannedScenario:
        return next(each for each in self._given.scenarios if each.label == label)
