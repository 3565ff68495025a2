"""INSERTs that are sent again: a key that was inserted once cannot be inserted twice."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

_INSERT = re.compile(
    r"\s*INSERT\s+INTO\s+(?:\w+\.)?\"?(?P<table>\w+)\"?\s*\((?P<columns>[^()]*)\)"
    r"\s*VALUES\b(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_RETURNING = re.compile(r"\sRETURNING\s(?!.*\sRETURNING\s)", re.IGNORECASE | re.DOTALL)
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
    keys = [each for each, column in placed(text).items() if column in UNIQUE]
    if not any(differ(columns[each]) for each in keys) or _CONFLICT.search(text):
        return text
    found = _RETURNING.search(text)
    end = found.start() if found is not None else len(text)
    return f"{text[:end]} ON CONFLICT DO NOTHING{text[end:]}"


def new_keys(text: str, columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the parameters of an INSERT that are keys which an application made: UUIDs.

    Parameters
    ----------
    text, columns : as :func:`repeatable`.
    """
    return [
        each
        for each, column in placed(text).items()
        if column in KEYS
        and differ(columns[each])
        and all(isinstance(value, uuid.UUID) for value in columns[each])
    ]


def differ(values: Sequence[Any]) -> bool:
    """Return whether no two values are the same."""
    return len(set(map(repr, values))) == len(values)


def placed(text: str) -> dict[str, str]:
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
