"""``--vary name:knob=1,2,4``: one knob's values as variants of one run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asyncdb_bench.errors import UsageError
from asyncdb_bench.plugins import Spec, is_file

APP = "app"
"""Stands for every strategy of the run, whose application has the knob."""


@dataclass(frozen=True, slots=True)
class Vary:
    """One knob with several values.

    Parameters
    ----------
    name : of a strategy, or :data:`APP`.
    knob : its name.
    values : as text, in the order given, each once.
    """

    name: str
    knob: str
    values: tuple[str, ...]

    def specs(self, base: Spec) -> list[Spec]:
        """Return a request for each value."""
        return [Spec(base.name, {**base.knobs, self.knob: value}, base.at) for value in self.values]


def parse_vary(text: str) -> Vary:
    """Parse ``executor:threads=1,2,4``.

    Raises
    ------
    UsageError : it does not read so, or names fewer than two different values.
    """
    head, sign, listed = text.partition("=")
    name, colon, knob = head.rpartition(":")
    values = tuple(dict.fromkeys(filter(None, (each.strip() for each in listed.split(",")))))
    if not (sign and colon and name and knob) or (is_file(head) and not is_file(name)):
        raise UsageError(f"--vary {text!r} should read strategy:knob=1,2,4")
    if len(values) < 2:
        raise UsageError(f"--vary {text!r} names fewer than two values; give 1,2,4")
    return Vary(name.strip(), knob.strip(), values)


def varied(wanted: Sequence[Spec], varies: Iterable[Vary], *, named: bool) -> list[Spec]:
    """Return the strategies of a run with each varied one in all its values.

    Parameters
    ----------
    wanted : the strategies asked for, or the profile's.
    varies : what to vary.
    named : whether the strategies were asked for: else only those that are varied run.
    """
    kept = list(wanted) if named else []
    for vary in varies:
        if vary.name == APP:
            kept = [each for spec in kept or wanted for each in vary.specs(spec)]
            continue
        bases = [each for each in wanted if each.name == vary.name] or [Spec(vary.name, {})]
        kept = [each for each in kept if each not in bases]
        kept += [each for base in bases for each in vary.specs(base)]
    return kept
