"""What is asked for: ``executor:threads=32,native@../base``, ``--vary``; text -> requests. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncdb_bench.errors import UsageError

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


@dataclass(frozen=True, slots=True)
class Spec:
    """A request such as ``executor:threads=32``: a name and knob values as text.

    `at` is the checkout, environment or versions to run it from, as in ``native@../base`` and
    ``native@asyncpg==0.29.0``; empty: this one.
    """

    name: str
    knobs: Mapping[str, str]
    at: str = ""

    @property
    def label(self) -> str:
        """The request written in one fixed way, a file by its class alone."""
        return self._written(self.name.rpartition(":")[2] if is_file(self.name) else self.name)

    @property
    def request(self) -> str:
        """The request as it can be typed again."""
        return self._written(self.name)

    def _written(self, name: str) -> str:
        name += f"@{self.at}" if self.at else ""
        return ":".join([name, *(f"{key}={value}" for key, value in self.knobs.items())])


BETWEEN = re.compile(r",(?![^\[\]]*\])(?!\s*[<>=!~])")
"""The comma between two requests, and not that of ``psycopg[c,pool]>=3.1,<3.2``."""


def parse_specs(request: str) -> list[Spec]:
    """Parse ``a,b:knob=value:knob=value`` (a bare ``knob=value`` belongs to the name before it).

    Raises
    ------
    UsageError : a part that is neither a name nor ``knob=value``.
    """
    specs: list[Spec] = []
    for item in filter(None, (each.strip() for each in BETWEEN.split(request))):
        head, *rest = item.split(":")
        if "=" in head.partition("@")[0]:
            if not specs:
                raise UsageError(f"{item!r} is a knob without a strategy or scenario before it")
            last = specs[-1]
            pairs = {**last.knobs, **_pairs([head, *rest], item)}
            specs[-1] = Spec(last.name, pairs, last.at)
            continue
        if head.endswith(".py") and rest and "=" not in rest[0]:
            head = f"{head}:{rest.pop(0)}"
        name, _, at = head.partition("@")
        if head.endswith("@") or not name:
            raise UsageError(
                f"{item!r} should read strategy@path/to/checkout/or/environment, or"
                " strategy@NAME==VERSION"
            )
        specs.append(Spec(name, _pairs(rest, item), at))
    return specs


def _pairs(parts: list[str], item: str) -> dict[str, str]:
    pairs = {}
    for part in parts:
        key, sign, value = part.partition("=")
        if not sign or not key or not value:
            raise UsageError(f"{part!r} in {item!r} should read knob=value")
        pairs[key] = value
    return pairs


def is_file(name: str) -> bool:
    """Return whether a plugin's name is ``path/to/file.py:ClassName``."""
    return ".py:" in name or name.endswith(".py")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line asks for; None where it leaves the profile's own."""

    profile: str = ""
    strategies: str | None = None
    scenarios: str | None = None
    seed: int | None = None
    overrides: Mapping[str, Any] | None = None
    vary: Sequence[str] = ()
    inject: str = ""
    targets: Sequence[str] = ()
    """Applications of somebody's own, instead of strategies."""
    pids: Sequence[str] = ()
    owned: bool = False
    """Targets beyond loopback may be loaded."""
    hosts: Path | None = None
    """File of the machines that play a role."""
    far: bool = False
    """The database is on another machine: no round trip is added but one that is asked for."""
    cache: Path | None = None
    """Folder of the environments that are made for named versions; None: the usual one."""
