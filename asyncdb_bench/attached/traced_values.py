"""Values of statements, written down as JSON and read back as what they were."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import uuid
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any


class UnwritableError(TypeError):
    """A value is of a type that cannot be written down; its text names the type."""


@dataclass(frozen=True, slots=True)
class Text:
    """A value that is written as text and cast to its type.

    Parameters
    ----------
    text : as PostgreSQL reads it.
    cast : the type.
    """

    text: str
    cast: str


KINDS: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
    (str, "str"),
    (uuid.UUID, "UUID"),
    (Decimal, "Decimal"),
    (dt.datetime, "datetime"),
    (dt.date, "date"),
    (dt.time, "time"),
    (dt.timedelta, "timedelta"),
    (bytes, "bytes"),
    (Text, "str"),
)
"""Types that are written, and what a parameter of each is declared as; the first that fits."""
ADDRESSES = (
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)


def writable(value: Any) -> Any:
    """Return a driver's value as one of :data:`KINDS`, None, or a list of them.

    Raises
    ------
    UnwritableError : it is none.
    """
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, list | tuple) and type(value).__name__ != "Range":
        return [writable(each) for each in value]
    if isinstance(value, dict) or type(value).__name__ in {"Json", "Jsonb"}:
        return _document(value)
    if isinstance(value, ADDRESSES):
        return Text(str(value), "cidr" if "Network" in type(value).__name__ else "inet")
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if value is None or any(isinstance(value, kind) for kind, _ in KINDS):
        return value
    raise UnwritableError(type(value).__name__)


def _document(value: Any) -> Text:
    """Return what psycopg wraps for json and jsonb, or a dict."""
    cast = "json" if type(value).__name__ == "Json" else "jsonb"
    try:
        return Text(json.dumps(getattr(value, "obj", value)), cast)
    except (TypeError, ValueError) as error:
        raise UnwritableError(f"{cast} with other values than JSON's") from error


def as_json(value: Any) -> Any:
    """Return a value as msgspec reads it back by its declared type; for ``json.dumps(default=)``.

    Raises
    ------
    UnwritableError : it is no value of :func:`writable`.
    """
    if isinstance(value, Text):
        return value.text
    if isinstance(value, uuid.UUID | Decimal):
        return str(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        seconds = value / dt.timedelta(seconds=1)
        return f"{'-' * (seconds < 0)}PT{abs(seconds):f}S"
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise UnwritableError(type(value).__name__)


def annotation(values: Iterable[Any]) -> str:
    """Return what a parameter is declared as that has had some values.

    Raises
    ------
    UnwritableError : they are of types that no declaration fits.
    """
    given = list(values)
    rest = [each for each in given if each is not None]
    null = " | None" if len(rest) < len(given) else ""
    if not rest:
        return "None"
    if any(isinstance(each, list) for each in rest):
        if not all(isinstance(each, list) for each in rest):
            raise UnwritableError("arrays and single values in turn")
        within = [each for one in rest for each in one]
        return f"list[{annotation(within) if within else 'str'}]{null}"
    names = {next(name for kind, name in KINDS if isinstance(each, kind)) for each in rest}
    if names <= {"int", "float", "Decimal"} and len(names) > 1:
        names -= {"int", "float"} if "Decimal" in names else {"int"}
    if len(names) > 1:
        raise UnwritableError(f"values of several types ({', '.join(sorted(names))})")
    return names.pop() + null


def cast_of(values: Iterable[Any]) -> str:
    """Return the type that a parameter's values are cast to; empty: none."""
    return next((each.cast for each in values if isinstance(each, Text)), "")
