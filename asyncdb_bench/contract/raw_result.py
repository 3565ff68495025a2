"""SQLAlchemy statements for a driver without an engine: compiled once; rows as operations use them.

A statement of an operation is built anew by each run, but its shape is always the same. SQLAlchemy
names the shape by a cache key; the SQL and the functions that convert values belong to the shape,
the values to the run (SQLAlchemy manual, "SQL Compilation Caching").
"""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, to_builtins

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, Executable, TextClause
    from sqlalchemy.engine import Dialect


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


Convert = Callable[[Any], Any]


class Compiled(NamedTuple):
    """A statement's shape.

    Parameters
    ----------
    statement : SQLAlchemy's compiled statement.
    sql : in the driver's own parameter style.
    binds : converts a parameter, by its name; those that need it.
    rows : makes :class:`Rows` of a driver's rows.
    """

    statement: Any
    sql: str
    binds: dict[str, Convert]
    rows: Callable[[Sequence[Sequence[Any]]], Rows]


class Rows:
    """A statement's result: the part of SQLAlchemy's `Result` that operations use.

    Parameters
    ----------
    rows : in order; tuples whose columns have names.
    """

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> list[Any]:
        """Return all rows."""
        return list(self._rows)

    def first(self) -> Any:
        """Return the first row, or None."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        """Return the only row.

        Raises
        ------
        NoResultFound, MultipleResultsFound : there is not exactly one.
        """
        if not self._rows:
            from sqlalchemy.exc import NoResultFound

            raise NoResultFound("No row was found when one was required")
        return self.one_or_none()

    def one_or_none(self) -> Any:
        """Return the only row, or None where there is none; raises as :meth:`one`."""
        if len(self._rows) > 1:
            from sqlalchemy.exc import MultipleResultsFound

            raise MultipleResultsFound("Multiple rows were found when one or none was required")
        return self.first()

    def scalar(self) -> Any:
        """Return the first value of the first row, or None."""
        row = self.first()
        return None if row is None else row[0]

    def scalar_one(self) -> Any:
        """Return the first value of the only row; raises as :meth:`one`."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """Return the first value of the only row, or None; raises as :meth:`one`."""
        row = self.one_or_none()
        return None if row is None else row[0]

    def scalars(self) -> Rows:
        """Return the first value of each row, with the same methods."""
        return Rows([row[0] for row in self._rows])


class Statements:
    """The statements that one process has compiled, by shape.

    Parameters
    ----------
    dialect : of the driver: its parameter style and its conversions.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._compiled: dict[Any, Compiled] = {}

    def prepared(self, statement: Any) -> tuple[Compiled, str, Any]:
        """Return a statement's shape, its SQL and its values.

        Parameters
        ----------
        statement : an :class:`sqlalchemy.Executable`.

        Returns
        -------
        The shape, the SQL, and the values as the driver takes them: a tuple for numbered
        parameters, a dict for named ones.
        """
        key = statement._generate_cache_key()
        shape = self._compiled.get(key.key) if key is not None else None
        if shape is None:
            shape = compile_once(statement, key, self.dialect)
            if key is not None:
                self._compiled[key.key] = shape
        values = shape.statement.construct_params(
            extracted_parameters=key.bindparams if key else None
        )
        sql, order, binds = shape.sql, shape.statement.positiontup, shape.binds
        if shape.statement.post_compile_params or shape.statement.literal_execute_params:
            # IN (…) has as many parameters as this run has values
            state = shape.statement.construct_expanded_state(values)
            sql, values, order = state.statement, dict(state.parameters), state.positiontup
            binds = binds | dict(state.processors)
        for name, convert in binds.items():
            if name in values:
                values[name] = convert(values[name])
        return shape, sql, tuple(values[name] for name in order) if order is not None else values


def compile_once(statement: Executable, key: Any, dialect: Dialect) -> Compiled:
    """Compile a statement of one shape.

    Parameters
    ----------
    statement : any of the shape.
    key : its cache key; None where it has none and is compiled each time.
    dialect : of the driver.
    """
    compiled: Any = statement.compile(dialect=dialect, cache_key=key)  # type: ignore[attr-defined]
    return Compiled(
        compiled,
        compiled.string,
        dict(compiled._bind_processors),
        rows_of(statement, compiled, dialect),
    )


def named_by_driver(rows: Sequence[Any]) -> Rows:
    """Return rows of a statement that is text: the driver alone knows their columns."""
    if not rows:
        return Rows([])
    shape = _shape(tuple(rows[0].keys()))
    return Rows([shape._make(row.values()) for row in rows])


@functools.lru_cache(maxsize=1024)
def _shape(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names, rename=True)


def rows_of(
    statement: Any, compiled: Any, dialect: Dialect
) -> Callable[[Sequence[Sequence[Any]]], Rows]:
    """Return what makes rows with named columns of a driver's rows.

    A statement that selects one mapped class gives rows whose first value is the row itself: its
    columns are read like the attributes of an instance.
    """
    columns = compiled._result_columns
    if not columns:
        return named_by_driver
    shape = NamedTuple("Row", [(each.keyname, Any) for each in columns])  # type: ignore[misc]
    converts = [each.type._cached_result_processor(dialect, None) for each in columns]
    described = getattr(statement, "column_descriptions", None) or [{}]
    converted = any(converts)
    entity = len(described) == 1 and described[0].get("type") is described[0].get("entity", 0)

    def made(rows: Sequence[Sequence[Any]]) -> Rows:
        if converted:
            rows = [
                [
                    each if convert is None else convert(each)
                    for each, convert in zip(row, converts, strict=True)
                ]
                for row in rows
            ]
        named = [shape._make(row) for row in rows]
        return Rows([(each,) for each in named] if entity else named)

    return made
