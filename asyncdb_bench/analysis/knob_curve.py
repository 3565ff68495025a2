"""Variants that differ in one knob -> a curve over it, and the value to recommend. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.findings import Carried
from asyncdb_bench.analysis.inference import CPU, PACE
from asyncdb_bench.records.plan import Variant

ENOUGH = 0.95
"""Share of the best capacity that a smaller value must reach to be recommended."""
LEAST_POINTS = 3
APART = 0.20
"""A prediction that is farther off than this share wants an explanation."""


@dataclass(frozen=True, slots=True)
class KnobPoint:
    """One value of the knob.

    Parameters
    ----------
    value : of the knob.
    variant : its label.
    capacity : what it carried.
    ceiling_rps : by operational laws; None: not known.
    p99_ms, loop_lag_p99_ms : at the common load; None: not measured there.
    sound : whether its capacity rests on valid steps.
    pace_rps : with the closed loop; None: it climbed a ladder.
    predicted_rps : the pace that the first point's measured times predict; None: they do not tell.
    why : what held it back, where prediction and measurement are far apart.
    """

    value: float
    variant: str
    capacity: Carried
    ceiling_rps: float | None
    p99_ms: float | None
    loop_lag_p99_ms: float | None
    sound: bool
    pace_rps: float | None = None
    predicted_rps: float | None = None
    why: str = ""

    @property
    def deviation(self) -> float | None:
        """Measured over predicted pace, less 1; None: one of them is not known."""
        if not self.pace_rps or not self.predicted_rps:
            return None
        return self.pace_rps / self.predicted_rps - 1


@dataclass(frozen=True, slots=True)
class KnobCurve:
    """Capacity, latency and loop lag over one knob in one scenario.

    Parameters
    ----------
    name : the strategy with those knobs of it that stay the same and are not the default.
    knob : what varies.
    points : ascending by value.
    recommended : the smallest value within 5 % of the best; None where nothing was carried.
    sentence : the same in words.
    """

    name: str
    knob: str
    points: tuple[KnobPoint, ...]
    recommended: KnobPoint | None
    sentence: str


def knob_curves(
    variants: Sequence[Variant], comparison: Comparison, connections: int
) -> list[KnobCurve]:
    """Return a curve for each knob in which at least three measured variants differ alone.

    Parameters
    ----------
    variants : of the run.
    comparison : of one scenario.
    connections : of the closed loop that measures the pace.
    """
    measured = [each for each in variants if each.label in comparison.capacities]
    families: dict[tuple[Any, ...], dict[float, Variant]] = {}
    for variant in measured:
        for knob, value in variant.knobs.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                rest = tuple((k, v) for k, v in sorted(variant.knobs.items()) if k != knob)
                family = families.setdefault((variant.strategy, knob, rest), {})
                family.setdefault(float(value), variant)
    return [
        _curve(strategy, knob, family, comparison, connections)
        for (strategy, knob, _), family in families.items()
        if len(family) >= LEAST_POINTS
    ]


def _curve(
    strategy: str,
    knob: str,
    family: Mapping[float, Variant],
    comparison: Comparison,
    connections: int,
) -> KnobCurve:
    first = family[min(family)]
    points = tuple(
        _point(value, first, family[value], comparison, connections) for value in sorted(family)
    )
    recommended = recommend(points)
    name = strategy.rpartition(":")[2]
    return KnobCurve(name, knob, points, recommended, _sentence(name, knob, points, recommended))


def _point(
    value: float, first: Variant, own: Variant, comparison: Comparison, connections: int
) -> KnobPoint:
    row = comparison.rows.loc[own.label] if own.label in comparison.rows.index else None
    limit = comparison.limits.get(own.label)
    made = KnobPoint(
        value=value,
        variant=own.label,
        capacity=comparison.capacities[own.label],
        ceiling_rps=limit.ceiling.rps if limit and limit.ceiling else None,
        p99_ms=_known(row, "p99_ms"),
        loop_lag_p99_ms=_known(row, "loop_lag_p99_ms"),
        sound=own.label not in comparison.invalid,
        pace_rps=comparison.findings.tables[PACE.name].values.get(own.label),
        predicted_rps=_predicted_rps(first, own, comparison, connections),
    )
    if made.deviation is None or abs(made.deviation) <= APART:
        return made
    cpu_ms = comparison.findings.tables[CPU.name].values
    first_ms, own_ms = cpu_ms.get(first.label), cpu_ms.get(own.label)
    why = f"{limit.diagnosis.bottleneck}: {limit.diagnosis.evidence}" if limit else "not identified"
    if made.deviation > 0 and first_ms and own_ms:
        why = f"a request took {own_ms:.2f} ms of CPU here, {first_ms:.2f} ms there"
    return replace(made, why=why)


def _predicted_rps(
    first: Variant, own: Variant, comparison: Comparison, connections: int
) -> float | None:
    """Return the pace that the times of the first point predict; None: they do not tell.

    Only a knob that changes how many requests a resource serves, or how many cores the application
    can use, is predicted.
    """
    mine = {each.resource: each for each in comparison.needs if each.variant == own.label}
    needs = [each for each in comparison.needs if each.variant == first.label]
    same_cores = [each.cores for each in mine.values()] == [each.cores for each in needs]
    if own is not first and own.limits == first.limits and same_cores:
        return None
    first_ms = comparison.findings.tables[CPU.name].values.get(first.label)
    paces = [
        replace(
            each,
            cores=mine[each.resource].cores if each.resource in mine else each.cores,
            cpu_ms=first_ms or each.cpu_ms,
        ).pace_with(own.limits[each.resource], connections)
        for each in needs
        if each.resource in own.limits
    ]
    return min(paces, default=None)


def _known(row: Any, name: str) -> float | None:
    value = None if row is None else row[name]
    return None if value is None or value != value else float(value)  # noqa: PLR0124 - NaN


def recommend(points: Sequence[KnobPoint]) -> KnobPoint | None:
    """Return the smallest value whose capacity is within 5 % of the best one's."""
    sound = [each for each in points if each.sound and each.capacity.rps > 0]
    best = max((each.capacity.rps for each in sound), default=0.0)
    return next((each for each in sound if each.capacity.rps >= ENOUGH * best), None)


def _sentence(name: str, knob: str, points: Sequence[KnobPoint], found: KnobPoint | None) -> str:
    if found is None:
        return f"no value of {name}:{knob} carried a load soundly"
    best = max((each for each in points if each.sound), key=lambda each: each.capacity.rps)
    said = f"use {name}:{knob}={found.value:g}: it carries {found.capacity.rps:,.0f}/s"
    if found is not best:
        said += f", within 5 % of the best ({best.value:g}: {best.capacity.rps:,.0f}/s)"
    smaller = [each for each in points if each.value < found.value and each.sound]
    if smaller:
        near = smaller[-1]
        said += f"; {near.value:g} carries {near.capacity.rps:,.0f}/s"
    if found.value == points[-1].value and len(points) > 1:
        said += "; it is the largest value tried, so more may do better"
    if found.capacity.open_ended:
        said += "; the ladder ended before it was saturated"
    return said
