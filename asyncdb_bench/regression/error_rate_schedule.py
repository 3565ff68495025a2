"""The blocks that show how often the gate errs: copies of one variant beside known faults.

All of them take turns as the gate's do. In every block nine copies of the same variant, which make
three decisions that share nothing, and two of each fault, which make two.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from asyncdb_bench.errors import MeasurementError
from asyncdb_bench.plan.schedule import takes_turns
from asyncdb_bench.records.plan import Block, Fault, Plan, Purpose, Trial, Variant
from asyncdb_bench.regression.effects import NET_CPU, at_load, by_block
from asyncdb_bench.regression.gate_schedule import KINDS
from asyncdb_bench.regression.rows import comparison_rows
from asyncdb_bench.trial.schedule_loop import Results

COPIES = 9
FAULTY = 2
"""Copies of each fault."""
SIZE = 0.10
"""By how much a fault makes its own figure worse."""
PILOT_BLOCKS = 2


class ErrorRateSchedule:
    """Blocks that size the faults, then those that count; see :class:`Schedule`.

    Parameters
    ----------
    plan : the copies, all alike, and one scenario that is measured in turns.
    blocks : at most; none is begun that the time budget does not hold.
    """

    def __init__(self, plan: Plan, blocks: int) -> None:
        self.copies = plan.variants
        self.blocks = blocks
        self.faulty: list[Variant] = []
        self.trials: list[Trial] = []
        self.results = Results()
        self._given = plan
        self._common_rps = 0.0
        self._news: list[str] = []
        self._story = self._stages()
        assert takes_turns(plan.settings, plan.scenarios[0])

    @property
    def plan(self) -> Plan:
        """The plan with the faults and the trials that were asked for."""
        variants = (*self.copies, *self.faulty)
        return replace(self._given, variants=variants, trials=tuple(self.trials))

    def next(self, results: Results) -> Block | None:
        """Return the next block.

        Raises
        ------
        MeasurementError : no sound turn to size the faults by.
        """
        self.results = results
        return next(self._story, None)

    def news(self) -> list[str]:
        """Return how long blocks took."""
        news, self._news = self._news, []
        return news

    def _stages(self) -> Iterator[Block]:
        yield from self._size_faults()
        variants = [*self.copies, *self.faulty]
        shuffler = random.Random(self._given.seed)
        for block in range(self.blocks):
            began_s = self.results.spent_s
            yield self._block(shuffler.sample(variants, len(variants)), block, "measure")
            took_s = self.results.spent_s - began_s
            self._news.append(f"block {block + 1} of {self.blocks} took {took_s:.0f} s")
            if took_s > self.results.left_s:
                break

    def _size_faults(self) -> Iterator[Block]:
        """Choose faults that make p50, and CPU time per request, worse by 10 %.

        A delay costs a round trip besides: it is measured, and taken off. There is none where that
        is more already.
        """
        plain = self.copies[0]
        with_trip = with_fault(plain, ROUND_TRIP, 1)
        self.faulty = [with_trip]
        for block in range(PILOT_BLOCKS):
            yield self._block([plain, with_trip], block, "pilot")
        p50, p50_with_trip = (self._figure(each.label, "p50_ms") for each in (plain, with_trip))
        cpu = self._figure(plain.label, NET_CPU.name)
        if not p50 or not p50_with_trip or not cpu:
            raise MeasurementError("no sound turn to size the faults by: is the machine busy?")
        faults = [Fault(cpu_ms=round(SIZE * cpu, 3))]
        delay_ms = round(SIZE * p50 - max(p50_with_trip - p50, 0.0), 3)
        # where a round trip alone costs more than that, no delay is as small
        if delay_ms > 0:
            faults.append(Fault(delay_ms=delay_ms))
        self.faulty = [
            with_fault(plain, fault, copy + 1) for fault in faults for copy in range(FAULTY)
        ]

    def _figure(self, label: str, name: str) -> float | None:
        pilot = [step for step in self.results.steps if step.purpose == "pilot"]
        rows = comparison_rows(pilot, self.results.ends)
        own = rows[rows.variant == label]
        if name == NET_CPU.name:
            values = by_block(own, NET_CPU, None, 0.0)
        else:
            values = at_load(own, self._load(), name)
        return sum(values.values()) / len(values) if values else None

    def _load(self) -> float:
        """Return the load common to all blocks, which the first of them found; 0: not yet."""
        return next(
            (
                step.offered_rps
                for step in self.results.steps
                if step.turn is not None and step.turn.kind == "common"
            ),
            0.0,
        )

    def _block(self, variants: Sequence[Variant], block: int, purpose: Purpose) -> Block:
        (scenario,) = self._given.scenarios
        trials = tuple(
            Trial(
                id=f"t{len(self.trials) + place:04d}",
                block=block,
                variant=variant.label,
                scenario=scenario.label,
                purpose=purpose,
            )
            for place, variant in enumerate(variants)
        )
        self.trials += trials
        return Block(trials, KINDS, self._given.settings.rounds, self._load())


ROUND_TRIP = Fault(delay_ms=0.01)
"""A statement more and hardly a delay: what a delay costs besides."""


def with_fault(variant: Variant, fault: Fault, copy: int) -> Variant:
    """Return a copy of a variant with a fault."""
    return replace(
        variant, label=f"{variant.strategy} with {fault_words(fault)} #{copy}", fault=fault
    )


def fault_words(fault: Fault) -> str:
    """Return a fault in words."""
    if fault == ROUND_TRIP:
        return "a round trip more"
    if fault.cpu_ms:
        return f"{fault.cpu_ms:g} ms of CPU burned in the handler"
    return f"{fault.delay_ms:g} ms of delay in the operation"


def copies_of(variant: Variant) -> Sequence[Variant]:
    """Return the copies of a variant that are held against one another."""
    return [replace(variant, label=f"{variant.strategy}#{n + 1}") for n in range(COPIES)]
