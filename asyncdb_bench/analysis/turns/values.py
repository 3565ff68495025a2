"""Steps of turns -> each figure's values by variant, block and round. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from asyncdb_bench.analysis.step.histogram import GROWTH, merged, quantile_ms
from asyncdb_bench.analysis.turns.nested import Cells
from asyncdb_bench.records.plan import TurnKind
from asyncdb_bench.records.step import Step

ALL_ROUNDS = -1
"""Stands for the round where a value is of all rounds of a block together."""
OWN_ROLES = ("app", "workers", "broker")
"""Roles whose CPU time a variant is charged with: what it needs beside the database."""
ANSWERED_S = 0.05
"""A turn's accounts begin so much before its load, and end after its last answer."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A figure that is compared over turns.

    Parameters
    ----------
    name : of the figure, as in ``summary.json``.
    title, unit : for people.
    more_is_better : whether a ratio above 1 is good.
    floor : added before ratios are taken, in the figure's unit: differences far below it do not
        matter, whatever their ratio.
    grain : standard error that a value has by the bins that it is read from, as a share.
    """

    name: str
    title: str
    unit: str
    more_is_better: bool = False
    floor: float = 0.0
    grain: float = 0.0


BIN = GROWTH / math.sqrt(12)
"""Standard deviation of a uniform error within one bin."""
PACE = Axis("pace_rps", "pace", "1/s", more_is_better=True)
P50 = Axis("p50_ms", "p50 at the common load", "ms", grain=BIN)
P95 = Axis("p95_ms", "p95 at the common load", "ms", grain=BIN)
P99 = Axis("p99_ms", "p99 at the common load", "ms", grain=BIN)
FREEZE = Axis("loop_lag_p99_ms", "loop freeze (lag p99) at the common load", "ms", floor=1.0)
CPU = Axis("cpu_ms_per_request", "CPU per request", "ms")
AXES = (PACE, P50, P99, FREEZE, CPU)
"""Those that a verdict speaks of; :data:`DECIDING` say when a run is sharp enough."""
DECIDING = (PACE, CPU)


def sound(steps: Iterable[Step], kind: TurnKind) -> list[Step]:
    """Return the turns of one kind that were measured soundly."""
    return [
        step for step in steps if step.turn is not None and step.turn.kind == kind and step.valid
    ]


def cells(steps: Sequence[Step], axis: Axis) -> Cells:
    """Return one variant's values of a figure by block and round.

    Parameters
    ----------
    steps : of one variant in one scenario.
    axis : the figure. Pace and CPU come from the turns at full speed and have a value for each
        round; percentiles are of all rounds of a block together, at the load common to all.
    """
    return {
        block: values
        for block in sorted({step.block for step in steps})
        if (values := _READERS[axis.name]([step for step in steps if step.block == block]))
    }


def _paces(block: Sequence[Step]) -> dict[int, float]:
    return {
        step.turn.round: step.achieved_rps
        for step in sound(block, "pace")
        if step.turn is not None and step.achieved_rps > 0
    }


def _costs(block: Sequence[Step]) -> dict[int, float]:
    rest = Rest.of(block)
    return {
        step.turn.round: cost
        for step in sound(block, "pace")
        if step.turn is not None and (cost := net_ms(step, rest)) is not None and cost > 0
    }


def _latency(level: float) -> Callable[[Sequence[Step]], dict[int, float]]:
    def read(block: Sequence[Step]) -> dict[int, float]:
        counts = merged(step.latency_counts for step in sound(block, "common"))
        value = quantile_ms(counts, level)
        return {} if value is None else {ALL_ROUNDS: value}

    return read


def _freezes(block: Sequence[Step]) -> dict[int, float]:
    counts = merged(step.lag_counts for step in sound(block, "common"))
    value = quantile_ms(counts, 0.99)
    return {} if value is None else {ALL_ROUNDS: value + FREEZE.floor}


_READERS: dict[str, Callable[[Sequence[Step]], dict[int, float]]] = {
    PACE.name: _paces,
    P50.name: _latency(0.5),
    P95.name: _latency(0.95),
    P99.name: _latency(0.99),
    FREEZE.name: _freezes,
    CPU.name: _costs,
}


@dataclass(frozen=True, slots=True)
class Rest:
    """What a variant uses with nothing to do.

    Parameters
    ----------
    beat_s : CPU seconds of the application for each heartbeat: a busy loop has fewer.
    other : of workers and broker, CPU seconds a second.
    app : of the application, CPU seconds a second.
    """

    beat_s: float = 0.0
    other: float = 0.0
    app: float = 0.0

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Rest:
        """Return the use of one variant's turns at rest; nothing where there are none."""
        idle = sound(steps, "idle")
        seconds = sum(step.lasted_s for step in idle)
        if not seconds:
            return cls()
        app = sum(step.usage["app"].cpu_s for step in idle if "app" in step.usage)
        beats = sum(step.turn.beats for step in idle if step.turn is not None)
        other = sum(
            step.usage[role].cpu_s for step in idle for role in OWN_ROLES[1:] if role in step.usage
        )
        return cls(app / beats if beats else 0.0, other / seconds, app / seconds)

    @property
    def busy(self) -> float:
        """Share of a core that is used at rest, by all of its processes."""
        return self.app + self.other


def gross_ms(step: Step) -> float | None:
    """Return the CPU time per right answer of application, workers and broker, milliseconds."""
    if not step.ledger.ok:
        return None
    used = sum(step.usage[role].cpu_s for role in OWN_ROLES if role in step.usage)
    return used * 1000 / step.ledger.ok


def net_ms(step: Step, rest: Rest) -> float | None:
    """Return the same without what the variant uses at rest."""
    gross = gross_ms(step)
    if gross is None or step.turn is None:
        return None
    seconds = step.lasted_s + ANSWERED_S
    idle_s = rest.beat_s * step.turn.beats + rest.other * seconds
    return gross - idle_s * 1000 / step.ledger.ok
