"""The work that the conformance suite asks for: standard operations, others, and some that fail."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from enum import Enum
from typing import Any, Literal

import msgspec
from sqlalchemy import column, insert, select, text

from asyncdb_bench.contract.data import accounts as dataset
from asyncdb_bench.contract.operation import (
    AtOnce,
    Operation,
    Params,
    Pause,
    Steps,
    operation,
)
from asyncdb_bench.contract.raw_result import sql
from asyncdb_bench.contract.scenario import Scenario, ScenarioKnobs, Workload
from asyncdb_bench.records.plan import Objective

ROWS = 1000


class DeliberateError(Exception):
    """What :func:`write_then_fail` raises."""


@operation(check=lambda _params, _answer: False)
def write_then_fail(counter: dataset.CounterId) -> Steps:
    """Insert an entry, then fail: the entry must not stay."""
    yield insert(dataset.Entry).values(counter_id=counter, amount=1)
    raise DeliberateError("deliberate")


@operation(check=lambda _params, _answer: False)
def wrong_sql() -> Steps:
    """Ask for something that PostgreSQL refuses."""
    yield text("SELECT 1 / 0")
    return {}


def _both(params: Params, answer: Params) -> bool:
    first = params["account"]
    return bool(answer["balances"] == [dataset.balance_of(first), dataset.balance_of(first + 1)])


def _balance(account: int) -> Any:
    return select(dataset.Account.balance).where(dataset.Account.id == account)


@operation(check=_both, rows=2, transactions=2, reads=True, independent=True)
def read_at_once(account: dataset.AccountId) -> Steps:
    """Read two accounts by reads that may run at once."""
    found = yield AtOnce((_balance(account), _balance(account + 1)))
    return {"balances": [each.scalar_one() for each in found]}


@operation(check=_both, rows=2, transactions=2, reads=True, pauses=True)
def read_again(account: dataset.AccountId, seconds: dataset.Seconds, hold: bool) -> Steps:
    """Read an account, wait, with or without the connection, read another."""
    one = (yield _balance(account)).scalar_one()
    yield Pause(seconds, hold)
    other = (yield _balance(account + 1)).scalar_one()
    return {"balances": [one, other]}


class Mood(Enum):
    """An enum, whose members stand in the database by their values."""

    GOOD = "good"


class Line(msgspec.Struct):
    """A struct within a struct."""

    item: uuid.UUID
    price: Decimal


class Order(msgspec.Struct):
    """What an application takes as a JSON body."""

    lines: list[Line]
    due: dt.date


def _echo(name: str, hint: Any, sql_type: str) -> Operation:
    """Return an operation whose parameter is of a type, and comes back from the database."""
    statement = f"SELECT CAST(:value AS {sql_type}) AS value FROM account WHERE id = 1"  # noqa: S608

    def steps(value: Any) -> Steps:
        """Return a value as the database returns it, and its type as it came here."""
        # named here: a driver's rows may be tuples
        row = (yield sql(statement, value=value).columns(column("value"))).one()
        return {"value": row.value, "came": type(value).__name__}

    steps.__name__ = f"echo_{name}"
    steps.__annotations__ = {"value": hint}
    return operation(check=lambda _, answer: answer["came"] != "", rows=1, reads=True)(steps)


echo_int = _echo("int", int, "bigint")
echo_float = _echo("float", float, "float8")
echo_bool = _echo("bool", bool, "bool")
echo_text = _echo("text", str, "text")
echo_bytes = _echo("bytes", bytes, "bytea")
echo_uuid = _echo("uuid", uuid.UUID, "uuid")
echo_date = _echo("date", dt.date, "date")
echo_time = _echo("time", dt.time, "time")
echo_naive = _echo("naive", dt.datetime, "timestamp")
echo_aware = _echo("aware", dt.datetime, "timestamptz")
echo_interval = _echo("interval", dt.timedelta, "interval")
echo_decimal = _echo("decimal", Decimal, "numeric")
echo_enum = _echo("enum", Mood, "text")
echo_literal = _echo("literal", Literal["a", "b"], "text")
echo_null = _echo("null", uuid.UUID | None, "uuid")
echo_ints = _echo("ints", list[int], "bigint[]")
echo_uuids = _echo("uuids", set[uuid.UUID], "uuid[]")
echo_dict = _echo("dict", dict[str, Any], "jsonb")
echo_struct = _echo("struct", Order, "jsonb")
echo_structs = _echo("structs", list[Line], "jsonb")

_UUID = uuid.UUID("00000000-0000-4000-8000-000000000001")
_NOON = dt.datetime(2026, 2, 28, 12, 30, 0, 5)
_LINE = Line(_UUID, Decimal("1.50"))
TYPED: tuple[tuple[Operation, Any], ...] = (
    (echo_int, 2**40),
    (echo_float, 0.1),
    (echo_bool, True),
    (echo_text, "50 %, :a ü"),
    (echo_bytes, b"\x00\xff"),
    (echo_uuid, _UUID),
    (echo_date, _NOON.date()),
    (echo_time, _NOON.time()),
    (echo_naive, _NOON),
    (echo_aware, _NOON.replace(tzinfo=dt.UTC)),
    (echo_interval, dt.timedelta(days=1, seconds=2)),
    (echo_decimal, Decimal("12.30")),
    (echo_enum, Mood.GOOD),
    (echo_literal, "b"),
    (echo_null, None),
    (echo_ints, [1, 2**40]),
    (echo_uuids, {_UUID}),
    (echo_dict, {"a": [1, None, "x"]}),
    (echo_struct, Order([_LINE], _NOON.date())),
    (echo_structs, [_LINE, _LINE]),
)
"""An operation for each type that a parameter may have, and a value."""


class Conformance(Scenario[ScenarioKnobs]):
    """Not a scenario to measure: its operations are what the suite runs."""

    name = "conformance"
    summary = "operations of the conformance suite"

    def workload(self) -> Workload:
        """Return a small copy of the standard data, and operations that fail beside the usual."""
        own = (write_then_fail, wrong_sql, read_at_once, read_again, *(each for each, _ in TYPED))
        return Workload(
            dataset.StandardData(ROWS), dataset.OPERATIONS | {each.name: each for each in own}
        )

    def mix(self) -> dict[str, float]:
        """Only reads."""
        return {"read": 1.0}

    def params(self, operation: str, rng: Any) -> dict[str, Any]:
        """Draw an account."""
        return {"account": int(rng.integers(1, ROWS + 1))}

    def objective(self) -> Objective:
        """Nothing in particular."""
        return Objective(p99_ms=1000)

    def ladder(self) -> tuple[float, ...]:
        """One load."""
        return (10.0,)
