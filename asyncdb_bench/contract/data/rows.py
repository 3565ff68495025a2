"""Rows of CSV and Parquet files, read by pyarrow and copied into a table."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from asyncdb_bench.errors import PluginError, first_line

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from asyncdb_bench.contract.data.sources import Csv, Parquet

BATCH = 5000
"""Rows that are written at a time."""
COLUMNS = (
    "SELECT a.attname, b.typname FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid"
    " JOIN pg_type AS b ON b.oid = CASE t.typbasetype WHEN 0 THEN t.oid ELSE t.typbasetype END"
    " WHERE a.attrelid = CAST(%s AS regclass) AND a.attnum > 0 AND NOT a.attisdropped"
    " ORDER BY a.attnum"
)
_WHOLE = re.compile(r"([+-]?\d+)\.0*")
_ROW = re.compile(r"COPY [^\n]*?, line (\d+)")


class Column(NamedTuple):
    """A column of a file that goes into a table.

    Parameters
    ----------
    place : in the file, from 0.
    name : of the table's column.
    convert : makes a value as the table's type takes it; None: it is taken as it is.
    """

    place: int
    name: str
    convert: Callable[[Any], Any] | None


def put_csv(connection: Connection, source: Csv) -> None:
    """Copy the rows of a CSV file.

    Raises
    ------
    PluginError : it cannot be read, or the database refuses it; said with the file's line.
    """
    table = quoted(source.table or Path(source.path).name.partition(".csv")[0])
    with naming(source.path, lambda row: csv_line(source, row), lambda: csv_fault(source)):
        names, begins = csv_header(source)
        columns = columns_of(connection, table, names, index=("",))
        put_rows(connection, table, columns, csv_batches(source, len(names), begins))


def put_parquet(connection: Connection, source: Parquet) -> None:
    """Copy the rows of a Parquet file; errors as :func:`put_csv`, with the row."""
    from pyarrow import parquet

    table = quoted(source.table or Path(source.path).stem)
    with naming(source.path, "row {}".format), parquet.ParquetFile(source.path) as file:
        schema = file.schema_arrow
        told = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        index = [each for each in told.get("index_columns", ()) if isinstance(each, str)]
        columns = columns_of(connection, table, schema.names, index=index)
        put_rows(connection, table, columns, file.iter_batches(BATCH))


@contextlib.contextmanager
def naming(
    path: str, where: Callable[[int], str], fault: Callable[[], str] = str
) -> Iterator[None]:
    """Turn what a file or the database refuses into an error that names the file and the place.

    Parameters
    ----------
    path : of the file.
    where : names a row by its number.
    fault : looks for what is wrong with the file itself.
    """
    try:
        yield
    except PluginError as error:
        raise PluginError(f"{path}: {error}") from error
    except Exception as error:
        raise PluginError(f"{path}: {fault()}{said(error, where)}") from error


def csv_header(source: Csv) -> tuple[list[str], int]:
    """Return the names of a file's columns, and how many lines they take."""
    with opened(source) as lines:
        reader = csv.reader(lines, delimiter=source.delimiter)
        names = [each.strip() for each in next(reader, [])]
        return names, reader.line_num


def opened(source: Csv) -> io.TextIOWrapper:
    """Open a CSV file as text, decompressed, without a byte order mark."""
    import pyarrow as pa

    # what pandas and PostgreSQL call UTF-8 may begin with a mark that nobody sees
    plain = source.encoding.lower().replace("_", "-") in {"utf-8", "utf8"}
    encoding = "utf-8-sig" if plain else source.encoding
    content: Any = pa.input_stream(source.path, compression="detect")
    return io.TextIOWrapper(content, encoding=encoding, newline="")


def csv_batches(source: Csv, count: int, begins: int) -> Iterator[Any]:
    """Yield a CSV file's rows in batches of text.

    Parameters
    ----------
    source : the file.
    count : of its columns.
    begins : lines of its header.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(place) for place in range(count)]
    with arrow_csv.open_csv(
        source.path,
        read_options=arrow_csv.ReadOptions(
            column_names=names, skip_rows=begins, encoding=source.encoding
        ),
        parse_options=arrow_csv.ParseOptions(delimiter=source.delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[source.null],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    ) as batches:
        yield from batches


def csv_line(source: Csv, row: int) -> str:
    """Return where a row of a CSV file stands, the first one behind the header being 1."""
    with opened(source) as lines:
        reader = csv.reader(lines, delimiter=source.delimiter)
        filled = (None for each in reader if each)
        for _ in range(row + 1):
            next(filled, None)
        return f"line {reader.line_num}"


def csv_fault(source: Csv) -> str:
    """Return the line in which a CSV file itself is wrong: a field too many, or no text."""
    import pyarrow as pa

    with pa.input_stream(source.path, compression="detect") as stream:
        content: bytes = stream.read()
    try:
        text = content.decode(source.encoding)
    except UnicodeDecodeError as error:
        return f"line {content.count(10, 0, error.start) + 1}: "
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=source.delimiter)
    count = len(next(reader, []))
    odd = any(len(each) != count for each in reader if each)
    return f"line {reader.line_num}: " if odd else ""


def columns_of(
    connection: Connection, table: str, names: Sequence[str], *, index: Sequence[str]
) -> list[Column]:
    """Return which columns of a table a file's columns go into.

    Parameters
    ----------
    connection, table : the table, as SQL.
    names : of the file's columns; capitals count where the table tells names apart by them.
    index : those that may be left out, since they number a frame's rows.

    Raises
    ------
    PluginError : one goes into none, or two go into one.
    """
    known = connection.exec_driver_sql(COLUMNS, (table,))
    types: dict[str, str] = {each.attname: each.typname for each in known}
    found: list[Column] = []
    for place, name in enumerate(names):
        alike = [each for each in types if each.lower() == name.lower()]
        if name not in types and name in index:
            continue
        if name not in types and len(alike) != 1:
            raise PluginError(unknown_column(name, table, types))
        target = name if name in types else alike[0]
        if any(each.name == target for each in found):
            raise PluginError(f"its header names {target!r} twice")
        found.append(Column(place, target, _CONVERTS.get(types[target])))
    if not found:
        raise PluginError("it has no header")
    return found


def unknown_column(name: str, table: str, known: Iterable[str]) -> str:
    """Return what is said of a file's column that the table does not have."""
    other = next((each for each in (";", "\t", "|") if each in name), "")
    hint = f"; say delimiter={other!r}" if other else "; its first line must be a header"
    return f"{name!r} is no column of {table} ({', '.join(known)}){hint}"


def put_rows(
    connection: Connection, table: str, columns: Sequence[Column], batches: Iterable[Any]
) -> None:
    """Copy batches of pyarrow's into a table, and let its sequences follow."""
    names = ", ".join(quoted_part(each.name) for each in columns)
    with cursor_of(connection).copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for batch in batches:
            values = [converted(batch.column(each.place), each.convert) for each in columns]
            for row in zip(*values, strict=True):
                copy.write_row(row)
    follow_keys(connection, table)


def converted(values: Any, convert: Callable[[Any], Any] | None) -> list[Any]:
    """Return a column's values as its table takes them."""
    plain: list[Any] = values.to_pylist()
    if convert is None:
        return plain
    return [None if each is None else convert(each) for each in plain]


def whole(value: Any) -> Any:
    """Return a whole number that pandas keeps as 3.0, since its column has nulls."""
    if isinstance(value, float):
        return None if math.isnan(value) else int(value) if value.is_integer() else value
    if isinstance(value, str) and (found := _WHOLE.fullmatch(value)):
        return found[1]
    return value


def as_json(value: Any) -> str:
    """Return a struct, a list or a number as JSON; text is JSON already."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


_CONVERTS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("int2", "int4", "int8"), whole),
    **dict.fromkeys(("json", "jsonb"), as_json),
}


def said(error: Exception, where: Callable[[int], str]) -> str:
    """Return what a library or the server said of a file, with the place in it.

    Parameters
    ----------
    error : theirs.
    where : says where a row stands that the server counted, from 1.
    """
    driver = getattr(error, "orig", None) or error
    context = getattr(getattr(driver, "diag", None), "context", None) or ""
    found = _ROW.match(context)
    place = f"{where(int(found[1]))}: " if found else ""
    column = re.search(r"column ([^:]+):", context)
    coding = isinstance(error, UnicodeDecodeError)
    hint = "; say encoding=, e.g. 'latin1'" if "UTF8" in str(error) or coding else ""
    return place + first_line(driver) + (f" (column {column[1]})" if column else "") + hint


def quoted(name: str) -> str:
    """Return a name as SQL, each of its parts in quotes."""
    return ".".join(map(quoted_part, name.split(".")))


def quoted_part(name: str) -> str:
    """Return a name without parts as SQL."""
    return '"' + name.replace('"', '""') + '"'


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
                f"SELECT setval(%s, (SELECT coalesce(max({quoted_part(column)}), 0) FROM {table})"
                " + 1, false)",
                (sequence,),
            )
