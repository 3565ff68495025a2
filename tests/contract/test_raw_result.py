"""Statements for a driver without an engine, and rows as operations use them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.exc import MultipleResultsFound, NoResultFound

from asyncdb_bench.contract.data.accounts import OPERATIONS, Account, Counter, Entry
from asyncdb_bench.contract.driver_strategy import dialect_of
from asyncdb_bench.contract.operation import drive
from asyncdb_bench.contract.raw_result import Rows, Statements


@pytest.fixture(params=["asyncpg", "psycopg"])
def statements(request: pytest.FixtureRequest) -> Statements:
    return Statements(dialect_of(request.param))


def test_a_shape_is_compiled_once_and_the_values_are_the_runs_own(statements: Statements) -> None:
    first, sql, one = statements.prepared(select(Account).where(Account.id == 7))
    again, _, two = statements.prepared(select(Account).where(Account.id == 9))
    assert first is again
    assert list(one.values() if isinstance(one, dict) else one) == [7]
    assert list(two.values() if isinstance(two, dict) else two) == [9]
    assert ("$1" in sql) == isinstance(one, tuple)
    other, _, _ = statements.prepared(select(Account.id).where(Account.id == 9))
    assert other is not first


def test_values_come_in_the_order_of_their_numbers() -> None:
    statements = Statements(dialect_of("asyncpg"))
    _, sql, values = statements.prepared(
        update(Counter).where(Counter.id == 3).values(total=Counter.total + 5)
    )
    at = {int(part[0]): place for place, part in enumerate(sql.split("$")[1:])}
    assert len(at) == len(values) == 2
    assert sorted(values) == [3, 5]
    assert sql.index("total") < sql.index("WHERE")
    assert values[0] == 5


def test_a_list_of_any_length_is_expanded(statements: Statements) -> None:
    for wanted in ([1], [1, 2, 3]):
        _, sql, values = statements.prepared(select(Account.id).where(Account.id.in_(wanted)))
        found = list(values.values() if isinstance(values, dict) else values)
        assert found == wanted
        assert "POSTCOMPILE" not in sql


def test_text_with_a_parameter(statements: Statements) -> None:
    _, _, values = statements.prepared(text("SELECT pg_sleep(:s)").bindparams(bindparam("s", 0.1)))
    assert list(values.values() if isinstance(values, dict) else values) == [0.1]


def test_an_entity_reads_its_columns_like_attributes(statements: Statements) -> None:
    shape, _, _ = statements.prepared(select(Account).where(Account.id == 7))
    account = shape.rows([(7, "owner", 55)]).scalar_one()
    assert (account.id, account.owner, account.balance) == (7, "owner", 55)


def test_columns_and_functions_are_rows_with_names(statements: Statements) -> None:
    shape, _, _ = statements.prepared(select(Account.id, func.count().label("many")))
    row = shape.rows([(7, 2)]).one()
    assert (row.id, row.many) == (7, 2)
    assert tuple(row) == (7, 2)


def test_returning_is_a_row(statements: Statements) -> None:
    shape, sql, _ = statements.prepared(
        insert(Entry).values(counter_id=1, amount=2).returning(Entry.id)
    )
    assert "RETURNING" in sql
    assert shape.rows([(99,)]).scalar_one() == 99


def test_rows_are_as_strict_as_sqlalchemys() -> None:
    assert Rows([]).first() is Rows([]).scalar() is Rows([]).one_or_none() is None
    assert Rows([]).scalar_one_or_none() is None
    assert Rows([(1,), (2,)]).scalars().all() == [1, 2]
    assert list(Rows([(1,)])) == [(1,)]
    for wrong in (Rows([]).one, Rows([]).scalar_one):
        with pytest.raises(NoResultFound):
            wrong()
    with pytest.raises(MultipleResultsFound):
        Rows([(1,), (2,)]).one()


def test_the_standard_operations_run_on_rows(statements: Statements) -> None:
    def execute(statement: Any) -> Rows:
        shape, _, _ = statements.prepared(statement)
        return shape.rows([(7, "owner-007", 55)])

    steps = OPERATIONS["read"].steps(account=7)
    assert drive(steps, execute) == {"id": 7, "owner": "owner-007", "balance": 55}
