"""What the gate measures: base twice and head in each round, until all is decided or time is up.

Base runs twice, an A/A in the same seconds: it shows what the comparison cannot tell, and the mean
of the two makes it steadier. What looks worse is measured once more in a fresh launch. Pure: what
it decides follows from the turns that it is told of, see
:class:`asyncdb_bench.measure.turns.Schedule`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from asyncdb_bench.analysis.findings import ScenarioFindings, findings_of
from asyncdb_bench.extensions.gate.decision import (
    Decision,
    Pair,
    Rules,
    confirmed,
    decide_pair,
    ratio_of_pair,
)
from asyncdb_bench.measure.turn_schedule import TurnSchedule
from asyncdb_bench.measure.turns import RUN_IN_ROUNDS, LaunchOrder, TurnOrder
from asyncdb_bench.plan.profiles import climbs
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.files import Seen
from asyncdb_bench.records.plan import Plan, Purpose, Trial, TurnKind
from asyncdb_bench.records.step import Step, TrialEnd

MAIN_SHARE = 0.7
"""Of the time; the rest is kept for confirming."""
KINDS: tuple[TurnKind, ...] = ("pace", "common")
"""Turns of each round: the gate's figures need no others."""

LEAST_ROUNDS = 2.0
"""Of the time that a launch takes, for its rounds: less time is had in the launch that there is."""
FEWEST_CLIMBS = 4
"""Of a ladder before the first analysis: each launch has one."""


class GateSchedule(TurnSchedule):
    """Launches and rounds until all is decided or time is up, then a fresh launch to confirm.

    Parameters
    ----------
    plan : the variants and scenarios.
    pairs : what to decide.
    rules : how.
    seen : spreads of launches on this machine before.
    """

    def __init__(self, plan: Plan, pairs: Sequence[Pair], rules: Rules, seen: Seen) -> None:
        super().__init__(plan, seen)
        self.pairs = list(pairs)
        for pair in self.pairs:
            pair.climbs = climbs(plan.settings, pair.scenario)
        self.rules = rules
        self.confirming = False
        self._variants = {each.label: each for each in plan.variants}
        self._steps: dict[Purpose, list[Step]] = defaultdict(list)
        self._purpose: Purpose = "measure"

    def note_launch(self, order: LaunchOrder, trials: Sequence[Trial]) -> None:
        """Take note of what can be asked now."""
        super().note_launch(order, trials)
        self._purpose = order.purpose
        for pair in self.pairs:
            pair.taken = 0
        for variant, scenario in sorted(order.asked - self._alive):
            self._lose(variant, scenario, order.purpose)

    def note_step(self, order: TurnOrder, step: Step | None) -> None:
        """Take note of what a turn showed."""
        super().note_step(order, step)
        if step is not None:
            self._steps[self._purpose].append(step)

    def note_lost(self, trials: Sequence[Trial]) -> None:
        """Take note that what some trials measured counts for nothing, as a part was lost."""
        super().note_lost(trials)
        lost = {(each.id, each.scenario) for each in trials}
        for purpose, steps in self._steps.items():
            self._steps[purpose] = [e for e in steps if (e.trial, e.scenario) not in lost]

    def note_out(self, variant: str, scenario: str, purpose: Purpose) -> None:
        """Take note that a variant cannot be asked a scenario any more in this launch."""
        super().note_out(variant, scenario, purpose)
        self._lose(variant, scenario, purpose)

    def _lose(self, variant: str, scenario: str, purpose: Purpose) -> None:
        """Note that one of a pair is not measured; why is known once the run has ended."""
        for pair in self.pairs:
            if purpose == "measure" and scenario == pair.scenario.label and variant in pair.labels:
                pair.doubt = pair.doubt or f"{variant} could not be measured"

    def conclude(self, ends: Sequence[TrialEnd]) -> list[Decision]:
        """Leave nothing open, also where the run was interrupted; return all decisions.

        Parameters
        ----------
        ends : of the run's trials: why something could not be measured.
        """
        decisions: list[Decision] = []
        for pair in self.pairs:
            failures = [
                end.failure
                for end in ends
                if end.failure
                and end.variant in pair.labels
                and end.scenario == pair.scenario.label
            ]
            if pair.doubt and failures:
                pair.doubt = failures[-1]
            if pair.is_open and pair.rounds:
                decide_pair(pair, self._measured(pair, "measure"), self.rules, final=True)
            why = pair.doubt or "the time was over before it was measured"
            doubt = Doubt(DoubtKind.NOT_MEASURED, subject=why)
            for metric in pair.metrics:
                found = pair.decisions.get(metric.name)
                if found is None or (pair.doubt and not found.judged.settled):
                    found = Decision(pair.scenario.label, pair.strategy, metric, doubt=doubt)
                elif found.judged.said == "worse" and found.confirmed is None:
                    found = confirmed(found, None, self.rules)
                decisions.append(found)
        return decisions

    # stages

    def _stages(self) -> Iterator[LaunchOrder | TurnOrder]:
        for pair in self.pairs:
            for label in (pair.head, *pair.base[:1]):
                if why := self._variants[label].not_run:
                    pair.doubt = pair.doubt or f"{label} was not run: {why}"
        until_s = self._now.spent_s + self._now.left_s * MAIN_SHARE
        launches = self._most_launches()
        while self.launches < launches and self._now.spent_s < until_s:
            pairs = [pair for pair in self.pairs if pair.is_open]
            if not self.launches:
                pairs += [pair for pair in self.pairs if not pair.base]
            if not pairs:
                break
            number, self.launches = self.launches, self.launches + 1
            began_s = self._now.spent_s
            yield self._launch(pairs, number, "measure")
            launch_s, left_s = self._now.spent_s - began_s, until_s - self._now.spent_s
            fitting = left_s / ((1 + LEAST_ROUNDS) * launch_s) if launch_s > 0 else math.inf
            more = int(max(0, min(launches - number - 1, fitting)))
            end_s = self._now.spent_s + (left_s - more * launch_s) / (more + 1)
            yield from self._in_one_launch(pairs, end_s)
        for pair in self.pairs:
            if pair.is_open and pair.rounds:
                self._analyse(pair, final=True)
        yield from self._confirm()

    def _most_launches(self) -> int:
        """Return in how many launches rounds are had: those of a ladder have one each."""
        if any(pair.climbs for pair in self.pairs):
            return max(self._given.settings.blocks, 1)
        return self.rules.launches

    def _launch(self, pairs: Sequence[Pair], number: int, purpose: Purpose) -> LaunchOrder:
        asked = frozenset(
            (label, pair.scenario.label)
            for pair in pairs
            for label in pair.labels
            if not self._variants[label].not_run
        )
        return LaunchOrder(number, asked, purpose)

    def _in_one_launch(self, pairs: Sequence[Pair], end_s: float) -> Iterator[TurnOrder]:
        launches = self._most_launches()
        for pair in [each for each in pairs if each.climbs]:
            yield from self._climb(pair)
            pair.rounds += 1
            if not pair.doubt and pair.rounds >= min(FEWEST_CLIMBS, launches):
                self._analyse(pair, final=pair.rounds == launches)
        turning = [pair for pair in pairs if not pair.climbs]
        while self._now.spent_s < end_s:
            left = [pair for pair in turning if self._has_more(pair)]
            if not left:
                break
            if all(pair.taken >= RUN_IN_ROUNDS for pair in left):
                yield from self._rest(self._alive)
            pair = min(left, key=lambda each: (each.rounds, self._random.random()))
            yield from self._round(pair)
            pair.rounds += 1
            rounds = self.rules.rounds
            more = not pair.doubt and pair.analysed < len(rounds)
            if more and pair.rounds >= rounds[pair.analysed]:
                self._analyse(pair, final=pair.analysed + 1 == len(rounds))
        yield from self._rest(self._alive)

    def _has_more(self, pair: Pair) -> bool:
        """Return whether more rounds of a pair in this launch serve."""
        if pair.doubt:
            # nothing can be decided: head is measured all the same, for the report
            head = (pair.head, pair.scenario.label)
            return head in self._alive and pair.rounds < self.rules.first
        there = [(label, pair.scenario.label) in self._alive for label in pair.labels]
        share = self.rules.rounds[-1] / self.rules.launches
        last = self.launches >= self.rules.launches
        return pair.is_open and all(there) and (pair.taken < share or last)

    def _round(self, pair: Pair) -> Iterator[TurnOrder]:
        """Have a turn of each kind of each variant of a pair."""
        group = (pair.strategy, pair.scenario.label)
        number = pair.taken
        pair.taken += 1
        for kind in KINDS:
            for label in self._shuffled(pair.labels):
                key, compared = (label, pair.scenario.label), pair.labels
                if key not in self._alive:
                    continue
                order = self._turns.make(key, kind, number, group=group, compared=compared)
                if order is not None:
                    yield order

    def _climb(self, pair: Pair) -> Iterator[TurnOrder]:
        """Have each of a pair climb the scenario's ladder once."""
        for label in self._shuffled(pair.labels):
            for order in self._climbing.climb(pair.scenario, label):
                if (label, pair.scenario.label) not in self._alive:
                    break
                yield order

    def _confirm(self) -> Iterator[LaunchOrder | TurnOrder]:
        """Measure the pairs under suspicion in a fresh launch, and let it decide alone."""
        suspects = [pair for pair in self.pairs if pair.rounds_of_suspicion and not pair.doubt]
        if not suspects or self._now.left_s <= 0:
            return
        names = ", ".join(f"{pair.scenario.label} · {pair.strategy}" for pair in suspects)
        self._news.append(f"confirming {names} in a fresh launch")
        self.confirming = True
        yield self._launch(suspects, 0, "confirm")
        yield from self._rest(self._alive)
        for pair in [each for each in suspects if each.climbs]:
            yield from self._climb(pair)
        while self._now.left_s > 0:
            left = [p for p in suspects if not p.climbs and p.taken < p.rounds_of_suspicion]
            if not left:
                break
            yield from self._round(min(left, key=lambda each: each.taken))
        for pair in suspects:
            measured = self._measured(pair, "confirm")
            for name, decision in pair.decisions.items():
                if decision.judged.said == "worse":
                    again = ratio_of_pair(pair, measured, decision.metric)
                    pair.decisions[name] = confirmed(decision, again, self.rules)

    def _measured(self, pair: Pair, purpose: Purpose) -> ScenarioFindings:
        """Return what a pair's turns come to, of its variants alone."""
        asked = pair.scenario
        own = [
            each
            for each in self._steps[purpose]
            if each.scenario == asked.label and each.variant in pair.labels
        ]
        variants = [self._variants[each] for each in pair.labels]
        p99_ms = asked.objective.p99_ms
        return findings_of(own, variants, self._given.settings, p99_ms, self._seen)

    def _analyse(self, pair: Pair, *, final: bool) -> None:
        decide_pair(pair, self._measured(pair, "measure"), self.rules, final=final)
        said = ", ".join(
            f"{each.metric.title} {each.judged.said}" for each in pair.decisions.values()
        )
        self._news.append(
            f"after {pair.rounds} rounds: {pair.scenario.label} · {pair.strategy}: {said}"
        )
