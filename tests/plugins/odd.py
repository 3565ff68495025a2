"""Strategies that misbehave on purpose, for tests."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any

from asyncdb_bench.contract.data.accounts import balance_of
from asyncdb_bench.contract.knob import knob
from asyncdb_bench.contract.operation import Operation, Params
from asyncdb_bench.contract.session_strategies import PoolKnobs, SessionStrategy
from asyncdb_bench.contract.strategy import Knobs, Strategy
from asyncdb_bench.errors import UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnKnobs(Knobs):
    """How much CPU."""

    ms: float = knob(5.0, unit="ms", low=0, high=100, help="CPU burned on the loop")


class Burn(Strategy[BurnKnobs]):
    """Answers rightly without a database, burning CPU on the loop."""

    name = "burn"
    summary = "burns CPU on the loop"
    Knobs = BurnKnobs

    async def run(self, operation: Operation, params: Params) -> Any:
        """Burn, then answer."""
        until = time.perf_counter() + self.knobs.ms / 1000
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)
        account = params["account"]
        return {
            "id": account,
            "balance": balance_of(account),
            "owner": f"owner-{account % 997:03d}",
        }

    @classmethod
    def budget(cls, knobs: BurnKnobs) -> int:
        """Return one, though it uses none."""
        return 1


class Unavailable(Burn):
    """Never succeeds."""

    name = "unavailable"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Refuse."""
        raise UnavailableError("told to")


class Uneven(SessionStrategy[PoolKnobs]):
    """Answers reads alone."""

    name = "uneven"
    summary = "some of its answers are errors"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Read, or fail as a driver does that cannot take a parameter."""
        if not operation.reads:
            raise TypeError("operator does not exist: uuid = character varying")
        return self.execute(operation, params)


class Dying(SessionStrategy[PoolKnobs]):
    """Ends its process at the three hundredth request."""

    name = "dying"
    summary = "dies half-way"
    count = 0

    async def run(self, operation: Operation, params: Params) -> Any:
        """Answer, or die."""
        self.count += 1
        if self.count > 300:
            os._exit(3)
        return self.execute(operation, params)


class Twice(SessionStrategy[PoolKnobs]):
    """Does the work twice and tells of it once: more than the ledger says."""

    name = "twice"
    summary = "does the work twice"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run it twice."""
        self.execute(operation, params)
        return self.execute(operation, params)


class Greedy(SessionStrategy[PoolKnobs]):
    """Opens one connection more than it declares."""

    name = "greedy"
    summary = "opens more connections than declared"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run it."""
        return self.execute(operation, params)

    @classmethod
    def budget(cls, knobs: PoolKnobs) -> int:
        """Declare one less than the pool has."""
        return knobs.pool

    async def open(self) -> None:
        """Connect the pool, and one more."""
        import psycopg

        await super().open()
        self.extra = psycopg.connect(self.context.database_url)


class Stuck(Burn):
    """Hangs in each request for good."""

    name = "stuck"
    summary = "never answers"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Wait for what never comes."""
        await asyncio.sleep(3600)
        return {}


class NoStart(Burn):
    """Does not open."""

    name = "no_start"
    summary = "does not open"

    async def open(self) -> None:
        """Refuse."""
        raise UnavailableError("no such thing here")
