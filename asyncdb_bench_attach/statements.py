"""Statements that were sent: without literals, or with values, written so that they can be resent.

Values are written as JSON and read back as what they were; a key that was inserted once cannot be
inserted twice.
"""

from __future__ import annotations

import ipaddress
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

LONGEST = 2000
_LITERAL = re.compile(
    r"'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|(?<![\w$.:])\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\w)", re.DOTALL
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_PLACE = r"(?:\?|%s|%\(\w+\)s|\$\d+(?:::\w+)?)"
_LISTED = re.compile(rf"\(\s*({_PLACE})(?:\s*,\s*{_PLACE})+\s*\)")
WRITES = ("insert", "update", "delete", "merge")


def without_literals(text: str) -> str:
    """Return a statement with strings, numbers and comments taken out, in one line.

    Lists of parameters (``IN``, several rows of ``VALUES``) become one: their length varies.
    """
    plain = _LITERAL.sub("?", _COMMENT.sub(" ", text))
    return _LISTED.sub(r"(\1, ...)", " ".join(plain.split()))[:LONGEST]


def is_write(text: str) -> bool:
    """Return whether a statement changes something, as its first words say."""
    first, *rest = _COMMENT.sub(" ", text).lower().split() or [""]
    return first in WRITES or (first == "with" and any(each in rest for each in WRITES))


def portable(text: str, values: Any) -> tuple[str, dict[str, Any]]:
    """Return a statement with parameters as ``:name``, and their values by name.

    Parameters
    ----------
    text : as the driver had it: ``%(name)s``, ``%s`` or ``$1``.
    values : as the driver had them: a mapping or a sequence.

    Raises
    ------
    UnwritableError : a value is of a type that cannot be written down.
    """
    named: dict[str, Any] = {}
    if isinstance(values, Mapping):
        named = {str(name): value for name, value in values.items()}
        text = re.sub(r"%\((\w+)\)s", r"\0\1\0", text).replace("%%", "%")
    elif isinstance(values, Sequence) and not isinstance(values, str | bytes):
        named = {f"p{place}": value for place, value in enumerate(values, 1)}
        text = re.sub(r"\$(\d+)", r"\0p\1\0", text)
        if "%s" in text:
            names = iter(named)
            text = re.sub("%s", lambda _: f"\0{next(names)}\0", text).replace("%%", "%")
    # a colon of a cast is no parameter's
    spelt = re.sub(r"\0(\w+)\0", r":\1", text.replace(":", r"\:"))
    return spelt, {name: writable(value) for name, value in named.items()}


class UnwritableError(TypeError):
    """Work that was noted cannot be sent again; its text says why."""


@dataclass(frozen=True, slots=True)
class Text:
    """A value that is written as text, as PostgreSQL reads it, and cast to its type."""

    text: str
    cast: str


KINDS = (bool, int, float, str, bytes, UUID, Decimal, datetime, date, time, timedelta)
"""Types that are written, the first that fits, and that a parameter of each is declared as."""


def writable(value: Any) -> Any:
    """Return a driver's value as one of :data:`KINDS`, a text, None, or a list of them.

    Raises
    ------
    UnwritableError : it is none.
    """
    if isinstance(value, Enum):
        value = value.value
    kind = type(value).__name__
    if isinstance(value, list | tuple) and kind != "Range":
        return [writable(each) for each in value]
    if isinstance(value, dict) or kind in {"Json", "Jsonb"}:
        # the latter are psycopg's
        cast = "json" if kind == "Json" else "jsonb"
        try:
            return Text(json.dumps(getattr(value, "obj", value)), cast)
        except (TypeError, ValueError) as error:
            why = f"a value of type {cast} with other values than JSON's cannot be written"
            raise UnwritableError(why) from error
    if type(value).__module__ == ipaddress.__name__:
        return Text(str(value), "cidr" if "Network" in kind else "inet")
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if value is None or isinstance(value, KINDS):
        return value
    raise UnwritableError(f"a value of type {kind} cannot be written")


def as_json(value: Any) -> Any:
    """Return a value of :func:`writable` as msgspec reads it; for ``json.dumps(default=)``."""
    if isinstance(value, Text):
        return value.text
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, timedelta):
        seconds = value / timedelta(seconds=1)
        return f"{'-' * (seconds < 0)}PT{abs(seconds):f}S"
    return value.isoformat() if isinstance(value, date | time) else str(value)


def annotation(values: Iterable[Any]) -> str:
    """Return what a parameter is declared as that has had some values.

    Raises
    ------
    UnwritableError : they are of types that no declaration fits.
    """
    given = list(values)
    rest = [each.text if isinstance(each, Text) else each for each in given if each is not None]
    null = " | None" if len(rest) < len(given) else ""
    if not rest:
        return "None"
    lists = [each for each in rest if isinstance(each, list)]
    if lists:
        if len(lists) < len(rest):
            raise UnwritableError("arrays and single values in turn cannot be written")
        within = [each for one in lists for each in one]
        return f"list[{annotation(within) if within else 'str'}]{null}"
    names = {next(kind.__name__ for kind in KINDS if isinstance(each, kind)) for each in rest}
    for wide in ("Decimal", "float"):
        if wide in names:
            names -= {"int", "float"} - {wide}
    if len(names) > 1:
        several = ", ".join(sorted(names))
        raise UnwritableError(f"values of several types ({several}) cannot be written")
    return names.pop() + null


_INSERT = re.compile(
    r"\s*INSERT\s+INTO\s+(?:\w+\.)?\"?(?P<table>\w+)\"?\s*\((?P<columns>[^()]*)\)"
    r"\s*VALUES\b(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_RETURNING = re.compile(r"\sRETURNING\s(?!.*\sRETURNING\s)|\Z", re.IGNORECASE | re.DOTALL)
_CONFLICT = re.compile(r"\bON\s+CONFLICT\b", re.IGNORECASE)
GIVEN = re.compile(r"(?<![\\\w]):(\w+)")
KEYS = ("id", "uuid", "guid", "pk", "key")
UNIQUE = (*KEYS, "email", "mail", "login", "username", "name", "slug", "code", "token", "hash")
"""Columns that have a unique index as a rule; the database itself is not asked."""


def repeatable(text: str, columns: Mapping[str, Sequence[Any]]) -> str:
    """Return an INSERT that leaves out rows whose keys are there already; others as they are.

    Parameters
    ----------
    text : of the statement, with parameters as ``:name``.
    columns : the values that each parameter has had.
    """
    keys = [each for each, column in _placed(text).items() if column in UNIQUE]
    if not any(_differ(columns[each]) for each in keys) or _CONFLICT.search(text):
        return text
    return _RETURNING.sub(lambda end: f" ON CONFLICT DO NOTHING{end[0]}", text, count=1)


def new_keys(text: str, columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the parameters of an INSERT that are keys which an application made: UUIDs.

    Parameters
    ----------
    text, columns : as :func:`repeatable`.
    """
    return [
        each
        for each, column in _placed(text).items()
        if column in KEYS
        and _differ(columns[each])
        and all(isinstance(value, UUID) for value in columns[each])
    ]


def _differ(values: Sequence[Any]) -> bool:
    return len(set(map(repr, values))) == len(values)


def _placed(text: str) -> dict[str, str]:
    """Return the columns that an INSERT's parameters go into; a table's own key is ``id``.

    Empty where it is none, or where some columns have no parameter: which is which is not known.
    """
    found = _INSERT.match(text)
    if found is None:
        return {}
    own = {f"{found['table']}_{each}".lower() for each in KEYS}
    names = [each.strip().strip('"').lower() for each in found["columns"].split(",")]
    given = GIVEN.findall(found["rest"])
    if len(given) % len(names):
        return {}
    columns = ["id" if each in own else each for each in names]
    return {each: columns[place % len(names)] for place, each in enumerate(given)}
