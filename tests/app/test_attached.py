"""What an application of one's own calls: attach and trace, in a process of its own."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tornado.web import Application

from asyncdb_bench import Tables
from asyncdb_bench.contract.data import ready_tables
from asyncdb_bench.contract.data.sql_scripts import client_program
from asyncdb_bench.extensions.check.scenario_check import check_scenario
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.services.program import free_port, is_listening
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench_attach import timing
from asyncdb_bench_attach import tracing as tracing_module
from asyncdb_bench_attach.scenario import MOST_ROWS
from asyncdb_bench_attach.statements import (
    UnwritableError,
    annotation,
    is_write,
    portable,
    without_literals,
    writable,
)
from asyncdb_bench_attach.timing import Sample, parse
from asyncdb_bench_attach.tracing import Tracing, Unit
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
APPLICATION = ROOT / "tests" / "plugins" / "their_app" / "application.py"


@contextmanager
def their_application(url: str, *words: str) -> Iterator[int]:
    port = free_port()
    environment = os.environ | {"DATABASE_URL": url, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, str(APPLICATION), str(port), *words], env=environment
    )
    try:
        assert eventually(lambda: is_listening(port), 60)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)


def ask(port: int, path: str, form: str = "") -> tuple[dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    if form:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", path, form, headers)
    else:
        connection.request("GET", path)
    answer = connection.getresponse()
    return {k.lower(): v for k, v in answer.getheaders()}, answer.read()


@pytest.fixture(scope="module")
def url(postgres: RunningServices) -> Iterator[str]:
    made = postgres.clone(Tables("attached"), "attached")
    yield made
    postgres.drop(made)


@pytest.mark.services
def test_attach_tells_lag_and_phases_and_nothing_else(url: str) -> None:
    with their_application(url, "attach") as port:
        headers, body = ask(port, "/notes/5")
        told = parse(headers["server-timing"])
        assert json.loads(body)["id"] == 5
        assert told is not None
        assert 0 < told.database_us < told.handler_us
        assert told.held_us >= told.database_us
        first = json.loads(ask(port, "/.well-known/asyncdb-bench")[1])
        assert first["at_us"] == []
        time.sleep(0.3)
        beats = json.loads(ask(port, "/.well-known/asyncdb-bench")[1])
        assert len(beats["at_us"]) > 0
        assert len(beats["at_us"]) == len(beats["lag_us"])
        assert {each % beats["every_us"] for each in np.diff(beats["at_us"])} <= {0}
        assert set(beats) == {"pid", "at_us", "lag_us", "every_us"}
    with their_application(url) as port:
        assert "server-timing" not in ask(port, "/notes/5")[0]


@pytest.mark.services
@pytest.mark.usefixtures("checks_on_lent_services")
def test_a_trace_becomes_a_scenario_of_stand_ins_that_conforms(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "traced"
    with their_application(url, "attach", "trace", str(folder)) as port:
        for number in range(30):
            ask(port, f"/notes/{number + 1}")
            if number % 3 == 0:
                ask(port, "/notes")
            if number % 10 == 0:
                ask(port, "/notes", "body=top+secret")
    told = json.loads((folder / "trace.json").read_text())
    kinds = {(each["request"], len(each["statements"])): each for each in told["kinds"]}
    opened = kinds["GET Note", 1]
    assert opened["count"] == 30
    assert told["requests"]["GET Note"] == 30
    assert 1 <= told["connections_at_once"] <= 5
    (written,) = (each for each in told["kinds"] if each["count"] == 3)
    assert written["writes"] == [False, True]
    assert all(each == [1, 1] for each in written["rows"])
    assert "<> ?" in written["statements"][0]
    everything = "".join(file.read_text() for file in folder.iterdir())
    assert "secret" not in everything
    name = f"{folder / 'traced.py'}:Traced"
    assert mix_of(folder / "traced.py")["get_note"] == pytest.approx(30 / 43)
    problems = [each for each in check_scenario(Spec(name, {}), ("native",)) if each.problem]
    assert problems == []


@pytest.mark.services
@pytest.mark.usefixtures("checks_on_lent_services")
def test_with_values_the_scenario_sends_the_statements_themselves(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "traced"
    folder.mkdir()
    with their_application(url, "trace", str(folder), "values", "theirs.sql") as port:
        for number in range(10):
            ask(port, f"/notes/{number + 1}")
            ask(port, "/notes", f"body=word{number}")
    subprocess.run([client_program("pg_dump"), "-f", str(folder / "theirs.sql"), url], check=True)
    text = (folder / "traced.py").read_text()
    assert "INSERT INTO note (body) VALUES (:body) RETURNING id" in text
    values = [json.loads(line) for line in (folder / "values.jsonl").read_text().splitlines()]
    assert {"word0", "word9"} <= {str(each.get("s2_body")) for each in values}
    name = f"{folder / 'traced.py'}:Traced"
    found = list(check_scenario(Spec(name, {}), ("native", "executor", "asyncpg_raw")))
    assert [each for each in found if each.problem] == []


@pytest.mark.services
def test_an_async_engine_is_traced_likewise_and_for_its_time_alone(
    url: str, tmp_path: Path
) -> None:
    import asyncio

    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    from asyncdb_bench import trace

    async def story() -> None:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        tracing = trace(engine, str(tmp_path / "traced"))
        for _ in range(3):
            async with engine.begin() as connection:
                await connection.execute(text("SELECT generate_series(1, :n)"), {"n": 7})
                await connection.execute(text("SELECT pg_sleep(0.05)"))
        tracing.stop()
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 'not noted any more'"))
        tracing.stop()
        await engine.dispose()

    asyncio.run(story())
    told = json.loads((tmp_path / "traced" / "trace.json").read_text())
    # the first checkout also asks what SQLAlchemy wants to know of the server
    (kind,) = (each for each in told["kinds"] if len(each["statements"]) == 2)
    assert kind["count"] in {2, 3}
    assert [rows[0] for rows in kind["rows"]] == [7] * kind["count"]
    assert all(50 < ms[1] < 1000 for ms in kind["ms"])
    assert "not noted" not in (tmp_path / "traced" / "trace.json").read_text()
    lines = (tmp_path / "traced" / "times.jsonl").read_text().splitlines()
    (noted,) = {tuple(each["rows"]) for each in map(json.loads, lines) if len(each["rows"]) == 2}
    assert noted == (7, 1)


@pytest.mark.services
def test_a_session_that_outlives_its_requests_is_told_apart_by_them(
    url: str, tmp_path: Path
) -> None:
    from sqlalchemy import create_engine, text

    from asyncdb_bench import trace
    from asyncdb_bench_attach.timing import Noted, request

    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect():
        pass
    tracing = trace(engine, str(tmp_path / "traced"))
    with engine.connect() as connection:
        for name in ("GET One", "GET Two", "GET One"):
            request.set(Noted(lambda name=name: name))  # type: ignore[misc]
            connection.execute(text("SELECT 1"))
        connection.commit()
    request.set(None)
    tracing.stop()
    engine.dispose()
    told = json.loads((tmp_path / "traced" / "trace.json").read_text())
    assert {each["request"]: each["count"] for each in told["kinds"]} == {
        "GET One": 2,
        "GET Two": 1,
    }
    assert told["requests"] == {"GET One": 2, "GET Two": 1}


DOCUMENTS = """
CREATE TABLE doc (id uuid PRIMARY KEY, title text NOT NULL, made timestamptz, day date, at time,
  took interval, price numeric(10,2), tags text[], kin uuid[], extra jsonb, raw bytea, net inet);
CREATE TABLE part (id bigserial PRIMARY KEY, doc uuid NOT NULL REFERENCES doc, note text);
"""


@pytest.mark.services
@pytest.mark.usefixtures("checks_on_lent_services")
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_values_of_all_usual_types_are_sent_again(
    driver: str, postgres: RunningServices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio

    from sqlalchemy.ext.asyncio import create_async_engine

    from asyncdb_bench import Sql, trace

    made = postgres.clone(Tables("documents", Sql(DOCUMENTS)), f"documents_{driver}")
    values = tmp_path / "traced" / "values.jsonl"

    async def story() -> None:
        engine = create_async_engine(made.replace("postgresql://", f"postgresql+{driver}://"))
        async with engine.connect():
            pass
        tracing = trace(engine, str(tmp_path / "traced"), values=True, dump="theirs.sql")
        for number in range(4):
            await requests(engine, number)
        tracing.stop()
        await engine.dispose()

    asyncio.run(story())
    dump = tmp_path / "traced" / "theirs.sql"
    subprocess.run([client_program("pg_dump"), "-f", str(dump), made], check=True)
    postgres.drop(made)
    name = f"{tmp_path / 'traced' / 'traced.py'}:Traced"
    mix = mix_of(tmp_path / "traced" / "traced.py")
    assert mix == pytest.approx({"insert_doc": 0.5, "select_doc": 0.5})
    left = capsys.readouterr().err
    assert "SELECT int4range" in left
    assert "4, 33.3 %: a value of type Range cannot be written" in left
    assert "Left out: 4 of them, 33.3 %" in (tmp_path / "traced" / "traced.py").read_text()
    assert "title 3" in values.read_text()
    found = list(check_scenario(Spec(name, {}), ("native", "asyncpg_raw", "executor")))
    assert [each for each in found if each.problem] == []


async def requests(engine: Any, number: int) -> None:
    """Write a document with a part of it, read it, and ask for what cannot be written down."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql as pg

    key = uuid.uuid4()
    noon = dt.datetime(2026, 1, 1, 12, number, tzinfo=dt.UTC)
    types: dict[str, Any] = {
        "tags": pg.ARRAY(sa.Text),
        "kin": pg.ARRAY(sa.Uuid),
        "extra": pg.JSONB,
        "net": pg.INET,
    }
    row = {
        "id": key,
        "title": f"title {number}",
        "made": noon,
        "day": noon.date(),
        "at": noon.time(),
        "took": dt.timedelta(minutes=number),
        "price": Decimal("1.50"),
        "tags": ["a", "b; c"],
        "kin": [key],
        "extra": {"a": [1, None]},
        "raw": b"\x00\xff",
        "net": "10.0.0.1" if number else None,
    }
    table = sa.table("doc", *(sa.column(each, types.get(each)) for each in row))
    part = sa.text("INSERT INTO part (doc, note) VALUES (:doc, :note)")
    part = part.bindparams(sa.bindparam("doc", type_=sa.Uuid()))
    async with engine.begin() as connection:
        await connection.execute(sa.insert(table).values(**row))
        await connection.execute(part, [{"doc": key, "note": "one"}, {"doc": key, "note": None}])
    async with engine.begin() as connection:
        found = sa.select(table.c.title).where(table.c.id == sa.bindparam("k", key, sa.Uuid()))
        (await connection.execute(found.where(table.c.made >= noon))).all()
    async with engine.begin() as connection:
        span = sa.bindparam("span", pg.Range(1, 2), type_=pg.INT4RANGE)
        await connection.execute(sa.select(sa.literal_column("int4range(1, 5)").op("@>")(span)))


def test_a_mix_of_fast_and_slow_keeps_its_spread(tmp_path: Path) -> None:
    tracing = Tracing(str(tmp_path), 60, values=False)
    for number in range(10):
        unit = Unit()
        unit.texts, unit.writes = ["SELECT 1"], [False]
        unit.ms, unit.rows = [400.0 if number % 5 == 0 else 2.0], [number]
        tracing._keep(unit)
    tracing.stop()
    noted = [json.loads(line) for line in (tmp_path / "times.jsonl").read_text().splitlines()]
    assert sorted(each["ms"][0] for each in noted) == [2.0] * 8 + [400.0] * 2
    assert sorted(each["rows"][0] for each in noted) == list(range(10))
    assert MOST_ROWS == ready_tables.MOST_ROWS


def test_a_scenario_that_could_not_run_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracing = Tracing(str(tmp_path), 60, values=True, dump="app.sql")
    unit = Unit()
    unit.texts, unit.writes, unit.ms, unit.rows = ["SELECT ?"], [False], [1.0], [1]
    unit.sent = ["a value of type Point cannot be written"]
    tracing._keep(unit)
    tracing.stop()
    assert {each.name for each in tmp_path.iterdir()} == {"trace.json"}
    said = capsys.readouterr().err
    assert "no scenario is written" in said
    assert "SELECT: 1, 100 %: a value of type Point cannot be written" in said


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        ([1, None], "int | None"),
        ([1, 2.5], "float"),
        ([Decimal(1), 2], "Decimal"),
        ([[uuid.UUID(int=1)], []], "list[UUID]"),
        ([[[1, 2]], [[3, None]]], "list[list[int | None]]"),
        ([{"a": 1}, None], "str | None"),
        ([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)], "datetime"),
        ([memoryview(b"a")], "bytes"),
    ],
)
def test_parameters_are_declared_as_what_they_were(values: list[Any], declared: str) -> None:
    assert annotation(list(map(writable, values))) == declared


def test_values_of_types_that_no_declaration_fits_are_told() -> None:
    with pytest.raises(UnwritableError, match=r"several types \(date, str\)"):
        annotation(["a", dt.date(2026, 1, 1)])


def mix_of(file: Path) -> dict[str, float]:
    from asyncdb_bench.plan.registry import make_scenario

    return dict(make_scenario(f"{file}:Traced", {}).mix())


def test_an_asgi_application_is_wrapped_likewise() -> None:
    import asyncio

    from asyncdb_bench import attach

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def asked(path: str, client: tuple[str, int]) -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "path": path, "method": "GET", "client": client}
        await wrapped(scope, None, send)
        return sent

    wrapped = attach(application)

    async def story() -> None:
        start, body = await asked("/x", ("192.0.2.1", 5))
        headers = dict(start["headers"])
        assert parse(headers[b"server-timing"].decode()) is not None
        assert (headers[b"x-a"], body["body"]) == (b"1", b"ok")
        await asked("/.well-known/asyncdb-bench", ("127.0.0.1", 5))
        await asyncio.sleep(0.05)
        _, beats = await asked("/.well-known/asyncdb-bench", ("::1", 5))
        assert json.loads(beats["body"])["lag_us"]
        _, elsewhere = await asked("/.well-known/asyncdb-bench", ("192.0.2.1", 5))
        assert elsewhere["body"] == b"ok", "for others there is nothing of ours"

    asyncio.run(story())


def test_of_many_requests_a_sample_is_noted_and_of_few_all(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [10**9]
    monkeypatch.setattr(timing, "monotonic_ns", lambda: clock[0])
    sample = Sample()

    def noted(requests: int, apart_us: int) -> int:
        count = 0
        for _ in range(requests):
            clock[0] += apart_us * 1000
            begun = sample.begin(str, "a request")
            assert timing.current.get() is begun
            count += begun is not None
        return count

    try:
        assert noted(50, 20_000) == 50
        # four seconds, 10,000 a second
        assert 200 < noted(40_000, 100) < 1500
        noted(1000, 20_000)
        assert noted(50, 20_000) == 50
    finally:
        timing.current.set(None)


def test_engines_are_timed_without_events_and_after_dispose() -> None:
    from sqlalchemy import create_engine, text
    from sqlalchemy.orm import Session

    from asyncdb_bench import attach

    engine = create_engine("sqlite://")
    attach(Application([]), engine)
    assert not engine._has_events, "the first listener slows each statement down"
    for _ in range(2):
        timing.current.set(phases := timing.Phases())
        with engine.begin() as connection:
            connection.execute(text("SELECT 1"))
        assert phases.pool > 0
        assert 0 < phases.database <= phases.held
        engine.dispose()
    with Session(engine) as session:
        session.execute(text("SELECT 1"))
        timing.current.set(phases := timing.Phases())
        session.execute(text("SELECT 1"))
        session.commit()
    timing.current.set(None)
    assert 0 < phases.database <= phases.held


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (
            "SELECT a FROM t WHERE b = 'it''s' AND c > 3.5e2",
            "SELECT a FROM t WHERE b = ? AND c > ?",
        ),
        ("SELECT  1 -- secret\n, /* more */ t1.x", "SELECT ? , t1.x"),
        ("SELECT %(a_1)s, $1::INTEGER, col2", "SELECT %(a_1)s, $1::INTEGER, col2"),
        ("SELECT $$secret$$, $q$it's$q$", "SELECT ?, ?"),
        ("x IN (%(a_1)s, %(a_2)s, %(a_3)s)", "x IN (%(a_1)s, ...)"),
        ("VALUES (1, 2)", "VALUES (?, ...)"),
    ],
)
def test_literals_are_taken_out(text: str, plain: str) -> None:
    assert without_literals(text) == plain


def test_statements_are_made_portable() -> None:
    assert portable("SELECT %(a)s::int, 5 %% 2", {"a": 1}) == (r"SELECT :a\:\:int, 5 % 2", {"a": 1})
    assert portable("SELECT $1::INTEGER, $2", (1, "x")) == (
        r"SELECT :p1\:\:INTEGER, :p2",
        {"p1": 1, "p2": "x"},
    )
    assert portable("SELECT %s, %s", (1, 2)) == ("SELECT :p1, :p2", {"p1": 1, "p2": 2})
    with pytest.raises(UnwritableError, match="object"):
        portable("SELECT %(a)s", {"a": object()})
    assert portable("SELECT 1", ()) == ("SELECT 1", {})


def test_writes_are_known() -> None:
    assert is_write("/* a */ INSERT INTO t VALUES (1)")
    assert is_write("WITH x AS (SELECT 1) UPDATE t SET a = 1")
    assert not is_write("WITH x AS (SELECT 1) SELECT * FROM x")
    assert not is_write("SELECT 'insert'")


@pytest.mark.parametrize("room", [40, 4, 0])
def test_a_trace_is_bounded_and_counts_what_it_does_not_keep(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing_module, "ROOM", room)
    monkeypatch.setattr(tracing_module, "MOST_KINDS", 3)
    tracing = Tracing(str(tmp_path), 60, values=False)
    for number in range(30):
        unit = Unit()
        unit.texts, unit.writes = [f"SELECT {number % 5}", "x"], [False, False]
        unit.ms, unit.rows = [1.0, 2.0], [1, 1]
        tracing._keep(unit)
    tracing.stop()
    kinds = json.loads((tmp_path / "trace.json").read_text())["kinds"]
    assert sum(each["count"] for each in kinds) == 30
    assert sorted(each["request"] for each in kinds) == ["", "", "", "other"]
    assert sum(len(each["ms"]) for each in kinds) <= room / 2
    assert all(len(each["ms"]) == len(each["rows"]) == len(each["held_ms"]) for each in kinds)


def test_values_without_a_dump_are_refused() -> None:
    from asyncdb_bench import trace

    with pytest.raises(ValueError, match="dump="):
        trace(object(), values=True)
