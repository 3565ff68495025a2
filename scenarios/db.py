"""`db`: one random row of `world` at `/db`, TechEmpower's single query."""

from __future__ import annotations

from random import randint

from asyncdb_bench import OwnScenario, Route, ScenarioKnobs, Steps, operation, sql
from asyncdb_bench.contract.data.ready_tables import READ, ROWS, TABLES, is_world


@operation(check=lambda _, answer: is_world(answer), rows=1, reads=True, route=Route("GET", "/db"))
def db() -> Steps:
    """Read a row by its key."""
    row = (yield sql(READ, id=randint(1, ROWS))).one()
    return {"id": row.id, "randomNumber": row.randomnumber}


class Db(OwnScenario[ScenarioKnobs]):
    """The test that many know the figures of, here with latency at a load."""

    name = "db"
    summary = "TechEmpower's single query: a random row by its key"
    tables = TABLES
    asks_for = {db: 1}
    loads = (50, 100, 200, 400, 600, 800, 1000, 1250, 1500, 2000, 2500, 3000)
