"""The trials that show how often the gate errs: copies of one variant beside known faults.

In every block six copies of the same variant and each fault run once, in random order, in fresh
processes, at half of the capacity.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.errors import MeasurementError
from asyncdb_bench.records.plan import Fault, Plan, Purpose, Trial, Variant
from asyncdb_bench.regression.effects import at_load
from asyncdb_bench.regression.pairs import pilot_capacity
from asyncdb_bench.trial.schedule_loop import Results

COPIES = 6
SIZES = (0.05, 0.10, 0.20)
POOLS = (7, 6, 5)
STEPS = 2


class ErrorRateSchedule:
    """A pilot, the faults' sizes, then the blocks; see :class:`Schedule`.

    Parameters
    ----------
    plan : the copies, all alike, and one scenario.
    blocks : at most; none is begun that the time budget does not hold.
    """

    def __init__(self, plan: Plan, blocks: int) -> None:
        self.copies = plan.variants
        self.blocks = blocks
        self.faulty: list[Variant] = []
        self.load = 0.0
        self.trials: list[Trial] = []
        self.results = Results()
        self._given = plan
        self._news: list[str] = []
        self._story = self._stages()

    @property
    def plan(self) -> Plan:
        """The plan with the faults and the trials that were asked for."""
        variants = (*self.copies, *self.faulty)
        return replace(self._given, variants=variants, trials=tuple(self.trials))

    def next(self, results: Results) -> Trial | None:
        """Return the next trial.

        Raises
        ------
        MeasurementError : the pilot carried nothing, or no sound step to size the faults by.
        """
        self.results = results
        return next(self._story, None)

    def news(self) -> list[str]:
        """Return how long blocks took."""
        news, self._news = self._news, []
        return news

    def _stages(self) -> Iterator[Trial]:
        first = self.copies[0]
        (scenario,) = self._given.scenarios
        yield self._trial(first, 0, (), "pilot", gallop=True)
        carried = pilot_capacity(self._steps())
        if not carried:
            raise MeasurementError(f"{first.label} did not carry even {scenario.ladder[0]:g}/s")
        self.load = round(carried / 2)
        ladder = (self.load,) * STEPS
        yield from self._size_faults(first, ladder)
        variants = [each for each in self.plan.variants if each.fault != ROUND_TRIP]
        shuffler = random.Random(self._given.seed)
        for block in range(self.blocks):
            began_s = self.results.spent_s
            for variant in shuffler.sample(variants, len(variants)):
                yield self._trial(variant, block, ladder, "measure")
            took_s = self.results.spent_s - began_s
            self._news.append(f"block {block + 1} of {self.blocks} took {took_s:.0f} s")
            if took_s > self.results.left_s:
                break

    def _size_faults(self, variant: Variant, ladder: tuple[float, ...]) -> Iterator[Trial]:
        """Choose faults that make the p50 worse by about 5, 10 and 20 %.

        A delay costs a round trip besides: it is measured, and taken off.
        """
        self.faulty = [with_fault(variant, ROUND_TRIP)]
        for each in (variant, *self.faulty):
            yield self._trial(each, 0, ladder, "pilot")
        steps = self._steps()
        plain, with_trip = (
            at_load(steps[steps.variant == each.label], self.load, "p50_ms").get(0)
            for each in (variant, *self.faulty)
        )
        if plain is None or with_trip is None:
            raise MeasurementError(
                f"no sound step at {self.load:g}/s to size the faults by: is the machine busy?"
            )
        trip = max(with_trip - plain, 0.0)
        delays = [Fault(delay_ms=max(round(size * plain - trip, 2), 0.01)) for size in SIZES]
        burns = [Fault(cpu_ms=round(size * plain, 2)) for size in SIZES]
        self.faulty += [with_fault(variant, each) for each in (*delays, *burns)]
        self.faulty += [with_fault(variant, Fault(pool=pool)) for pool in POOLS]

    def _trial(
        self,
        variant: Variant,
        block: int,
        ladder: tuple[float, ...],
        purpose: Purpose,
        *,
        gallop: bool = False,
    ) -> Trial:
        (scenario,) = self._given.scenarios
        trial = Trial(
            id=f"t{len(self.trials):03d}",
            block=block,
            variant=variant.label,
            scenario=scenario.label,
            ladder=ladder,
            purpose=purpose,
            gallop=gallop,
            retry_missed=bool(ladder),
        )
        self.trials.append(trial)
        return trial

    def _steps(self) -> pd.DataFrame:
        return steps_table(self.results.steps, self.results.ends)


ROUND_TRIP = Fault(delay_ms=0.01)
"""A statement more and hardly a delay: what a delay costs besides."""


def with_fault(variant: Variant, fault: Fault) -> Variant:
    """Return a variant with a fault; a smaller pool is a knob, shared out anew."""
    label = f"{variant.strategy} with {fault_words(fault, variant.knobs.get('pool'))}"
    if not fault.pool:
        return replace(variant, label=label, fault=fault)
    shares = tuple({**share, "pool": fault.pool} for share in variant.shares)
    knobs = {**variant.knobs, "pool": fault.pool}
    return replace(variant, label=label, fault=fault, knobs=knobs, shares=shares)


def fault_words(fault: Fault, pool: object = None) -> str:
    """Return a fault in words; `pool` is what the variant has without it."""
    if fault == ROUND_TRIP:
        return "a round trip more"
    if fault.pool:
        return f"a pool of {fault.pool} instead of {pool}"
    if fault.cpu_ms:
        return f"{fault.cpu_ms:g} ms of CPU burned in the handler"
    return f"{fault.delay_ms:g} ms of delay in the operation"


def copies_of(variant: Variant) -> Sequence[Variant]:
    """Return the copies of a variant that are held against one another."""
    return [replace(variant, label=f"{variant.strategy}#{n + 1}") for n in range(COPIES)]
