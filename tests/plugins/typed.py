"""Scenarios whose parameters and columns are of many types."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import msgspec

from asyncdb_bench import (
    OwnScenario,
    Reply,
    Route,
    ScenarioKnobs,
    Sql,
    Steps,
    Tables,
    operation,
    sql,
)

TABLES = Tables(
    "typed",
    Sql(
        "CREATE TYPE state AS ENUM ('new', 'open'); CREATE DOMAIN share AS numeric(5,2);"
        "CREATE TABLE ticket (id int PRIMARY KEY, key uuid UNIQUE, due date, made timestamptz,"
        " price numeric(10,2), state state, share share, extra jsonb);"
        "INSERT INTO ticket SELECT n, CAST(lpad(CAST(n AS text), 32, '0') AS uuid),"
        " DATE '2026-01-01' + n, TIMESTAMPTZ '2026-01-01 00:00Z' + n * INTERVAL '1 hour', n / 4.0,"
        " 'open', n, jsonb_build_object('n', n) FROM generate_series(1, 300) AS n"
    ),
)


class Line(msgspec.Struct):
    """Of an order."""

    ticket: uuid.UUID
    price: Decimal


def ids(rows: Any) -> dict[str, list[int]]:
    """Return the rows' ids."""
    return {"ids": [row.id for row in rows]}


@operation(check=lambda _, answer: len(answer["ids"]) == 1, rows=1, reads=True,
           route=Route("GET", "/by-key/{key}"))  # fmt: skip
def by_key(key: uuid.UUID) -> Steps:
    """Find by the key."""
    return ids((yield sql("SELECT id FROM ticket WHERE key = :key", key=key)))


@operation(check=lambda _, answer: len(answer["ids"]) == 1, rows=1, reads=True,
           route=Route("GET", "/by-times"))  # fmt: skip
def by_times(due: dt.date, made: dt.datetime, price: Decimal) -> Steps:
    """Find by dates and a price."""
    query = "SELECT id FROM ticket WHERE due = :due AND made = :made AND price = :price"
    return ids((yield sql(query, due=due, made=made, price=price)))


@operation(check=lambda asked, answer: len(answer["ids"]) == len(asked["lines"]), rows=2,
           reads=True, route=Route("POST", "/orders"))  # fmt: skip
def of_lines(lines: list[Line]) -> Steps:
    """Find by what stands in structs, and in a document of them."""
    keys = [each.ticket for each in lines]
    query = (
        "SELECT id FROM ticket WHERE key = ANY(:keys)"
        " AND jsonb_array_length(:lines) = 2 AND state = CAST('open' AS state)"
    )
    return ids((yield sql(query, keys=keys, lines=lines)))


@operation(check=lambda asked, answer: answer == f"2026 {asked['ticket']} {asked['ticket']}.00",
           rows=1, reads=True,
           route=Route("GET", "/page/{ticket}", render=lambda answer: Reply(
               f"{answer['made'].year} {answer['extra']['n']} {answer['share']}")))  # fmt: skip
def page(ticket: int) -> Steps:
    """Show a time, a document and a domain's value on a page."""
    query = "SELECT made, extra, share, state FROM ticket WHERE id = :id"
    row = (yield sql(query, id=ticket)).one()
    return {"made": row.made, "extra": row.extra, "share": row.share}


class Typed(OwnScenario[ScenarioKnobs]):
    """Every type is drawn as text where text can say it."""

    name = "typed"
    summary = "tickets by keys, dates, prices and structs"
    tables = TABLES
    asks_for = {by_key: 1, by_times: 1, of_lines: 1, page: 1}

    def draw(self, operation: str, rng: Any) -> dict[str, Any]:
        """Draw a ticket."""
        number = int(rng.integers(1, 300))
        key = str(uuid.UUID(f"{number:032d}"))
        if operation == "by_key":
            return {"key": key}
        if operation == "by_times":
            made = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=number)
            due = dt.date(2026, 1, 1) + dt.timedelta(days=number)
            return {"due": due, "made": made, "price": str(Decimal(number) / 4)}
        if operation == "of_lines":
            other = str(uuid.UUID(f"{number + 1:032d}"))
            return {"lines": [{"ticket": each, "price": "1.5"} for each in (key, other)]}
        return {"ticket": number}


@operation(check=lambda _, answer: answer == 1, rows=1, reads=True)
def nowhere() -> Steps:
    """Ask for a table that is not there."""
    return (yield sql("SELECT 1 FROM nowhere")).scalar_one()


class Nowhere(OwnScenario[ScenarioKnobs]):
    """Fails in the plain session, too."""

    name = "nowhere"
    summary = "asks for what is not there"
    tables = TABLES
    asks_for = {nowhere: 1}


class Unmade(OwnScenario[ScenarioKnobs]):
    """Has no mix."""

    name = "unmade"
    summary = "cannot say its mix"
    tables = TABLES

    def mix(self) -> dict[str, float]:
        """Raise."""
        return {"a": 1 / 0}
