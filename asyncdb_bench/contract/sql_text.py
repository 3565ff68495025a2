"""Statements as SQL text with named parameters."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import TextClause


@functools.cache
def _statement(text: str) -> TextClause:
    from sqlalchemy import text as clause

    return clause(text)


def sql(text: str, **values: Any) -> TextClause:
    """Return a statement to yield from an operation.

    Parameters
    ----------
    text : SQL with named parameters: ``SELECT id FROM item WHERE id = :id``.
    values : of the parameters.
    """
    statement = _statement(text)
    return statement.bindparams(**values) if values else statement
