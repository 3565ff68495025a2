"""The work that the conformance suite asks for: standard operations, others, and some that fail."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, text

from asyncdb_bench.contract.data import accounts as dataset
from asyncdb_bench.contract.operation import AtOnce, Params, Pause, Steps, operation
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


class Conformance(Scenario[ScenarioKnobs]):
    """Not a scenario to measure: its operations are what the suite runs."""

    name = "conformance"
    summary = "operations of the conformance suite"

    def workload(self) -> Workload:
        """Return a small copy of the standard data, and operations that fail beside the usual."""
        own = (write_then_fail, wrong_sql, read_at_once, read_again)
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
