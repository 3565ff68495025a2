"""Measures variants in many launches of as many rounds each: what the studies of noise rest on."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from asyncdb_bench.cli.progress import Progress
from asyncdb_bench.measure.turn_orders import TurnOrders
from asyncdb_bench.measure.turns import IDLE_S, LaunchOrder, Now, TurnOrder
from asyncdb_bench.plan.cores import on_cores, share_out, usable_cores
from asyncdb_bench.records.plan import Plan, Purpose, Trial, TurnKind, Variant
from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.records.step import Step
from asyncdb_bench.whole_run import Places, run_schedule

NOISE = """
import random, sys, threading, time, os
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
draw, share = random.Random(int(sys.argv[1])), float(sys.argv[2])
while True:
    burst = draw.uniform(0.02, 0.3)
    until = time.monotonic() + burst
    while time.monotonic() < until:
        pass
    if share < 1:
        time.sleep(burst * (1 - share) / share * draw.uniform(0.5, 1.5))
"""
PLACES = Places(Path("results").resolve(), Path("reports").resolve())


class ManyLaunches:
    """So many launches, each of so many rounds; see :class:`asyncdb_bench.measure.turns.Schedule`.

    Parameters
    ----------
    plan : variants and scenarios.
    launches, rounds : how many.
    kinds : of turns in each round.
    """

    def __init__(
        self, plan: Plan, launches: int, rounds: int, kinds: Sequence[TurnKind] = ("pace",)
    ) -> None:
        self._given, self._launches, self._rounds, self._kinds = plan, launches, rounds, kinds
        self._chance = random.Random(plan.seed)
        self._turns = TurnOrders(plan, self._chance)
        self._begun: list[Trial] = []
        self._orders = self._stages()

    @property
    def plan(self) -> Plan:
        """The plan with the trials that were begun."""
        settings = replace(self._given.settings, blocks=self._launches)
        return replace(self._given, trials=tuple(self._begun), settings=settings)

    def next(self, now: Now) -> LaunchOrder | TurnOrder | None:
        """Return what is done next."""
        return next(self._orders, None)

    def note_launch(self, order: LaunchOrder, trials: Sequence[Trial]) -> None:
        """Take note of the trials."""
        self._begun += trials
        self._turns.begin_launch()

    def note_step(self, order: TurnOrder, step: Step | None) -> None:
        """Take note of a turn."""
        if step is not None and step.valid:
            self._turns.note(order, step)

    def note_lost(self, trials: Sequence[Trial]) -> None:
        """Go on with the others."""

    def note_out(self, variant: str, scenario: str, purpose: Purpose) -> None:
        """Give up: such a study needs all of them."""
        raise SystemExit(f"{variant} in {scenario} was lost")

    def news(self) -> list[str]:
        """Return nothing."""
        return []

    def _stages(self) -> Iterator[LaunchOrder | TurnOrder]:
        labels = [each.label for each in self._given.variants]
        keys = [(label, each.label) for each in self._given.scenarios for label in labels]
        for launch in range(self._launches):
            yield LaunchOrder(launch, frozenset(keys))
            for label in labels:
                yield TurnOrder(label, self._given.scenarios[0].label, "idle", 0, IDLE_S)
            for number in range(self._rounds):
                for asked in self._given.scenarios:
                    for kind in self._kinds:
                        yield from self._round(labels, asked.label, kind, number)

    def _round(
        self, labels: Sequence[str], scenario: str, kind: TurnKind, number: int
    ) -> Iterator[TurnOrder]:
        for label in self._chance.sample(labels, len(labels)):
            order = self._turns.make(
                (label, scenario), kind, number, group=scenario, compared=labels
            )
            if order is not None:
                yield order


class Quiet(Progress):
    """Shows the launches alone."""

    def step(self, step: Step) -> None:
        """Show nothing."""


def copies_of(variants: Sequence[Variant], count: int) -> tuple[Variant, ...]:
    """Return each variant so many times, under labels of their own."""
    made: Counter[str] = Counter()
    found = []
    for each in [each for each in variants for _ in range(count)]:
        made[each.label] += 1
        number = made[each.label]
        found.append(replace(each, label=f"{each.label}#{number}" if number > 1 else each.label))
    return tuple(found)


def measured(
    plan: Plan, launches: int, rounds: int, kinds: Sequence[TurnKind] = ("pace",)
) -> RunFolder:
    """Measure, and return the run's folder."""
    return run_schedule(
        plan,
        PLACES,
        Quiet(plan, 0, sys.stdout),
        lambda known, _: ManyLaunches(known, launches, rounds, kinds),
        sys.argv,
    ).folder


@contextlib.contextmanager
def busy(share: float, seed: int, *, everywhere: int = 0) -> Iterator[None]:
    """Keep cores busy meanwhile.

    Parameters
    ----------
    share : of the application's core that is taken, in bursts of up to 0.3 s.
    seed : of the bursts.
    everywhere : busy processes on each core besides.
    """
    with contextlib.ExitStack() as stack:
        if share:
            _start(stack, seed, share, share_out("auto", usable_cores()).of("app"))
        for core in sorted(usable_cores()) if everywhere else ():
            for number in range(everywhere):
                _start(stack, seed + number, 1.0, (core,))
        yield


def _start(stack: contextlib.ExitStack, seed: int, share: float, cores: Sequence[int]) -> None:
    with on_cores(cores):
        process = subprocess.Popen(
            [sys.executable, "-c", NOISE, str(seed), str(share)], stdin=subprocess.PIPE
        )
    stack.callback(process.wait)
    stack.callback(process.kill)
