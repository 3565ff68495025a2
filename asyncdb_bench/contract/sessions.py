"""An engine's sessions, and operations run in them: the one place where a session is begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncdb_bench.contract.engine import translated
from asyncdb_bench.contract.operation import (
    Operation,
    Params,
    Steps,
    advance,
    drive,
    drive_async,
)
from asyncdb_bench.contract.together import together

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine


class Sessions:
    """Blocking sessions.

    Parameters
    ----------
    engine : whose connections they use.
    autocommit : what only reads runs without BEGIN and COMMIT.
    """

    def __init__(self, engine: Engine, *, autocommit: bool = False) -> None:
        from sqlalchemy.orm import sessionmaker

        self.usual = sessionmaker(engine)
        reading = engine.execution_options(isolation_level="AUTOCOMMIT") if autocommit else engine
        self.reading = sessionmaker(reading) if autocommit else self.usual
        self.apart = sessionmaker(reading, expire_on_commit=False)

    def run(self, operation: Operation, params: Params) -> Any:
        """Run an operation in one session, and blocks the calling thread meanwhile.

        Raises
        ------
        UnavailableError : no connection, or the database is gone.
        """
        make = self.reading if operation.reads else self.usual
        with translated(), make() as session:
            answer = drive(operation.steps(**params), session.execute, session.commit)
            if operation.commits:
                session.commit()
            return answer

    def advance(self, operation: Operation, steps: Steps) -> Any:
        """Run steps in a session of their own until the connection would be given back."""
        make = self.reading if operation.reads else self.usual
        with translated(), make.begin() as session:
            return advance(steps, session.execute)

    def read(self, statement: Any) -> Any:
        """Run one statement in a transaction of its own and return its whole result."""
        with translated(), self.apart.begin() as session:
            return session.execute(statement).freeze()()


class AsyncSessions:
    """Async sessions; parameters as :class:`Sessions`."""

    def __init__(self, engine: AsyncEngine, *, autocommit: bool = False) -> None:
        from sqlalchemy.ext.asyncio import async_sessionmaker

        self.usual = async_sessionmaker(engine)
        reading = engine.execution_options(isolation_level="AUTOCOMMIT") if autocommit else engine
        self.reading = async_sessionmaker(reading) if autocommit else self.usual
        self.apart = async_sessionmaker(reading, expire_on_commit=False)

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run an operation in one session, or in one for each of its independent reads.

        Raises
        ------
        UnavailableError : no connection, or the database is gone.
        """
        make = self.reading if operation.reads else self.usual
        steps = operation.steps(**params)
        with translated():
            if operation.independent:
                return await drive_async(steps, self.read, at_once=self.at_once)
            async with make() as session:
                answer = await drive_async(
                    steps, session.execute, session.commit, stream=session.stream
                )
                if operation.commits:
                    await session.commit()
                return answer

    async def read(self, statement: Any) -> Any:
        """Run one statement in a transaction of its own and return its whole result."""
        async with self.apart.begin() as session:
            return (await session.execute(statement)).freeze()()

    async def at_once(self, statements: tuple[Any, ...]) -> list[Any]:
        """Run statements at once, each on a connection of its own; results in order."""
        return await together(self.read(each) for each in statements)
