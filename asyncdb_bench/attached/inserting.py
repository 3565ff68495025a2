"""INSERTs that are sent again: a key that was inserted once cannot be inserted twice."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

_INSERT = re.compile(
    r"\s*INSERT\s+INTO\s+(?:\w+\.)?\"?(?P<table>\w+)\"?\s*\((?P<columns>[^()]*)\)\s*VALUES\b(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_RETURNING = re.compile(r"\sRETURNING\s(?!.*\sRETURNING\s)", re.IGNORECASE | re.DOTALL)
_CONFLICT = re.compile(r"\bON\s+CONFLICT\b", re.IGNORECASE)
GIVEN = re.compile(r"(?<![\\\w]):(\w+)")
KEYS = ("id", "uuid", "guid", "pk", "key")


def repeatable(text: str) -> str:
    """Return a statement that leaves out rows whose keys are there, where it is an INSERT."""
    if not text.lstrip()[:6].upper() == "INSERT" or _CONFLICT.search(text):
        return text
    found = _RETURNING.search(text)
    end = found.start() if found is not None else len(text)
    return f"{text[:end]} ON CONFLICT DO NOTHING{text[end:]}"


def new_keys(text: str, columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the parameters of an INSERT that are keys which an application made: UUIDs.

    Parameters
    ----------
    text : of the statement, with parameters as ``:name``.
    columns : the values that each parameter has had.
    """
    found = _INSERT.match(text)
    if found is None:
        return []
    names = [each.strip().strip('"').lower() for each in found["columns"].split(",")]
    table = found["table"].lower()
    keys = {*KEYS, f"{table}_id", f"{table}_uuid"}
    given = GIVEN.findall(found["rest"])
    if len(given) % len(names):
        # some columns have no parameter: which is which is not known
        return []
    return [
        each
        for place, each in enumerate(given)
        if names[place % len(names)] in keys
        and len(set(columns[each])) == len(columns[each])
        and all(isinstance(value, uuid.UUID) for value in columns[each])
    ]
