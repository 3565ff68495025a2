"""Tables from models, functions, SQL, CSV, Parquet and dumps, on a real PostgreSQL."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from asyncdb_bench import Csv, Dump, Parquet, Sql, Tables
from asyncdb_bench.contract.data.sql_scripts import dumped, restore_program, split_sql
from asyncdb_bench.errors import PluginError
from asyncdb_bench.services.running import RunningServices

SCHEMA = "CREATE TABLE item (id serial PRIMARY KEY, name text, price numeric);"


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def fill(connection: Connection) -> None:
    connection.execute(text("INSERT INTO thing VALUES (1, 'a'), (2, 'b')"))


def rows(services: RunningServices, data: Tables, query: str) -> list[Any]:
    url = services.clone(data, f"tables_{data.key[-12:]}")
    try:
        with psycopg.connect(url) as connection:
            return connection.execute(query).fetchall()
    finally:
        services.drop(url)


@pytest.mark.services
@pytest.mark.patient
def test_models_and_a_function(postgres: RunningServices) -> None:
    data = Tables("things", Base, fill)
    assert rows(postgres, data, "SELECT * FROM thing ORDER BY id") == [(1, "a"), (2, "b")]


@pytest.mark.services
@pytest.mark.patient
def test_sql_of_a_file_csv_and_parquet_and_sequences_that_follow(
    postgres: RunningServices, tmp_path: Path
) -> None:
    (tmp_path / "schema.sql").write_text(SCHEMA + "-- a; comment\nCREATE TABLE tag (word text)")
    (tmp_path / "items.csv").write_text('id,name,price\n3,"a ""b"", c",1.5\n4,,\n')
    pq.write_table(pa.table({"word": ["x", None, "y\tz\\"]}), tmp_path / "tag.parquet")
    data = Tables(
        "shop",
        Sql("schema.sql"),
        Csv("items.csv", "item"),
        Parquet("tag.parquet"),
        beside=str(tmp_path / "shop.py"),
    )
    found = rows(postgres, data, "SELECT id, name, price::float FROM item ORDER BY id")
    assert found == [(3, 'a "b", c', 1.5), (4, None, None)]
    assert rows(postgres, data, "SELECT word FROM tag") == [("x",), (None,), ("y\tz\\",)]
    added = "INSERT INTO item (name) VALUES ('new') RETURNING id"
    assert rows(postgres, data, added) == [(5,)]


@pytest.mark.services
@pytest.mark.patient
@pytest.mark.parametrize("kind", ["plain", "custom"])
def test_a_dump(kind: str, postgres: RunningServices, tmp_path: Path) -> None:
    made = Tables("dumped", Sql(SCHEMA + "INSERT INTO item (name) VALUES ('semi;colon'), (NULL)"))
    url = postgres.clone(made, "to_dump")
    program = str(Path(str(restore_program())).with_name("pg_dump"))
    file = tmp_path / f"{kind}.dump"
    try:
        subprocess.run([program, f"--format={kind}", "-f", str(file), url], check=True)
    finally:
        postgres.drop(url)
    data = Tables("dump", Dump(str(file)))
    found = rows(postgres, data, "SELECT id, name FROM item ORDER BY id")
    assert found == [(1, "semi;colon"), (2, None)]
    assert rows(postgres, data, "INSERT INTO item (name) VALUES ('n') RETURNING id") == [(3,)]


@pytest.mark.services
@pytest.mark.patient
@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ((Sql("CREATE TABLE a (b int); INSERT INTO c VALUES (1)"),), r"SQL, statement 2 .*\"c\""),
        ((Csv("/nowhere.csv"),), "/nowhere.csv does not exist"),
        ((Sql("nowhere.sql"),), r"nowhere.sql does not exist"),
    ],
)
def test_what_cannot_be_written_is_refused_with_its_place(
    sources: tuple[Any, ...], says: str, postgres: RunningServices
) -> None:
    with pytest.raises(PluginError, match=says):
        postgres.clone(Tables("broken", *sources), "broken")


def test_what_is_no_source_is_refused() -> None:
    with pytest.raises(PluginError, match="'item' is no model base"):
        Tables("odd", "item")


def test_the_key_follows_the_content(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id\n1\n")
    before = Tables("t", Csv(str(file))).key
    assert Tables("t", Csv(str(file))).key == before
    file.write_text("id\n2\n")
    assert Tables("t", Csv(str(file))).key != before
    assert Tables("t", Sql("SELECT 1")).key != Tables("t", Sql("SELECT 2")).key


def test_statements_are_parted_at_semicolons_that_part() -> None:
    script = """
    -- one; two
    SELECT ';' AS "a;b"; /* ; */
    CREATE FUNCTION f() RETURNS int AS $body$ BEGIN; RETURN 1; END $body$ LANGUAGE plpgsql;
    ;; SELECT 'it''s; fine'
    """
    found = list(split_sql(script))
    assert len(found) == 3
    assert found[0].endswith('"a;b"')
    assert found[1].endswith("plpgsql")
    assert found[2] == "SELECT 'it''s; fine'"


def test_a_dump_that_is_cut_off_is_refused() -> None:
    with pytest.raises(PluginError, match="ends within COPY"):
        list(dumped("COPY public.item (id) FROM stdin;\n1\n2\n"))
