"""Routes as people's OpenAPI files have them: lists, members, tokens, answers without a body."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

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


class Order(Enum):
    """How a list is ordered."""

    NAME = "by-name"
    PRICE = "by price"


TABLES = Tables(
    "shapes",
    Sql(
        "CREATE TABLE thing (id int PRIMARY KEY, name text NOT NULL, price float8 NOT NULL);"
        "INSERT INTO thing SELECT n, 'thing ' || n, n FROM generate_series(1, 200) AS n"
    ),
)


@operation(
    check=lambda params, answer: [each["id"] for each in answer] == params["ids"],
    rows=lambda params: len(params["ids"]),
    reads=True,
    route=Route("GET", "/v1/things?view=short"),
)
def many(ids: list[int], order: Order, low: float | None) -> Steps:
    """Several, named in the query."""
    found = yield sql("SELECT id FROM thing WHERE id = ANY(:ids)", ids=ids)
    known = {row.id for row in found}
    return [{"id": each, "order": order} for each in ids if each in known]


@operation(
    check=lambda _, answer: answer == "",
    rows=1,
    route=Route(
        "DELETE",
        "/v1/things/{thing}",
        headers={"X-Token": "{token}"},
        fields=("token",),
        render=lambda _: Reply("", status=204),
    ),
)
def gone(thing: int, token: str) -> Steps:
    """Deleted, as it were: 204."""
    yield sql("UPDATE thing SET price = price WHERE id = :id", id=thing)
    return token


@operation(
    check=lambda params, answer: answer.headers["Location"] == f"/v1/things/{params['thing']}",
    rows=1,
    reads=True,
    route=Route(
        "POST",
        "/v1/moved",
        body="form",
        statuses=(303,),
        whole=True,
        render=lambda found: Reply("", headers={"Location": f"/v1/things/{found}"}, status=303),
    ),
)
def moved(thing: int) -> Steps:
    """Answered by a redirect, which is not followed."""
    return (yield sql("SELECT id FROM thing WHERE id = :id", id=thing)).scalar_one()


@operation(
    check=lambda _, answer: answer == "",
    rows=1,
    reads=True,
    route=Route("HEAD", "/v1/things/{thing}", render=lambda _: Reply("not sent")),
)
def there(thing: int) -> Steps:
    """Looked for by HEAD."""
    return (yield sql("SELECT id FROM thing WHERE id = :id", id=thing)).scalar_one()


class Shapes(OwnScenario[ScenarioKnobs]):
    """All of them."""

    name = "shapes"
    summary = "routes of many shapes"
    tables = TABLES
    asks_for = {many: 1, gone: 1, moved: 1, there: 1}

    def draw(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw things."""
        thing = int(rng.integers(1, 201))
        if operation == "many":
            ids = [] if thing % 4 == 0 else [thing, thing % 200 + 1]
            return {"ids": ids, "order": Order.PRICE, "low": None}
        return {"thing": thing} | ({"token": "t=&ü"} if operation == "gone" else {})
