"""The standard data and the operations on it, shared by the built-in scenarios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    Float,
    TableValuedAlias,
    Text,
    cast,
    func,
    insert,
    select,
    text,
    true,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from asyncdb_bench.contract.operation import Params, Steps, operation

COUNTERS = 1000
BALANCES = 10_007

AccountId = Annotated[int, msgspec.Meta(ge=1)]
CounterId = Annotated[int, msgspec.Meta(ge=1, le=COUNTERS)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Queries = Annotated[int, msgspec.Meta(ge=1, le=100)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=60)]


class AccountTables(DeclarativeBase):
    """Tables of the standard data."""


class Account(AccountTables):
    """A row to read; its content follows from its key, so an answer can be checked."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    balance: Mapped[int] = mapped_column(BigInteger)


class Entry(AccountTables):
    """A row that `write` inserts."""

    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    counter_id: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[int] = mapped_column(BigInteger)


class Counter(AccountTables):
    """A row that `write` updates."""

    __tablename__ = "counter"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    total: Mapped[int] = mapped_column(BigInteger)
    entries: Mapped[int] = mapped_column(BigInteger)


def asleep(seconds: float) -> TableValuedAlias:
    """Return what a query is joined with (on true) to take so long in the database."""
    return func.pg_sleep(cast(seconds, Float)).table_valued("slept")


def balance_of(account: int) -> int:
    """Return the balance that the seed gives an account."""
    return account * 7919 % BALANCES


@dataclass(frozen=True, slots=True)
class StandardData:
    """Accounts and counters; equal for equal `rows`."""

    rows: int

    @property
    def key(self) -> str:
        """Return what names the template database."""
        return f"standard_{self.rows}"

    def create(self, connection: Connection) -> None:
        """Create and fill the tables, and gather the planner's statistics."""
        AccountTables.metadata.create_all(connection)
        connection.execute(
            text(
                "INSERT INTO account SELECT g, 'owner-' || lpad((g % 997)::text, 3, '0'),"
                " g * 7919 % :balances FROM generate_series(1, :rows) AS g"
            ),
            {"rows": self.rows, "balances": BALANCES},
        )
        connection.execute(
            text("INSERT INTO counter SELECT g, 0, 0 FROM generate_series(1, :counters) AS g"),
            {"counters": COUNTERS},
        )
        connection.commit()
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))


def _right_account(params: Params, answer: Params) -> bool:
    account = params["account"]
    return bool(answer["id"] == account and answer["balance"] == balance_of(account))


@operation(check=_right_account, rows=1, reads=True)
def read(account: AccountId) -> Steps:
    """Read one account by its primary key."""
    found = (yield select(Account).where(Account.id == account)).scalar_one()
    return {"id": found.id, "owner": found.owner, "balance": found.balance}


def _right_entry(params: Params, answer: Params) -> bool:
    return bool(
        answer["counter"] == params["counter"] and answer["entry"] >= 1 and answer["entries"] >= 1
    )


@operation(check=_right_entry, rows=2)
def write(counter: CounterId, amount: int) -> Steps:
    """Insert an entry and add it to its counter, in one transaction."""
    entry = (
        yield insert(Entry).values(counter_id=counter, amount=amount).returning(Entry.id)
    ).scalar_one()
    entries = (
        yield update(Counter)
        .where(Counter.id == counter)
        .values(total=Counter.total + amount, entries=Counter.entries + 1)
        .returning(Counter.entries)
    ).scalar_one()
    return {"entry": entry, "counter": counter, "entries": entries}


@operation(check=_right_account, rows=1, reads=True)
def slow(account: AccountId, seconds: Seconds) -> Steps:
    """Read one account by a query that takes `seconds` in the database."""
    row = (
        yield select(Account.id, Account.balance)
        .join(asleep(seconds), true())
        .where(Account.id == account)
    ).one()
    return {"id": row.id, "balance": row.balance}


def _right_rows(params: Params, answer: Params) -> bool:
    rows, first, count = answer["rows"], params["first"], params["count"]
    last = first + count - 1
    return bool(
        len(rows) == count
        and rows[0] == [first, balance_of(first)]
        and rows[-1] == [last, balance_of(last)]
    )


@operation(check=_right_rows, rows=lambda params: int(params["count"]), reads=True)
def fetch(first: AccountId, count: Count, seconds: Seconds) -> Steps:
    """Read several accounts by a query that takes `seconds` in the database."""
    wanted = (
        select(Account.id, Account.balance)
        .where(Account.id.between(first, first + count - 1))
        .order_by(Account.id)
    )
    if seconds:
        wanted = wanted.join(asleep(seconds), true())
    found = (yield wanted).all()
    return {"rows": [[each.id, each.balance] for each in found]}


def _right_several(params: Params, answer: Params) -> bool:
    first = params["account"]
    expected = sum(balance_of(each) for each in range(first, first + params["queries"]))
    return bool(answer["balance"] == expected)


@operation(
    check=_right_several,
    rows=lambda params: int(params["queries"]),
    transactions=lambda params: params["queries"],
    reads=True,
)
def several(account: AccountId, queries: Queries, seconds: Seconds) -> Steps:
    """Read accounts one after another, each by a query that takes `seconds` in the database."""
    total = 0
    for each in range(account, account + queries):
        wanted = select(Account.balance).where(Account.id == each)
        if seconds:
            wanted = wanted.join(asleep(seconds), true())
        total += (yield wanted).scalar_one()
    return {"balance": total}


OPERATIONS: dict[str, Any] = {each.name: each for each in (read, write, slow, fetch, several)}
