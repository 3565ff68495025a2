"""What tables and rows are made of: SQL, files, functions, models."""

from __future__ import annotations

import csv
import hashlib
import inspect
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from asyncdb_bench.contract.data.sql_scripts import dumped, restore_program, split_sql
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
