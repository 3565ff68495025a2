"""Scenarios as their users write them: own tables, routes, answers, sessions, recorded values."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np

from asyncdb_bench import (
    OwnScenario,
    Recorded,
    Reply,
    Route,
    ScenarioKnobs,
    Session,
    Sql,
    Steps,
    Tables,
    Talk,
    operation,
    sql,
)

TABLES = Tables(
    "shop",
    Sql(
        "CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL, price integer NOT NULL);"
        "INSERT INTO item (name, price) SELECT 'item ' || g, g FROM generate_series(1, 100) AS g;"
        "CREATE TABLE purchase (id bigserial PRIMARY KEY, item_id integer, token text)"
    ),
)


@operation(
    check=lambda params, answer: answer["id"] == params["item"],
    rows=1,
    reads=True,
    route=Route("GET", "/items/{item}", headers={"Authorization": "Bearer {token}"}),
)
def show(item: int, token: str = "none") -> Steps:
    """Read an item."""
    row = (yield sql("SELECT id, name FROM item WHERE id = :id", id=item)).one()
    return {"id": row.id, "name": row.name, "token": token}


@operation(
    check=lambda _, answer: len(answer) == 10, rows=10, reads=True, route=Route("GET", "/items")
)
def cheapest() -> Steps:
    """List the cheapest items."""
    found = yield sql("SELECT id, name FROM item ORDER BY price LIMIT 10")
    return [{"id": row.id, "name": row.name} for row in found]


@operation(
    check=lambda params, answer: answer == f"<p>{params['item']} ü".encode().decode(),
    rows=1,
    route=Route(
        "POST",
        "/buy",
        body="form",
        render=lambda answer: Reply(f"<p>{answer} ü", headers={"X-Kind": "page"}, status=201),
    ),
)
def buy(item: int, token: str) -> Steps:
    """Write a purchase and answer with a page."""
    write = "INSERT INTO purchase (item_id, token) VALUES (:item, :token) RETURNING item_id"
    return (yield sql(write, item=item, token=token)).scalar_one()


@operation(
    check=lambda _, answer: answer == b"\x00\xff",
    rows=1,
    reads=True,
    route=Route("GET", "/picture", render=lambda _: Reply(b"\x00\xff", "image/png")),
)
def picture() -> Steps:
    """Answer with bytes."""
    return (yield sql("SELECT 1")).scalar_one()


class Shop(OwnScenario[ScenarioKnobs]):
    """Three kinds of answers; the parameters of one are recorded."""

    name = "shop"
    summary = "a shop"
    tables = TABLES
    asks_for = {show: 6, cheapest: 2, buy: 1, picture: 1}
    recorded = Recorded("shop_values.csv", beside=__file__)

    def draw(self, operation: str, rng: Any) -> dict[str, Any]:
        """Draw what is not recorded."""
        if operation == "buy":
            return {"item": int(rng.integers(1, 101)), "token": "a b&c"}
        return {}


@operation(
    check=lambda params, answer: answer["token"].startswith("t"),
    rows=1,
    reads=True,
    route=Route("POST", "/login"),
)
def login(user: int) -> Steps:
    """Log in."""
    row = (yield sql("SELECT id FROM item WHERE id = :id", id=user)).one()
    return {"token": f"t{row.id}"}


def visit(rng: np.random.Generator) -> Talk:
    """Log in, list, open one of the list, buy it."""
    token = (yield "login", {"user": int(rng.integers(1, 101))})["token"]
    items = yield "cheapest", {}
    item = items[int(rng.integers(0, len(items)))]["id"]
    opened = yield "show", {"item": item, "token": token}
    assert opened["token"] == token
    yield "buy", {"item": opened["id"], "token": token}


class Visits(OwnScenario[ScenarioKnobs]):
    """Sessions of four steps."""

    name = "visits"
    summary = "visitors of a shop"
    tables = TABLES
    operations = (login, cheapest, show, buy)
    visits = (Session(("login", "cheapest", "show", "buy"), visit),)
    users = 8


class Wrong(OwnScenario[ScenarioKnobs]):
    """Is seeded otherwise each time."""

    name = "wrong"
    summary = "careless with its seed"
    asks_for = {cheapest: 1}

    @property
    def tables(self) -> Tables:  # type: ignore[override]
        """Return other rows each time."""
        return Tables("wrong", Sql(TABLES.sources[0].text), fill)  # type: ignore[attr-defined]


def fill(connection: Any) -> None:
    """Draw from no seed."""
    connection.exec_driver_sql("UPDATE item SET price = %s", (random.randrange(10**9),))


@operation(check=lambda _, answer: answer == [1], rows=1, reads=True)
def broken() -> Steps:
    """Divide by zero where it runs in an application, and be slow anywhere."""
    yield sql("SELECT pg_sleep(0.02)")
    return [1 // (0 if os.environ.get("ASYNCDB_BENCH_BREAK") or is_application() else 1)]


def is_application() -> bool:
    """Return whether this is not the process of the check."""
    import sys

    return "asyncdb_bench.app" in " ".join(sys.orig_argv)


class Breaking(OwnScenario[ScenarioKnobs]):
    """Fails, and promises too much."""

    name = "breaking"
    summary = "fails in the application"
    tables = TABLES
    asks_for = {broken: 1}
    p99_ms = 5


@operation(check=lambda _, answer: answer["nothing"], rows=1, reads=True)
def refused() -> Steps:
    """Answer something else than its check looks for."""
    return {"one": (yield sql("SELECT 1")).scalar_one()}


class Refusing(OwnScenario[ScenarioKnobs]):
    """Refuses its own answers."""

    name = "refusing"
    summary = "a check that raises"
    tables = TABLES
    asks_for = {refused: 1}
