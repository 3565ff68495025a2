"""What tables and rows are made of: SQL, files, functions, models.

One key, the same content within a run: files and modules do not change while it goes on. What
cannot be compared has a key of its own, and is seeded anew.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncdb_bench.errors import PluginError, described

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Source:
    """What tables or rows are made of."""

    __slots__ = ()

    def signature(self) -> str:
        """Return what its content depends on."""
        return repr(self)

    def put(self, connection: Connection) -> None:
        """Write it to the database."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Sql(Source):
    """SQL of a text or of a file, run by psql in a session of its own.

    Parameters
    ----------
    text : a script as psql reads it; or the path of one, ``schema.sql``.
    """

    text: str

    def put(self, connection: Connection) -> None:
        """Run the script."""
        from asyncdb_bench.contract.data.sql_scripts import run_script, script_content

        if self._is_file():
            script_content(existing(self.text))
            run_script(connection, self.text, Path(self.text).resolve())
        else:
            run_script(connection, "SQL", self.text.encode())

    def _is_file(self) -> bool:
        return self.text.endswith(".sql") and "\n" not in self.text


@dataclass(frozen=True, slots=True)
class Csv(Source):
    """Rows of a CSV file with a header; ``.csv.gz`` is decompressed.

    Parameters
    ----------
    path : of the file.
    table : to put them into, ``schema.table`` perhaps; empty: the file's name.
    delimiter : between fields.
    encoding : of the file; a byte order mark is skipped.
    null : what stands for NULL where it is not in quotes; an empty field unless said.
    """

    path: str
    table: str = ""
    delimiter: str = ","
    encoding: str = "utf-8"
    null: str = ""

    def put(self, connection: Connection) -> None:
        """Copy the rows."""
        from asyncdb_bench.contract.data.rows import put_csv

        existing(self.path)
        put_csv(connection, self)


@dataclass(frozen=True, slots=True)
class Parquet(Source):
    """Rows of a Parquet file; parameters as :class:`Csv`. Structs and lists may become JSON."""

    path: str
    table: str = ""

    def put(self, connection: Connection) -> None:
        """Copy the rows."""
        from asyncdb_bench.contract.data.rows import put_parquet

        existing(self.path)
        put_parquet(connection, self)


@dataclass(frozen=True, slots=True)
class Dump(Source):
    """A dump of ``pg_dump``: plain, ``-Fc`` or ``-Ft``, each perhaps through gzip.

    Parameters
    ----------
    path : of the file. Owners and rights are left out: take a plain one with
        ``pg_dump --no-owner --no-privileges``.
    """

    path: str

    def put(self, connection: Connection) -> None:
        """Run it by psql."""
        from asyncdb_bench.contract.data.sql_scripts import plain_script, run_script

        known = connection.exec_driver_sql("SELECT name FROM pg_settings").scalars()
        run_script(connection, self.path, plain_script(existing(self.path), set(known)))


@dataclass(frozen=True, slots=True)
class Function(Source):
    """A function that fills tables; equal for each call, as ``check`` sees to.

    Parameters
    ----------
    call : takes a SQLAlchemy connection.
    """

    call: Callable[[Any], None]

    def signature(self) -> str:
        """Return where it is defined and what it is called with, as far as that can be told."""
        call: Any = self.call
        told: list[object] = []
        while isinstance(call, functools.partial):
            told += [call.args, call.keywords]
            call = call.func
        call = call if hasattr(call, "__code__") else call.__call__
        if not hasattr(call, "__code__"):
            return uuid.uuid4().hex
        code, owner = call.__code__, getattr(call, "__self__", None)
        told += [call.__defaults__, call.__kwdefaults__, getattr(owner, "__dict__", owner)]
        told += [cell.cell_contents for cell in call.__closure__ or ()]
        new = uuid.uuid4().hex if " at 0x" in repr(told) else ""
        return f"{code.co_filename}:{code.co_firstlineno} {hash(code)} {told} {new}"

    def put(self, connection: Connection) -> None:
        """Call it."""
        with failing(getattr(self.call, "__name__", repr(self.call))):
            self.call(connection)


@dataclass(frozen=True, slots=True)
class Models(Source):
    """Tables of SQLAlchemy models.

    Parameters
    ----------
    metadata : of the models.
    """

    metadata: Any

    def signature(self) -> str:
        """Return what creates them as SQL; something new each time where that cannot be had."""
        from sqlalchemy import create_mock_engine

        sent: list[str] = []

        def note(statement: Any, *_: Any, **__: Any) -> None:
            sent.append(str(statement.compile(dialect=engine.dialect)))

        engine = create_mock_engine("postgresql+psycopg://", note)
        try:
            self.metadata.create_all(engine, checkfirst=False)
        except Exception:
            return uuid.uuid4().hex
        return "\n".join(sorted(sent))

    def put(self, connection: Connection) -> None:
        """Create them."""
        with failing("models"):
            self.metadata.create_all(connection)


@contextlib.contextmanager
def failing(where: str) -> Iterator[None]:
    """Turn what a function or the database refuses into an error that says where."""
    try:
        yield
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"{where}: {described(error)}") from error


def existing(path: str) -> Path:
    """Return a file's path.

    Raises
    ------
    PluginError : there is no such file.
    """
    found = Path(path)
    if not found.is_file():
        raise PluginError(f"{found} {'is no file' if found.exists() else 'does not exist'}")
    return found


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
        """Return what is the same for tables of the same content."""
        signatures = repr([each.signature() for each in self.sources])
        return f"{self.name}_{hashlib.sha256(signatures.encode()).hexdigest()[:16]}"

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
