"""Statements as SQL text with named parameters."""

from __future__ import annotations

import functools
from dataclasses import is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, TextClause


@functools.cache
def _statement(text: str) -> TextClause:
    from sqlalchemy import text as clause

    return clause(text)


def sql(text: str, **values: Any) -> TextClause:
    """Return a statement to yield from an operation.

    Parameters
    ----------
    text : SQL with named parameters: ``SELECT id FROM item WHERE id = :id``.
    values : of the parameters. Dicts, structs, dataclasses and lists of them are sent as jsonb, an
        enum's member as its value, tuples and sets as arrays.
    """
    statement = _statement(text)
    if not values:
        return statement
    plain = {name: _plain(value) for name, value in values.items()}
    documents = [_document(name, value) for name, value in plain.items() if _is_document(value)]
    bound = {name: value for name, value in plain.items() if not _is_document(value)}
    return statement.bindparams(*documents, **bound)


def as_sent(text: str, **values: Any) -> TextClause:
    """Return a statement whose values go to the driver without a type of SQLAlchemy's.

    :func:`sql` has text sent as VARCHAR, as SQLAlchemy does, which no column of another type takes.
    Here the server finds the types of parameters by itself, as for statements of a driver's own.

    Parameters
    ----------
    text, values : as :func:`sql`.
    """
    from sqlalchemy import bindparam
    from sqlalchemy.types import NullType

    bound = (bindparam(name, value, type_=NullType()) for name, value in values.items())
    return _statement(text).bindparams(*bound)


def _plain(value: Any) -> Any:
    """Return a value as every driver takes it: an enum's member is its value, a set a list."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value


def _is_document(value: Any) -> bool:
    """Return whether a value is JSON's: a dict, a struct, a dataclass, or a list of them."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_document, value))
    return isinstance(value, dict | Struct) or is_dataclass(value)


def _document(name: str, value: Any) -> BindParameter[Any]:
    from sqlalchemy import bindparam
    from sqlalchemy.dialects.postgresql import JSONB

    return bindparam(name, to_builtins(value, str_keys=True), type_=JSONB)
