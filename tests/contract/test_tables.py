"""Tables from models, functions, SQL, CSV, Parquet and dumps, on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import functools
import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, text
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from asyncdb_bench import Csv, Dump, Parquet, Sql, Tables
from asyncdb_bench.contract.data.sql_scripts import client_program, shortened
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


def refused(services: RunningServices, *sources: Any) -> str:
    with pytest.raises(PluginError) as raised:
        services.clone(Tables("broken", *sources), "broken")
    return str(raised.value)


@pytest.mark.services
def test_models_and_a_function(postgres: RunningServices) -> None:
    data = Tables("things", Base, fill)
    assert rows(postgres, data, "SELECT * FROM thing ORDER BY id") == [(1, "a"), (2, "b")]


@pytest.mark.services
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


SCRIPTS = {
    "SELECT '100%%' AS v": "100%%",
    "SELECT 'a@b' LIKE '%@%' AS v": True,
    r"SELECT E'it\'s; x' AS v": "it's; x",
    "/* a /* b; */ c; */ SELECT ':a' || ':b'::text AS v": ":a:b",
    "SELECT $q$ $$;$$ $q$ AS v": " $$;$$ ",
    'SELECT (ARRAY[1,2,3])[2:3] AS v, 1 AS ";"': [2, 3],
    "SELECT U&'d\\0061ta; x' AS v": "data; x",
}
"""What a table is made of, and what must be in it."""
FUNCTIONS = r"""
CREATE FUNCTION shown() RETURNS text LANGUAGE sql AS $$ SELECT format('%s of %%', 1) $$;
CREATE FUNCTION counted() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;
CREATE TABLE of_script (shown text, counted int);
CREATE TABLE noted (v text);
CREATE RULE note AS ON INSERT TO of_script
  DO ALSO (INSERT INTO noted VALUES ('a'); INSERT INTO noted VALUES ('b'));
\set rows 1
COPY of_script FROM stdin;
a;\tb	7
\.
INSERT INTO of_script SELECT shown(), counted() FROM generate_series(1, :rows);
CREATE INDEX CONCURRENTLY ON of_script (counted);
BEGIN; INSERT INTO noted VALUES ('c'); COMMIT;
"""


@pytest.mark.services
def test_a_script_arrives_as_psql_sends_it(postgres: RunningServices) -> None:
    made = ";\n".join(f"CREATE TABLE s{n} AS {each}" for n, each in enumerate(SCRIPTS))
    data = Tables("scripts", Sql(made), Sql(FUNCTIONS))
    for number, right in enumerate(SCRIPTS.values()):
        assert rows(postgres, data, f"SELECT v FROM s{number}") == [(right,)]
    found = rows(postgres, data, "SELECT shown, counted FROM of_script ORDER BY counted")
    assert found == [("1 of %", 2), ("a;\tb", 7)]
    assert rows(postgres, data, "SELECT v FROM noted ORDER BY v") == [("a",), ("b",), ("c",)]


@pytest.mark.services
def test_somebodys_variables_do_not_reach_psql(
    postgres: RunningServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put_with_others(connection: Connection) -> None:
        with monkeypatch.context() as others:
            for name, value in {"PGHOST": "nowhere", "PGSSLMODE": "require", "PGUSER": "x"}.items():
                others.setenv(name, value)
            Sql("CREATE TABLE u AS SELECT v || 'é' AS v FROM t").put(connection)

    data = Tables("variables", Sql("CREATE TABLE t AS SELECT 'a' AS v"), put_with_others)
    assert rows(postgres, data, "SELECT v FROM u") == [("aé",)]


DUMPED = r"""
CREATE TYPE state AS ENUM ('new', 'it''s; done');
CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY, name text, state state, tags text[]);
CREATE FUNCTION of_state(s state) RETURNS bigint LANGUAGE sql STABLE
  BEGIN ATOMIC SELECT count(*) FROM item WHERE state = s; END;
INSERT INTO item (name, state, tags) VALUES
  (E'semi;colon\n\\.\n100%% é', 'it''s; done', ARRAY['a;b']), (NULL, NULL, NULL);
CREATE SCHEMA app;
CREATE DOMAIN app.share AS numeric(5,2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE TABLE app."Event" (
  at timestamptz NOT NULL, "order" int, part app.share DEFAULT 50, span int4range, extra jsonb,
  gross numeric GENERATED ALWAYS AS ("order" * 1.19) STORED
) PARTITION BY RANGE (at);
CREATE TABLE app.event_2026 PARTITION OF app."Event"
  FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE app.event_rest PARTITION OF app."Event" DEFAULT;
CREATE TABLE app.log (what text);
CREATE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  -- a comment; with a semicolon
  INSERT INTO app.log VALUES (format('%s; 100%%', TG_OP));
  RETURN NEW;
END;
$body$;
INSERT INTO app."Event" (at, "order", span, extra)
  SELECT timestamptz '2026-12-01' + n * interval '1 day', n, int4range(n, n + 5),
  jsonb_build_object('text', E'line\nfeed\\.') FROM generate_series(1, 60) AS n;
CREATE TRIGGER noted AFTER INSERT ON app."Event" FOR EACH ROW EXECUTE FUNCTION app.note();
CREATE FUNCTION app.noted() RETURNS text LANGUAGE sql BEGIN ATOMIC
  INSERT INTO app."Event" (at, "order") VALUES ('2026-05-05', 100);
  SELECT max(what) FROM app.log;
END;
CREATE MATERIALIZED VIEW app.months AS
  SELECT date_trunc('month', at) AS month, count(*) AS n FROM app."Event" GROUP BY 1;
COMMENT ON TABLE app.log IS E'it\'s; a "comment" -- here';
"""
FORMS: dict[str, tuple[list[str], Callable[[bytes], bytes]]] = {
    "plain": ([], bytes),
    "custom": (["-Fc"], bytes),
    "tar": (["-Ft"], bytes),
    "plain gzip": ([], gzip.compress),
    "custom gzip": (["-Fc"], gzip.compress),
    "create": (["-C"], bytes),
    "byte order mark": ([], lambda content: b"\xef\xbb\xbf" + content),
    "of a newer server": (
        [],
        lambda content: content.replace(b"SET row_sec", b"SET of_tomorrow = 0;\nSET row_sec"),
    ),
}


@pytest.fixture(scope="module")
def dumps(
    postgres: RunningServices, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    url = postgres.clone(Tables("dumped", Sql(DUMPED)), "to_dump")
    folder = tmp_path_factory.mktemp("dumps")

    def made(form: str) -> Path:
        options, change = FORMS[form]
        taken = subprocess.run(
            [client_program("pg_dump"), *options, url], check=True, capture_output=True
        )
        file = folder / form.replace(" ", ".")
        file.write_bytes(change(taken.stdout))
        return file

    return made


@pytest.mark.services
@pytest.mark.parametrize("form", FORMS)
def test_a_dump(form: str, dumps: Callable[[str], Path], postgres: RunningServices) -> None:
    data = Tables("dump", Dump(str(dumps(form))))
    found = rows(postgres, data, "SELECT name, state::text, tags FROM item ORDER BY id")
    assert found == [("semi;colon\n\\.\n100%% é", "it's; done", ["a;b"]), (None, None, None)]
    assert rows(postgres, data, "SELECT of_state('it''s; done')") == [(1,)]
    assert rows(postgres, data, "INSERT INTO item (name) VALUES ('n') RETURNING id") == [(3,)]
    assert rows(postgres, data, "SELECT n FROM app.months ORDER BY month") == [(30,), (30,)]
    event = "SELECT gross, part, extra ->> 'text' FROM app.event_rest ORDER BY at LIMIT 1"
    assert [(float(g), p, t) for g, p, t in rows(postgres, data, event)] == [
        (31 * 1.19, 50, "line\nfeed\\.")
    ]
    assert rows(postgres, data, "SELECT app.noted()") == [("INSERT; 100%",)]


@pytest.mark.services
def test_a_dump_with_the_line_ends_of_windows(
    dumps: Callable[[str], Path], postgres: RunningServices, tmp_path: Path
) -> None:
    file = tmp_path / "crlf.sql"
    file.write_bytes(dumps("plain").read_bytes().replace(b"\n", b"\r\n"))
    assert rows(postgres, Tables("crlf", Dump(str(file))), "SELECT count(*) FROM item") == [(2,)]


@pytest.mark.services
def test_a_dump_that_cannot_be_used_says_why(
    dumps: Callable[[str], Path], postgres: RunningServices, tmp_path: Path
) -> None:
    whole = dumps("plain").read_bytes()
    cut = whole[: whole.index(b"COPY public.item") + 80]
    wrong = {
        "cut.sql": (cut, "is cut off: it ends within the rows"),
        "cut.gz": (gzip.compress(whole)[:200], "is cut off or no gzip"),
        "cut.dump": (dumps("custom").read_bytes()[:300], "pg_restore: error"),
        "utf16.sql": (whole.decode().encode("utf-16"), "is in UTF-16"),
        "picture.sql": (b"\x89PNG\0\0", "is no dump of pg_dump"),
        "owner.sql": (b"CREATE TABLE a ();\nALTER TABLE a OWNER TO nobody1;", "--no-owner"),
        "post.sql": (b"CREATE EXTENSION postgis_of_tomorrow;", "DATABASE_URL"),
    }
    for name, (content, says) in wrong.items():
        (tmp_path / name).write_bytes(content)
        told = refused(postgres, Dump(str(tmp_path / name)))
        assert name in told
        assert says in told
        assert "\n" not in told
    assert "owner.sql, line 2 (ALTER TABLE a OWNER TO nobody1;)" in refused(
        postgres, Dump(str(tmp_path / "owner.sql"))
    )


@pytest.mark.services
def test_what_cannot_be_written_is_refused_with_its_place(
    postgres: RunningServices, tmp_path: Path
) -> None:
    script = "-- a comment; of two\n-- lines\nCREATE TABLE a (b int);\n\nINSERT INTO c VALUES (1)"
    told = refused(postgres, Sql(script))
    assert told == 'SQL, line 5 (INSERT INTO c VALUES (1)): relation "c" does not exist'
    (tmp_path / "schema.sql").write_text(script)
    assert "schema.sql, line 5 (INSERT" in refused(postgres, Sql(str(tmp_path / "schema.sql")))
    assert "COPY a, line 1" in refused(
        postgres, Sql("CREATE TABLE a (b int);\nCOPY a FROM stdin;\nx\n\\.\n")
    )
    assert refused(postgres, Csv("/nowhere.csv")) == "/nowhere.csv does not exist"
    assert refused(postgres, Sql("nowhere.sql")) == "nowhere.sql does not exist"
    assert "(test_tables.py, line" in refused(postgres, fill)


ITEMS = Sql(
    "CREATE TABLE item (id int GENERATED ALWAYS AS IDENTITY, name text, stock int, extra jsonb,"
    ' tags text[], "Given" date, made timestamptz)'
)
CSVS: dict[str, tuple[bytes, dict[str, str], list[tuple[Any, ...]]]] = {
    "byte order mark": (b"\xef\xbb\xbfid,name\r\n1,a\r\n", {}, [(1, "a", None)]),
    "semicolon": (b"id;name\n1;a,b\n", {"delimiter": ";"}, [(1, "a,b", None)]),
    "latin": ("id,name\n1,é\n".encode("latin1"), {"encoding": "latin1"}, [(1, "é", None)]),
    "null": (b'id,name,stock\n1,NULL,NULL\n2,"NULL",3\n', {"null": "NULL"},
             [(1, None, None), (2, "NULL", 3)]),
    "empty text": (b'id,name\n1,""\n2,\n', {}, [(1, "", None), (2, None, None)]),
    "capitals": (b"ID,Name,given\n1,a,2026-01-02\n", {}, [(1, "a", None)]),
    "of pandas": (b",id,name,stock\n0,1,a,3.0\n1,2,b,\n", {}, [(1, "a", 3), (2, "b", None)]),
    "blank lines": (b'id,name\n\n1,"a\nb"\n\n', {}, [(1, "a\nb", None)]),
    "tabs of UTF-16": ("id\tname\n1\tя\n".encode("utf-16"),
                       {"delimiter": "\t", "encoding": "utf-16"}, [(1, "я", None)]),
}  # fmt: skip


@pytest.mark.services
@pytest.mark.parametrize("kind", CSVS)
def test_csv(kind: str, postgres: RunningServices, tmp_path: Path) -> None:
    content, options, right = CSVS[kind]
    (tmp_path / "item.csv").write_bytes(content)
    (tmp_path / "item.csv.gz").write_bytes(gzip.compress(content))
    for name in ("item.csv", "item.csv.gz"):
        data = Tables("csv", ITEMS, Csv(str(tmp_path / name), **options))
        assert rows(postgres, data, "SELECT id, name, stock FROM item ORDER BY id") == right


@pytest.mark.services
def test_csv_that_cannot_be_read_says_where(postgres: RunningServices, tmp_path: Path) -> None:
    wrong = {
        b"id;name\n1;a\n": "delimiter=';'",
        b"1,a\n2,b\n": "'1' is no column of \"item\" (id, name, stock",
        b"id,name,ID\n1,a,2\n": "twice",
        b'id,name\n\n1,"a\nb"\nx,c\n': "line 5: invalid input syntax for type integer",
        b"id,name\n1,a\n2,b,c\n": "line 3: ",
        b"id,name\n1,a\n2,\xe9\n": "line 3: ",
        b"": "it has no header",
    }
    for content, says in wrong.items():
        file = tmp_path / "item.csv"
        file.write_bytes(content)
        told = refused(postgres, ITEMS, Csv(str(file)))
        assert told.startswith(str(file))
        assert says in told
        assert ("encoding=" in told) == (b"\xe9" in content)


@pytest.mark.services
def test_parquet_as_pandas_writes_it(postgres: RunningServices, tmp_path: Path) -> None:
    when = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    frame = pd.DataFrame(
        {
            "id": [1, 2],
            "stock": [3, None],
            "extra": [{"a": [1, None], "when": when}, None],
            "tags": [["x", "y"], []],
            "Given": [when.date(), None],
            "made": [when, None],
            "name": pd.Categorical(["a", None]),
        },
        index=["first", "second"],
    )
    frame.to_parquet(tmp_path / "item.parquet")
    data = Tables("parquet", ITEMS, Parquet(str(tmp_path / "item.parquet")))
    query = 'SELECT name, stock, extra, tags, "Given", made FROM item ORDER BY id'
    found = rows(postgres, data, query)
    assert found[0][:2] == ("a", 3)
    assert found[0][2]["a"] == [1, None]
    assert found[0][3:] == (["x", "y"], when.date(), when)
    assert found[1] == (None, None, None, [], None, None)


def test_what_is_no_source_is_refused() -> None:
    with pytest.raises(PluginError, match="'item' is no model base"):
        Tables("odd", "item")


def test_the_key_follows_the_sources(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id\n1\n")
    before = Tables("t", Csv(str(file))).key
    assert Tables("t", Csv(str(file))).key == before
    assert Tables("t", Csv(str(file), delimiter=";")).key != before
    assert Tables("t", Sql("SELECT 1")).key != Tables("t", Sql("SELECT 2")).key
    assert Tables("t", Sql("SELECT 1")).key == Tables("t", Sql("SELECT 1")).key


def filled(count: int, *, step: int = 1) -> Callable[[Connection], None]:
    def many(connection: Connection, word: str = "a", *, most: int = step) -> None:
        connection.exec_driver_sql(f"SELECT '{word}', {count}, {most}")

    return many


def worded(connection: Connection, word: str) -> None:
    connection.exec_driver_sql(f"SELECT '{word}'")


class Filler:
    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __call__(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT {self.rows}")


def model(*, indexed: bool = False, words: tuple[str, ...] = ("a",), **options: Any) -> sa.MetaData:
    made = sa.MetaData()
    sa.Table(
        "booking",
        made,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("room", sa.Integer, index=indexed, **options),
        sa.Column("state", sa.Enum(*words, name="state")),
        sa.Column("during", pg.TSTZRANGE),
        pg.ExcludeConstraint(("during", "&&")),
    )
    return made


def key_of(*sources: Any) -> str:
    return Tables("t", *sources).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: filled(10), lambda: filled(100_000)),
        (lambda: filled(1), lambda: filled(1, step=2)),
        (
            lambda: functools.partial(worded, word="a"),
            lambda: functools.partial(worded, word="b"),
        ),
        (lambda: Filler(1), lambda: Filler(2)),
        (lambda: Filler(1).__call__, lambda: Filler(2).__call__),
        (model, lambda: model(indexed=True)),
        (model, lambda: model(words=("a", "b"))),
        (model, lambda: model(server_default="5")),
    ],
)
def test_what_makes_other_data_has_another_key(
    one: Callable[[], Any], other: Callable[[], Any]
) -> None:
    assert key_of(one()) == key_of(one()), "made again, it is the same"
    assert key_of(one()) != key_of(other())


def test_what_cannot_be_known_is_seeded_anew() -> None:
    words = (each for each in ("a", "b"))

    def from_generator(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT '{next(words)}'")

    assert key_of(from_generator) != key_of(from_generator)


@pytest.mark.services
def test_a_second_scenario_does_not_get_the_first_ones_rows(postgres: RunningServices) -> None:
    def numbers(count: int) -> Callable[[Connection], None]:
        def put(connection: Connection) -> None:
            connection.exec_driver_sql(f"CREATE TABLE n AS SELECT generate_series(1, {count})")

        return put

    for count in (10, 1000):
        data = Tables("n", numbers(count))
        assert rows(postgres, data, "SELECT count(*) FROM n") == [(count,)]


def test_a_statement_is_named_by_its_text() -> None:
    dumped = "--\n-- Name: a; Type: TABLE\n--\n\nCREATE  TABLE\n a ();"
    assert shortened(dumped) == "CREATE TABLE a ();"
    assert shortened("/* a */ SELECT " + "x" * 100) == "SELECT " + "x" * 61 + " …"
