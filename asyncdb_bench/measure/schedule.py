"""Which turn comes next in a run: first an answer to every scenario, then what is open. Pure.

Each round takes one scenario, and has every variant take one turn at full speed, in random order,
so that what is compared lies within seconds. Once each scenario has a first answer, rounds go where
an answer that matters is still open, by how far its interval is from what is asked for. A variant
that is known well enough takes part now and then only (a race: Maron and Moore, *Hoeffding races*,
NIPS 1994; Even-Dar, Mannor and Mansour, *Action elimination*, JMLR 7, 2006). Between them lie turns
at a load, which are for latency and capacity, and rounds of what stands beside the scenarios:
other round trips, cells of the model.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from asyncdb_bench.analysis.inference import PACE, Said
from asyncdb_bench.analysis.metric_table import Answer, Table, brokers_of
from asyncdb_bench.analysis.values import tells_pace
from asyncdb_bench.measure.overloading import ROUNDS as OVERLOAD_ROUNDS
from asyncdb_bench.measure.overloading import Overloading
from asyncdb_bench.measure.turn_orders import LOADS
from asyncdb_bench.measure.turn_schedule import TurnSchedule
from asyncdb_bench.measure.turns import RUN_IN_ROUNDS, Key, LaunchOrder, TurnOrder
from asyncdb_bench.plan.profiles import climbs
from asyncdb_bench.records.doubts import Doubt
from asyncdb_bench.records.files import Seen
from asyncdb_bench.records.plan import Plan, PlannedScenario, Trial, TurnKind
from asyncdb_bench.records.step import Step

FIRST_ROUNDS = 4
"""Rounds of each scenario before any has more."""
LOAD_SHARE = 0.3
"""Of all time that turns at a load take, while any pace is open."""
FEWEST_COMMON = 8
"""Rounds at the common load after which latency has had enough where all paces are known."""
ASIDE_SHARE = 0.12
"""Of the time for what stands beside the scenarios, while any answer of theirs is open."""
ASIDE_ROUNDS = 12
"""Rounds after which what stands beside has had enough: it has no answer of its own."""
MOST_EMPTY = 8
"""Rounds in which nobody has a turn, one after another, before a launch ends."""
MOST_ROUNDS = 200
"""Rounds of a scenario in a launch, where nothing else ends it: how launches stray, or turns that
are never sound, may keep an answer open for ever."""
NOW_AND_THEN = 6
"""A variant that is known well enough takes part in every so many rounds of its scenario."""
NEARLY = 0.3
"""Of the widest answer's openness: whose is less waits until that is narrower."""
KNOWN_WIDTH = {False: 2.0, True: 3.3}
"""How much wider an interval may be of a variant that is known to be worse, without and with a
broker, whose launches stray more: it decides nothing any more."""
LONG_S, LONGER_S = 75.0, 200.0
"""A run that measures for so long is launched twice, and three times."""


class RunSchedule(TurnSchedule):
    """The turns of a run.

    Parameters
    ----------
    plan : variants, scenarios and settings.
    seen : spreads of launches on this machine before.
    fitting : labels of the variants that fit into memory at once, one set after another.
    notes : what a reader should know of all that is measured.
    """

    def __init__(
        self,
        plan: Plan,
        seen: Seen,
        fitting: Sequence[frozenset[str]] = (),
        notes: tuple[Doubt, ...] = (),
    ) -> None:
        super().__init__(plan, seen)
        everyone = frozenset(each.label for each in plan.variants)
        self._fitting = list(fitting) or [everyone]
        self._notes = notes
        self._scenarios = {each.label: each for each in plan.scenarios}
        self._labels = [each.label for each in plan.variants]
        self._brokers = brokers_of(plan.variants)
        self._cells: dict[str, dict[str, dict[int, dict[int, float]]]] = defaultdict(dict)
        self._rounds: Counter[str] = Counter()
        self._in_launch: Counter[str] = Counter()
        self._loads: Counter[str] = Counter()
        self._overloading = Overloading(plan, self._turns, self._news)
        self._spent: dict[tuple[str, bool], float] = defaultdict(float)
        self._settled: set[str] = set()
        self._climbed: set[Key] = set()
        self._before: dict[str, tuple[int, int, int]] = {}
        self._tables: dict[str, Table] = {}
        self._answers: dict[str, dict[str, Answer]] = {}

    def note_launch(self, order: LaunchOrder, trials: Sequence[Trial]) -> None:
        """Take note of what can be asked now."""
        super().note_launch(order, trials)
        self._in_launch.clear()
        self._climbed.clear()
        self._before = {
            name: (self._rounds[name], self._loads[name], self._overloading.had[name])
            for name in self._scenarios
        }

    def note_step(self, order: TurnOrder, step: Step | None) -> None:
        """Take note of what a turn showed."""
        super().note_step(order, step)
        self._overloading.note(order, step)
        if step is not None and step.valid and order.kind == "pace" and tells_pace(step):
            cells = self._cells[order.scenario].setdefault(order.variant, {})
            cells.setdefault(self.launches - 1, {})[order.round] = step.achieved_rps
            self._forget(order.scenario)

    def note_lost(self, trials: Sequence[Trial]) -> None:
        """Take note that what some trials measured counts for nothing, as a part was lost."""
        super().note_lost(trials)
        for each in trials:
            key, scenario = (each.variant, each.scenario), each.scenario
            self._cells[scenario].get(each.variant, {}).pop(each.block, None)
            self._forget(scenario)
            self._settled.discard(scenario)
            self._climbed.discard(key)
            # rounds that a variant had no part in tell nothing of it: all have as many more
            rounds, loads, overloads = self._before.get(scenario, (0, 0, 0))
            self._rounds[scenario] = min(self._rounds[scenario], rounds)
            self._loads[scenario] = min(self._loads[scenario], loads)
            self._overloading.take_back(scenario, overloads)

    # stages

    def _stages(self) -> Iterator[LaunchOrder | TurnOrder]:
        total = self._most_launches()
        for number in range(total):
            self.launches = number + 1
            until_s = self._now.spent_s + self._now.left_s / (total - number)
            yield self._launch_order(number)
            yield from self._in_one_launch(until_s)
            if self._is_over() or self._now.left_s <= 0:
                return

    def _most_launches(self) -> int:
        """Return how often all is launched, at most."""
        settings, left_s = self._given.settings, self._now.left_s
        climbing = all(climbs(settings, each) for each in self._given.scenarios)
        most = settings.ladder_blocks if climbing else settings.blocks
        if math.isfinite(left_s) and not climbing:
            most = min(most, 1 + (left_s >= LONG_S) + (left_s >= LONGER_S))
        return max(most, len(self._fitting))

    def _launch_order(self, number: int) -> LaunchOrder:
        together = self._fitting[number % len(self._fitting)]
        settings = self._given.settings
        asked = frozenset(
            (variant.label, scenario.label)
            for scenario in self._given.scenarios
            for variant in self._given.variants
            if variant.label in together
            and not variant.not_run
            and variant.label not in scenario.refused
            and not (climbs(settings, scenario) and number >= settings.ladder_blocks)
        )
        return LaunchOrder(number, asked, notes=self._notes)

    def _in_one_launch(self, until_s: float) -> Iterator[TurnOrder]:
        yield from self._climb(until_s)
        empty, half_s = 0, (self._now.spent_s + until_s) / 2
        while (self._now.spent_s < until_s or self._is_bare()) and empty < MOST_EMPTY:
            if self._has_run_in() or self._now.spent_s > half_s:
                # once, and again where that was lost
                yield from self._rest(self._in_turns())
            unit = self._choose()
            if unit is None:
                break
            scenario, kind = unit
            began_s, had = self._now.spent_s, 0
            for order in self._round(scenario, kind, until_s):
                had += 1
                yield order
            if kind != "overload":
                self._spent[scenario, kind != "pace"] += self._now.spent_s - began_s
            # no window fits into what is left, or nobody carries the load: time would stand still
            empty = 0 if had else empty + 1
        yield from self._rest(self._in_turns())

    def _has_run_in(self) -> bool:
        """Return whether enough was asked in this launch that what is left of a start is over."""
        names = [each.label for each in self._turning() if self._variants(each.label)]
        return all(self._in_launch[name] >= RUN_IN_ROUNDS for name in names)

    def _climb(self, until_s: float) -> Iterator[TurnOrder]:
        """Have the ladders climbed, within the share of the time that their scenarios have."""
        climbing = [each for each in self._turning(climbed=True) if self._variants(each.label)]
        if not climbing:
            return
        share = len(climbing) / len({scenario for _, scenario in self._alive})
        end_s = self._now.spent_s + (until_s - self._now.spent_s) * share
        jobs = [
            (each, label)
            for each in self._random.sample(climbing, len(climbing))
            for label in self._shuffled(self._variants(each.label))
        ]
        while left := [
            (asked, label)
            for asked, label in jobs
            if (label, asked.label) in self._alive and (label, asked.label) not in self._climbed
        ]:
            asked, label = left[0]
            # a loss takes it out again, also one in another's climb that all were lost in
            self._climbed.add((label, asked.label))
            limit_s = self._now.spent_s + (end_s - self._now.spent_s) / len(left) * 1.5
            for order in self._climbing.climb(asked, label):
                self._climbed.add((label, asked.label))
                if (label, asked.label) not in self._alive or (
                    self._climbing.began and self._now.spent_s + order.window_s > limit_s
                ):
                    break
                yield order

    def _in_turns(self) -> list[Key]:
        """Return what can be asked now and climbs no ladder."""
        turning = {each.label for each in self._turning()}
        return [key for key in self._alive if key[1] in turning]

    def _round(self, scenario: str, kind: TurnKind, until_s: float) -> Iterator[TurnOrder]:
        """Have a turn of each variant that takes part."""
        number = self._in_launch[scenario]
        self._in_launch[scenario] += 1
        if kind == "overload":
            yield from self._overloading.round(
                scenario,
                self._shuffled(self._variants(scenario)),
                number,
                until_s - self._now.spent_s,
                lambda key: key in self._alive,
            )
            return
        if kind == "pace":
            self._rounds[scenario] += 1
        else:
            self._loads[scenario] += 1
        for label in self._shuffled(self._taking_part(scenario, kind)):
            if (label, scenario) not in self._alive:
                continue
            order = self._turns.make(
                (label, scenario),
                kind,
                number,
                group=scenario,
                compared=self._variants(scenario),
                place=self._loads[scenario] // len(LOADS),
            )
            if order is None:
                continue
            end_s = self._now.spent_s + order.window_s + self._turns.drains_s(order)
            if end_s <= until_s or self._rounds[scenario] <= 1:
                yield order

    # choices

    def _turning(self, *, climbed: bool = False) -> list[PlannedScenario]:
        settings = self._given.settings
        return [each for each in self._given.scenarios if climbs(settings, each) == climbed]

    def _variants(self, scenario: str) -> list[str]:
        return [label for label in self._labels if (label, scenario) in self._alive]

    def _choose(self) -> tuple[str, TurnKind] | None:
        """Return which scenario has the next round, and of which kind; None: all had enough."""
        there = [each for each in self._turning() if self._variants(each.label)]
        main = [each.label for each in there if not each.aside]
        aside = [each.label for each in there if each.aside]
        if not main:
            return self._choose_alone(aside)
        first = [name for name in main if self._rounds[name] < self._most_rounds(FIRST_ROUNDS)]
        if first:
            fewest = min(self._rounds[name] for name in first)
            return self._random.choice([n for n in first if self._rounds[n] == fewest]), "pace"
        beyond = [name for name in main if self._wants_overload(name)]
        if beyond:
            return min(beyond, key=lambda name: self._overloading.had[name]), "overload"
        # the pace of an overload's scenario is known well enough to be loaded relative to
        return self._choose_open([name for name in main if not self._overloading.of(name)], aside)

    def _choose_open(self, main: list[str], aside: list[str]) -> tuple[str, TurnKind] | None:
        """Return the next round of those that have had their first ones."""
        if not main:
            return self._choose_alone(aside)
        wanting = [name for name in aside if self._rounds[name] < self._most_rounds(ASIDE_ROUNDS)]
        needs = {name: self._need(name) for name in main}
        open_ = {name: need for name, need in needs.items() if need > 1}
        for name in needs.keys() - open_.keys() - self._settled:
            self._settled.add(name)
            self._news.append(f"{name}: sharp enough after {self._rounds[name]} rounds")
        spent = sum(self._spent.values())
        at_loads = sum(each for (_, loaded), each in self._spent.items() if loaded)
        beside = sum(self._spent[name, False] for name in aside)
        if wanting and (not open_ or beside < ASIDE_SHARE * spent):
            return min(wanting, key=lambda name: self._spent[name, False]), "pace"
        latency = [name for name in main if self._can_have_load(name)]
        if not open_:
            enough = self._most_rounds(2 * FEWEST_COMMON)
            latency = [name for name in latency if self._loads[name] < enough]
        if latency and (not open_ or at_loads < LOAD_SHARE * spent):
            # by time, not rounds: one at the load of slow requests takes as long as ten others
            name = min(latency, key=lambda name: self._spent[name, True])
            return name, LOADS[self._loads[name] % len(LOADS)]
        if not open_:
            return None
        # by time, not rounds: one of slow requests takes as long as three others
        names = list(open_)
        weights = [min(need, 25.0) / self._round_s(name) for name, need in open_.items()]
        return self._random.choices(names, weights)[0], "pace"

    def _wants_overload(self, scenario: str) -> bool:
        """Return whether a scenario's variants have had fewer overloads than they should."""
        most = self._most_rounds(OVERLOAD_ROUNDS) * self.launches
        return self._overloading.of(scenario) and self._overloading.had[scenario] < most

    def _round_s(self, scenario: str) -> float:
        """Return how long a round of a scenario's paces took on average, seconds."""
        return max(self._spent[scenario, False] / self._rounds[scenario], 1e-3)

    def _choose_alone(self, aside: list[str]) -> tuple[str, TurnKind] | None:
        """Return the cell of a map that has the next round."""
        needs = {name: self._need(name) for name in aside}
        few = [name for name in aside if self._rounds[name] < FIRST_ROUNDS]
        left = few or [name for name, need in needs.items() if need > 1]
        return (min(left, key=lambda name: self._rounds[name]), "pace") if left else None

    def _is_bare(self) -> bool:
        """Return whether a scenario has had no round yet: where launching took all the time, too.

        Of an overload, its paces say nothing yet.

        What stands beside the scenarios can wait.
        """
        main = [each.label for each in self._turning() if not each.aside]
        return any(
            self._variants(name)
            and (
                not self._rounds[name]
                or (self._overloading.of(name) and not self._overloading.had[name])
            )
            for name in main
        )

    def _most_rounds(self, wanted: int) -> int:
        most = self._given.settings.rounds
        return min(wanted, most) if most else wanted

    def _need(self, scenario: str) -> float:
        """Return how open a scenario's answers are: the widest interval over what is asked for."""
        settings = self._given.settings
        most = settings.rounds * max(self.launches, 1)
        if self._in_launch[scenario] >= MOST_ROUNDS:
            return 0.0
        if settings.rounds and self._rounds[scenario] >= most:
            return 0.0
        return max(
            (self._openness(scenario, label) for label in self._variants(scenario)), default=0
        )

    def _openness(self, scenario: str, label: str) -> float:
        """Return the square of a variant's interval over the one that is asked for."""
        table, settings = self._table(scenario), self._given.settings
        wanted = math.log1p(settings.half_width)
        if len(table.cells) < 2:
            return self._own_openness(table, label, wanted)
        best = table.best
        if label == best or label not in table.cells:
            return 1.5 if label not in table.cells else 0.0
        answer = self._answer(scenario, label)
        if answer.ratio is None or not answer.ratio.known:
            return 25.0
        if answer.said is Said.SAME:
            return 0.0
        if answer.said is not Said.UNKNOWN:
            wanted *= KNOWN_WIDTH[self._brokers[label]]
        return (answer.ratio.half_width / wanted) ** 2

    def _behind(self, scenario: str, label: str) -> float:
        """Return by how much less a variant's interval matters: the farther behind, the less."""
        table = self._table(scenario)
        if label not in table.cells or len(table.cells) < 2:
            return 1.0
        answer = self._answer(scenario, label)
        if answer.ratio is None or answer.said is not Said.WORSE:
            return 1.0
        return (1 + abs(answer.ratio.centre)) ** 2

    def _answer(self, scenario: str, label: str) -> Answer:
        """Return what is said of a variant beside the best, reckoned once for each new value."""
        answers = self._answers.setdefault(scenario, {})
        if label not in answers:
            table, settings = self._table(scenario), self._given.settings
            answers[label] = table.answer(table.best, label, settings.equal, settings.half_width)
        return answers[label]

    def _own_openness(self, table: Table, label: str, wanted: float) -> float:
        """Return the same for a variant with nothing beside it: by its own interval."""
        bounds = table.bounds(label)
        if bounds is None:
            return 25.0
        return (math.log(bounds[1] / bounds[0]) / 2 / wanted) ** 2

    def _forget(self, scenario: str) -> None:
        """Forget what followed from values that have changed."""
        self._tables.pop(scenario, None)
        self._answers.pop(scenario, None)

    def _table(self, scenario: str) -> Table:
        if scenario not in self._tables:
            cells = self._cells[scenario]
            self._tables[scenario] = Table(PACE, cells, {}, self._brokers, self._seen)
        return self._tables[scenario]

    def _taking_part(self, scenario: str, kind: TurnKind) -> list[str]:
        """Return who takes part in a round: all that are open, the others now and then."""
        there = self._variants(scenario)
        if kind != "pace" or self._rounds[scenario] % NOW_AND_THEN == 1:
            return there
        if self._rounds[scenario] <= FIRST_ROUNDS + 1:
            return there
        best = self._table(scenario).best
        openness = {
            name: self._openness(scenario, name) / self._behind(scenario, name)
            for name in there
            if name != best
        }
        enough = max(1.0, NEARLY * max(openness.values(), default=0.0))
        open_ = [label for label, each in openness.items() if each > enough]
        if best in there and open_:
            return [best, *open_]
        return there

    def _can_have_load(self, scenario: str) -> bool:
        """Return whether a scenario is asked at loads, and a pace is known to take shares of."""
        known = any(self._turns.pace((label, scenario)) for label in self._variants(scenario))
        return known and not self._scenarios[scenario].pace_only

    def _is_over(self) -> bool:
        """Return whether more launches would add little."""
        there = {scenario for _, scenario in self._alive}
        if any(climbs(self._given.settings, self._scenarios[name]) for name in there):
            return False
        least = max(self._given.settings.least_blocks, len(self._fitting))
        return self.launches >= least and self._choose() is None
