"""Variants that differ in one knob -> a curve over it, and the value to recommend. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncdb_bench.analysis.capacity import Capacity
from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.records.plan import Variant

ENOUGH = 0.95
"""Share of the best capacity that a smaller value must reach to be recommended."""
LEAST_POINTS = 3


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
    """

    value: float
    variant: str
    capacity: Capacity
    ceiling_rps: float | None
    p99_ms: float | None
    loop_lag_p99_ms: float | None
    sound: bool


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


def knob_curves(variants: Sequence[Variant], comparison: Comparison) -> list[KnobCurve]:
    """Return a curve for each knob in which at least three measured variants differ alone.

    Parameters
    ----------
    variants : of the run.
    comparison : of one scenario.
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
        _curve(strategy, knob, family, comparison)
        for (strategy, knob, _), family in families.items()
        if len(family) >= LEAST_POINTS
    ]


def _curve(
    strategy: str, knob: str, family: Mapping[float, Variant], comparison: Comparison
) -> KnobCurve:
    points = tuple(_point(value, family[value].label, comparison) for value in sorted(family))
    recommended = recommend(points)
    name = strategy.rpartition(":")[2]
    return KnobCurve(name, knob, points, recommended, _sentence(name, knob, points, recommended))


def _point(value: float, label: str, comparison: Comparison) -> KnobPoint:
    row = comparison.rows.loc[label] if label in comparison.rows.index else None
    limit = comparison.limits.get(label)
    return KnobPoint(
        value=value,
        variant=label,
        capacity=comparison.capacities[label],
        ceiling_rps=limit.ceiling.rps if limit and limit.ceiling else None,
        p99_ms=_known(row, "p99_ms"),
        loop_lag_p99_ms=_known(row, "loop_lag_p99_ms"),
        sound=label not in comparison.invalid,
    )


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
