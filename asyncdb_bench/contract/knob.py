"""Knobs: typed, bounded settings of a strategy or a scenario, declared as dataclass fields."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from asyncdb_bench.errors import KnobError, UnknownNameError

T = TypeVar("T")

BUDGET = "budget"
"""Default of a knob that follows the run's budget of database connections."""


@dataclasses.dataclass(frozen=True, slots=True)
class Knob:
    """What is known of one knob.

    Parameters
    ----------
    name, type, default : as declared; `default` is :data:`BUDGET` where it follows the budget.
    unit : unit of the value, empty for a choice or a switch.
    low, high : inclusive bounds, or None.
    choices : the permitted values, empty when free.
    help : one line.
    split : whether several application processes share the value.
    """

    name: str
    type: type
    default: Any
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    help: str = ""
    split: bool = False

    @property
    def bounds(self) -> str:
        """The permitted values as text, e.g. ``1..512`` or ``a|b``."""
        if self.choices:
            return "|".join(self.choices)
        if self.type is bool:
            return "true|false"
        if self.low is None and self.high is None:
            return ""
        return f"{_plain(self.low)}..{_plain(self.high)}"


def knob(
    default: Any,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    help: str = "",  # noqa: A002 - the field's usual word
    split: bool = False,
) -> Any:
    """Declare a knob as a field of a frozen dataclass.

    Parameters
    ----------
    default : its value when not given; :data:`BUDGET` to follow the budget of connections.
    unit : unit of the value.
    low, high : inclusive bounds of a number.
    choices : the permitted values of a string.
    help : one line on what it does.
    split : whether several application processes share the value, see :func:`split_knobs`.
    """
    metadata = {
        "unit": unit,
        "low": low,
        "high": high,
        "choices": choices,
        "help": help,
        "split": split,
    }
    return dataclasses.field(default=default, metadata=metadata)


def knobs_of(cls: type) -> dict[str, Knob]:
    """Return the knobs that a frozen dataclass declares, by name."""
    hints = typing.get_type_hints(cls)
    return {
        field.name: Knob(
            name=field.name,
            type=_plain_type(hints[field.name]),
            default=field.default,
            **field.metadata,
        )
        for field in dataclasses.fields(cls)
    }


def make_knobs(cls: type[T], given: Mapping[str, Any], *, owner: str, budget: int) -> T:
    """Build a knobs object from text or typed values, within bounds.

    Parameters
    ----------
    cls : the frozen dataclass that declares the knobs.
    given : values by name, as text (from a command line) or already typed.
    owner : whose knobs these are, for the message.
    budget : the run's budget of connections, for knobs that follow it.

    Raises
    ------
    UnknownNameError : a name that `cls` does not declare.
    KnobError : a value of the wrong type or out of bounds.
    """
    known = knobs_of(cls)
    for name in given:
        if name not in known:
            raise UnknownNameError(f"knob of {owner}", name, known)
    values = {
        name: _value(
            spec, given.get(name, budget if spec.default == BUDGET else spec.default), owner
        )
        for name, spec in known.items()
    }
    return cls(**values)


def split_knobs(knobs: T, processes: int, place: int, *, owner: str) -> T:
    """Return one application process's share of the knobs: the shares add up to the whole.

    Parameters
    ----------
    knobs : of the whole variant.
    processes : application processes.
    place : which of them, from 0.
    owner : whose knobs these are, for the message.

    Raises
    ------
    KnobError : a value too small for each process to have one.
    """
    shares = {}
    for name, spec in knobs_of(type(knobs)).items():
        value = getattr(knobs, name)
        if spec.split and value:
            if value < processes:
                raise KnobError(
                    f"{owner}:{name}={value} cannot be split among {processes} processes; give"
                    " each at least one"
                )
            shares[name] = value // processes + (place < value % processes)
    return dataclasses.replace(knobs, **shares)  # type: ignore[type-var]


def values_of(knobs: Any) -> dict[str, Any]:
    """Return every knob's value by name, for the manifest."""
    return {field.name: getattr(knobs, field.name) for field in dataclasses.fields(knobs)}


def _value(spec: Knob, raw: Any, owner: str) -> Any:
    value = _typed(spec, raw, owner)
    if spec.choices and value not in spec.choices:
        raise KnobError(f"{owner}:{spec.name}={raw} is not one of {', '.join(spec.choices)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise KnobError(f"{owner}:{spec.name}={raw} is no number")
    too_low = spec.low is not None and value < spec.low
    too_high = spec.high is not None and value > spec.high
    if too_low or too_high:
        raise KnobError(f"{owner}:{spec.name}={raw} is outside {spec.bounds} {spec.unit}".rstrip())
    return value


def _typed(spec: Knob, raw: Any, owner: str) -> Any:
    if spec.type is bool:
        text = str(raw).lower()
        if text in {"true", "yes", "on", "1"}:
            return True
        if text in {"false", "no", "off", "0"}:
            return False
        raise KnobError(f"{owner}:{spec.name}={raw} is not true or false")
    try:
        return spec.type(raw)
    except (TypeError, ValueError):
        kind = {int: "a whole number", float: "a number"}.get(spec.type, spec.type.__name__)
        raise KnobError(f"{owner}:{spec.name}={raw} is not {kind}") from None


def _plain_type(hint: Any) -> type:
    if isinstance(hint, types.UnionType) or not isinstance(hint, type):
        raise KnobError(f"a knob's type must be int, float, bool or str, not {hint}")
    return hint


def _plain(number: float | None) -> str:
    return "" if number is None else f"{number:g}" if number < 1e6 else f"{number:,.0f}"
