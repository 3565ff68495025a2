"""The text of statements: without literals, or with parameters as SQLAlchemy's `text` has them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from asyncdb_bench.attached.traced_values import writable

_LITERAL = re.compile(
    r"'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|(?<![\w$.:])\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\w)", re.DOTALL
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LISTED = re.compile(
    r"\(\s*(\?|%s|%\(\w+\)s|\$\d+(?:::\w+)?)(?:\s*,\s*(?:\?|%s|%\(\w+\)s|\$\d+(?:::\w+)?))+\s*\)"
)
_NAMED = re.compile(r"%\((\w+)\)s")
_NUMBERED = re.compile(r"\$(\d+)")
LONGEST = 2000
WRITES = ("insert", "update", "delete", "merge")


def without_literals(text: str) -> str:
    """Return a statement with strings, numbers and comments taken out, in one line.

    Lists of parameters (``IN``, several rows of ``VALUES``) become one: their length varies.
    """
    plain = _LITERAL.sub("?", _COMMENT.sub(" ", text))
    return _LISTED.sub(r"(\1, ...)", " ".join(plain.split()))[:LONGEST]


def is_write(text: str) -> bool:
    """Return whether a statement changes something, as its first words say."""
    words = _COMMENT.sub(" ", text).lower().split()
    return bool(words) and (
        words[0] in WRITES or (words[0] == "with" and any(each in words for each in WRITES))
    )


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
    if isinstance(values, Mapping):
        named = {str(name): value for name, value in values.items()}
        spelt = _NAMED.sub(r"\0\1\0", text).replace("%%", "%")
    elif isinstance(values, Sequence) and not isinstance(values, str | bytes):
        named = {f"p{place}": value for place, value in enumerate(values, 1)}
        count = iter(range(1, len(values) + 1))
        spelt = _NUMBERED.sub(r"\0p\1\0", text)
        if "%s" in spelt:
            spelt = re.sub(r"%s", lambda _: f"\0p{next(count)}\0", spelt).replace("%%", "%")
    else:
        named, spelt = {}, text
    named = {name: writable(value) for name, value in named.items()}
    # a colon of a cast is no parameter's
    escaped = spelt.replace(":", r"\:")
    return re.sub(r"\0(\w+)\0", r":\1", escaped), named
