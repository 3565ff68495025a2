"""Tables of a scenario's own, filled from models, functions, SQL, CSV, Parquet or a dump.

One key, the same content: it is made of all that the sources say and read. What cannot be known has
a key of its own, and is seeded anew.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncdb_bench.contract.data.sources import (
    Csv,
    Dump,
    Function,
    Models,
    Parquet,
    Source,
    Sql,
)
from asyncdb_bench.errors import PluginError

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Tables:
    """A scenario's own tables and their content.

    Parameters
    ----------
    name : short, of letters, digits and underscores.
    sources : in the order in which they are written: a declarative base or a `MetaData`, a function
        of a connection, :class:`Sql`, :class:`Csv`, :class:`Parquet`, :class:`Dump`. Paths are
        relative to the file that says so, where `beside` names it.
    beside : ``__file__`` of the scenario.
    """

    def __init__(self, name: str, *sources: Any, beside: str = "") -> None:
        self.name = name
        self.folder = Path(beside).resolve().parent if beside else Path()
        self.sources = [self._source(each) for each in sources]

    def _source(self, given: Any) -> Source:
        if isinstance(given, Sql) and not given._is_file():
            return given
        if isinstance(given, Sql):
            return Sql(str(self.folder / given.text))
        if isinstance(given, Csv | Parquet | Dump):
            return replace(given, path=str(self.folder / given.path))
        if hasattr(given, "metadata") or hasattr(given, "create_all"):
            return Models(getattr(given, "metadata", given))
        if callable(given):
            return Function(given)
        raise PluginError(
            f"tables {self.name!r}: {given!r} is no model base, function, Sql, Csv, Parquet or Dump"
        )

    @functools.cached_property
    def key(self) -> str:
        """Return what names the template database."""
        digest = hashlib.sha256()
        for each in self.sources:
            digest.update(f"{type(each).__name__} {each.signature()}\0".encode())
        return f"{self.name}_{digest.hexdigest()[:16]}"

    def create(self, connection: Connection) -> None:
        """Write all sources, and gather the planner's statistics.

        Raises
        ------
        PluginError : a source cannot be read, or the database refuses it.
        """
        from sqlalchemy import text

        for each in self.sources:
            each.put(connection)
        connection.commit()
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))


NO_TABLES = Tables("nothing")
"""Of a scenario that is asked of somebody's own application alone."""
