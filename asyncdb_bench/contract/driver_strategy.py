"""A base for strategies on a driver itself, without SQLAlchemy's engine."""

from __future__ import annotations

import contextlib
import json
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, ClassVar

from asyncdb_bench.contract.abandoning import GENERAL, Deadline, bound
from asyncdb_bench.contract.engine import (
    USUAL_ISOLATION,
    connect_arguments,
    connection_target,
    unavailable,
    unavailable_state,
)
from asyncdb_bench.contract.operation import (
    Operation,
    Params,
    advance_async,
    drive_apart,
    drive_async,
    drive_parts,
)
from asyncdb_bench.contract.session_strategies import P, PooledStrategy
from asyncdb_bench.contract.urls import parameters, url_of
from asyncdb_bench.errors import UnavailableError
from asyncdb_bench_attach.timing import Phases, current

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncdb_bench.contract.raw_result import Rows


Execute = Callable[[Any], Awaitable[Any]]


class DriverStrategy(PooledStrategy[P]):
    """Statements compiled once, sent by a driver's own pool.

    A subclass names its `driver` and writes :meth:`open_pool`, :meth:`acquire`,
    :meth:`transaction`, :meth:`fetch` and :meth:`close_pool`. Values come as a tuple for
    asyncpg's numbered parameters and as a dict for psycopg's named ones. The phases of a request
    and the driver's errors are taken care of.
    """

    abandons: ClassVar[tuple[str, ...]] = (*GENERAL, "cancel", "statement")
    pool: Any = None
    in_use = 0

    @abstractmethod
    async def open_pool(self, url: str, size: int, **options: Any) -> Any:
        """Make the pool; it may connect later.

        Parameters
        ----------
        url : ``postgresql://…``.
        size : how many connections it holds, at least and at most.
        options : keyword arguments of the driver's `connect`: name, timeout, SSL.
        """

    @abstractmethod
    def acquire(self) -> AbstractAsyncContextManager[Any]:
        """Return a context in which a connection of the pool is ours.

        A wait that takes longer than `context.timeout_s` raises :class:`TimeoutError`.
        """

    @abstractmethod
    def transaction(self, connection: Any) -> AbstractAsyncContextManager[Any]:
        """Return a context that commits where it ends well and rolls back where it does not."""

    @abstractmethod
    async def fetch(self, connection: Any, sql: str, values: Any) -> Sequence[Sequence[Any]]:
        """Run one statement and return its rows; none where it returns none."""

    @abstractmethod
    async def close_pool(self, pool: Any) -> None:
        """Close the pool's connections, those in use included."""

    @staticmethod
    async def no_reset(connection: Any) -> None:
        """Leave a connection as it is: operations leave nothing that a pool would have to reset.

        For pools that would send statements of their own at each release: a session sends none.
        """

    @staticmethod
    async def json_as_values(connection: Any) -> None:
        """Have asyncpg give json and jsonb as values, as they come through SQLAlchemy.

        For its pool's ``init``.
        """
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=_json_text, decoder=json.loads
            )

    async def open(self) -> None:
        """Open the pool and connect it whole."""
        from asyncdb_bench.contract.raw_result import Statements

        target = connection_target(self.context.database_url)
        options = connect_arguments(self.driver, target)
        self.statements = Statements(dialect_of(self.driver))
        # asyncpg's files of certificates stand in the URL, where it has one
        url = url_of({**target.place, **parameters(options.pop("dsn", ""))})
        size = self.budget(self.knobs)
        self.pool = await self.open_pool(url, size, **options)
        async with AsyncExitStack() as stack:
            for _ in range(size):
                await stack.enter_async_context(self.acquire())

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run the operation in one transaction of one connection."""
        if operation.independent:
            return await drive_apart(operation.steps(**params), self._apart)
        steps = operation.steps(**params)
        if operation.pauses:
            plain = self._plain(operation)
            return await drive_parts(
                lambda: self._connected(lambda execute: advance_async(steps, execute), plain=plain)
            )
        return await self._connected(
            lambda execute: drive_async(steps, execute),
            plain=self._plain(operation),
            commits=operation.commits,
        )

    def _plain(self, operation: Operation) -> bool:
        return operation.reads and self.knobs.autocommit

    async def _apart(self, statement: Any) -> Any:
        """Run one statement on a connection of its own."""
        return await self._connected(
            lambda execute: execute(statement), plain=self.knobs.autocommit
        )

    async def _connected(
        self, work: Callable[[Execute], Awaitable[Any]], *, plain: bool, commits: bool = True
    ) -> Any:
        """Do some work in one transaction of one connection, or in none.

        Parameters
        ----------
        work : takes what runs a statement.
        plain : without BEGIN and COMMIT.
        commits : False: the transaction is rolled back in the end.
        """
        # a request that is not sampled notes its phases, too, and they are dropped
        phases = current.get() or Phases()
        try:
            # what a pool does to a connection that is given back, it does in the database
            async with Timed(self.acquire(), phases, "pool") as connection:
                since = monotonic_ns()
                self.in_use += 1
                try:
                    return await self._in_transaction(
                        connection, work, phases, plain=plain, commits=commits
                    )
                finally:
                    self.in_use -= 1
                    phases.held += monotonic_ns() - since
        except (ConnectionError, TimeoutError) as error:
            raise UnavailableError(f"no connection: {error or type(error).__name__}") from error
        except Exception as error:
            if unavailable_state(error) or lost(error):
                raise unavailable(error) from error
            raise

    async def _in_transaction(
        self,
        connection: Any,
        work: Callable[[Execute], Awaitable[Any]],
        phases: Phases,
        *,
        plain: bool,
        commits: bool,
    ) -> Any:
        async def execute(statement: Any) -> Rows:
            shape, sql, values = self.statements.prepared(statement)
            began = monotonic_ns()
            try:
                rows = await self.fetch(connection, sql, values)
            finally:
                phases.database += monotonic_ns() - began
            return shape.rows(rows)

        if plain:
            return await work(execute)
        answer: Any = None
        with contextlib.suppress(_RolledBackError):
            async with Timed(self.transaction(connection), phases):
                if isinstance(within := bound.get(), Deadline):
                    await execute(within.setting())
                answer = await work(execute)
                if not commits:
                    raise _RolledBackError
        return answer

    async def close(self) -> None:
        """Close the pool."""
        if self.pool is not None:
            await self.close_pool(self.pool)
            self.pool = None

    def gauges(self) -> dict[str, float]:
        """Return how many connections of the pool are checked out."""
        return {"pool_in_use": self.in_use}

    @classmethod
    def refusal(cls, knobs: P, operations: Iterable[Operation]) -> str:
        """Refuse what only a session can do, and isolation levels that nobody sets here."""
        operations = list(operations)
        by_orm = [each.name for each in operations if each.orm]
        if by_orm:
            return f"{by_orm[0]!r} loads related rows by the ORM, and {cls.name} has no session"
        streaming = [each.name for each in operations if each.streams]
        if streaming:
            return f"{streaming[0]!r} streams its rows, and {cls.name} has no session"
        if knobs.isolation != USUAL_ISOLATION:
            return f"{cls.name} sets no isolation level, and {knobs.isolation} was asked for"
        return ""


class _RolledBackError(Exception):
    """Ends a transaction without a commit, where all went well."""


class Timed:
    """A context whose entry and exit are noted as time of a request's phases.

    Parameters
    ----------
    context : of a connection or a transaction.
    phases : of the request.
    entry : the phase in which it is entered; it is left in `database`.
    """

    def __init__(
        self, context: AbstractAsyncContextManager[Any], phases: Phases, entry: str = "database"
    ) -> None:
        self.context = context
        self.phases = phases
        self.entry = entry

    async def __aenter__(self) -> Any:
        """Enter."""
        began = monotonic_ns()
        try:
            return await self.context.__aenter__()
        finally:
            spent = getattr(self.phases, self.entry) + monotonic_ns() - began
            setattr(self.phases, self.entry, spent)

    async def __aexit__(self, *failure: Any) -> bool | None:
        """Leave."""
        began = monotonic_ns()
        try:
            return await self.context.__aexit__(*failure)
        finally:
            self.phases.database += monotonic_ns() - began


def _json_text(value: Any) -> str:
    """Return JSON as text; SQLAlchemy's types have made text of it already."""
    return value if isinstance(value, str) else json.dumps(value)


def dialect_of(driver: str) -> Any:
    """Return SQLAlchemy's dialect of a driver, not connected to anything."""
    from sqlalchemy import make_url

    return make_url(f"postgresql+{driver}://").get_dialect()()


def lost(error: Exception) -> bool:
    """Return whether a driver's error, which has no SQLSTATE, means that the connection is gone."""
    names = {each.__name__ for each in type(error).__mro__}
    return not getattr(error, "sqlstate", None) and bool(
        names & {"OperationalError", "InterfaceError", "PostgresConnectionError"}
    )
