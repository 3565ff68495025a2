"""SQLAlchemy engines and sessions on any PostgreSQL driver: one size, one order of waiters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncdb_bench.contract.abandoning import executing, executing_async
from asyncdb_bench.contract.operation import (
    Operation,
    Params,
    Steps,
    advance,
    drive,
    drive_async,
    together,
)
from asyncdb_bench.contract.urls import PLACE, USUAL_PORT, is_socket, parameters, url_of
from asyncdb_bench.errors import PluginError, RequestTimeoutError, UnavailableError, hide
from asyncdb_bench_attach.timing import watch

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from asyncdb_bench.contract.strategy import Knobs

APPLICATION_NAME = "asyncdb-bench application"
CONNECT_TIMEOUT_S = 5
USUAL_ISOLATION = "read_committed"
LOOPBACK = {"localhost", "127.0.0.1", "::1", ""}
QUERY_ENDED = "57014"
"""SQLSTATE of a query that was cancelled, or that `statement_timeout` ended."""
POOLED = "pooler"
"""What a URL's query has where a pooler in transaction mode lies between."""
DISTRIBUTIONS = {"asyncpg": "asyncpg", "psycopg": "psycopg[binary]"}
"""Drivers that an engine can be made on, and what pip installs for them."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a ``postgresql://`` URL in our form leads, the same for every driver.

    Parameters
    ----------
    place : account, host, port and database, by libpq's names.
    ssl_mode : the URL's own, else none on loopback, where the drivers' defaults differ in what they
        cost.
    rest : its other parameters, of :data:`asyncdb_bench.contract.urls.KEPT`.
    pooled : a pooler in transaction mode lies between, see :data:`POOLED`.
    """

    place: Mapping[str, str]
    ssl_mode: str
    rest: Mapping[str, str]
    pooled: bool

    @property
    def url(self) -> URL:
        """What SQLAlchemy makes an engine on, but for the driver."""
        from sqlalchemy import URL

        host, port = self.place.get("host"), self.place.get("port")
        socket = is_socket(host or "")
        return URL.create(
            "postgresql",
            self.place.get("user"),
            self.place.get("password"),
            None if socket else host,
            int(port) if port and not socket else None,
            self.place.get("dbname"),
            {"host": host, "port": port or USUAL_PORT} if host and socket else {},
        )


def connection_target(url: str) -> Target:
    """Return where a URL in our form leads, see :mod:`asyncdb_bench.contract.urls`."""
    rest = parameters(url)
    place = {name: rest.pop(name) for name in PLACE if name in rest}
    hide(place.get("password", ""))
    host, pooled = place.get("host", ""), bool(rest.pop(POOLED, ""))
    mode = rest.pop("sslmode", "disable" if host in LOOPBACK else "prefer")
    # libpq encrypts nothing on a socket, whatever is asked for, and asyncpg would refuse
    return Target(place, "disable" if is_socket(host) else mode, rest, pooled)


def connect_arguments(driver: str, target: Target) -> dict[str, Any]:
    """Return the keyword arguments of a driver's `connect`, but for the place.

    Behind a pooler no statement is prepared under a name: the next transaction may have another
    connection of the pooler's, which does not know it.

    Raises
    ------
    PluginError : a driver that is not in :data:`DISTRIBUTIONS`.
    """
    rest = dict(target.rest)
    timeout_s = int(rest.pop("connect_timeout", CONNECT_TIMEOUT_S))
    if driver == "psycopg":
        unprepared = {"prepare_threshold": None} if target.pooled else {}
        named = {"application_name": APPLICATION_NAME, "connect_timeout": timeout_s}
        return named | {"sslmode": target.ssl_mode} | rest | unprepared
    if driver != "asyncpg":
        raise PluginError(f"driver {driver!r} is not one of {', '.join(sorted(DISTRIBUTIONS))}")
    settings = {
        "application_name": APPLICATION_NAME,
        # as PostgreSQL reports it: asyncpg's own 'utf-8', quotes and all, has PgBouncer send a SET
        # of its own before each transaction
        "client_encoding": "UTF8",
    }
    if "options" in rest:
        settings["options"] = rest.pop("options")
    given: dict[str, Any] = {"server_settings": settings, "ssl": target.ssl_mode}
    if rest:
        # files of certificates: it reads them out of a URL alone
        given["dsn"] = url_of(rest)
    return given | {"timeout": timeout_s} | ({"statement_cache_size": 0} if target.pooled else {})


def make_engine(
    url: str,
    pool: int,
    timeout_s: float,
    *,
    timed: bool = False,
    driver: str = "psycopg",
    isolation: str = USUAL_ISOLATION,
) -> Engine:
    """Make a blocking engine with a fixed pool that never overflows.

    Parameters
    ----------
    url : ``postgresql://…`` without a driver.
    pool : connections.
    timeout_s : how long a checkout may wait.
    timed : whether the requests' phases are noted, see :func:`asyncdb_bench_attach.timing.watch`.
    driver : of :data:`DISTRIBUTIONS`, one that can block.
    isolation : level of transactions, e.g. ``"repeatable_read"``.
    """
    from sqlalchemy import create_engine

    target, options = _options(url, pool, timeout_s, driver, isolation)
    engine = create_engine(target, **options)
    if timed:
        watch(engine)
    return engine


def make_async_engine(
    url: str,
    pool: int,
    timeout_s: float,
    *,
    timed: bool = False,
    driver: str = "asyncpg",
    isolation: str = USUAL_ISOLATION,
    fair: bool = False,
) -> AsyncEngine:
    """Make an engine for `AsyncSession`.

    Parameters
    ----------
    url, pool, timeout_s, timed, driver, isolation : as :func:`make_engine`.
    fair : who waits for a connection has it in the order of arrival, see
        :mod:`asyncdb_bench.contract.engine`.
    """
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import AsyncAdaptedQueuePool

    from asyncdb_bench.contract.fair_pool import FairAsyncPool

    target, options = _options(url, pool, timeout_s, driver, isolation)
    kind = FairAsyncPool if fair else AsyncAdaptedQueuePool
    engine = create_async_engine(target, poolclass=kind, **options)
    if timed:
        watch(engine)
    return engine


def _options(
    url: str, pool: int, timeout_s: float, driver: str, isolation: str
) -> tuple[URL, dict[str, Any]]:
    target = connection_target(url)
    arguments = connect_arguments(driver, target)
    if target.pooled and driver == "asyncpg":
        # SQLAlchemy prepares each statement itself; with both caches off asyncpg gives them no name
        arguments |= {"prepared_statement_cache_size": 0}
    return target.url.set(drivername=f"postgresql+{driver}"), {
        "pool_size": pool,
        "max_overflow": 0,
        "pool_timeout": timeout_s,
        "connect_args": arguments,
        **({} if isolation == USUAL_ISOLATION else {"isolation_level": level(isolation)}),
    }


def level(isolation: str) -> str:
    """Return an isolation level as SQL says it."""
    return isolation.replace("_", " ").upper()


async def fill_async_pool(engine: AsyncEngine, pool: int) -> None:
    """Likewise for an async engine."""
    async with AsyncExitStack() as stack:
        for _ in range(pool):
            await stack.enter_async_context(engine.connect())


@contextmanager
def translated() -> Iterator[None]:
    """Turn an exhausted pool or a database that is gone into an :class:`UnavailableError`."""
    from sqlalchemy import exc

    try:
        yield
    except exc.TimeoutError as error:
        raise UnavailableError(f"no free connection in the pool: {error}") from error
    except (exc.OperationalError, exc.InterfaceError) as error:
        raise unavailable(error.orig) from error
    except exc.DBAPIError as error:
        if error.connection_invalidated or unavailable_state(error.orig):
            raise unavailable(error.orig) from error
        raise
    except (ConnectionError, TimeoutError) as error:
        raise UnavailableError(f"database unavailable: {error}") from error


def unavailable(error: BaseException | None) -> UnavailableError:
    """Return what stands for a driver's error: of a query that the server ended, a time-out."""
    if getattr(error, "sqlstate", None) == QUERY_ENDED:
        return RequestTimeoutError(f"the database ended the query: {error}")
    return UnavailableError(f"database unavailable: {error}")


def unavailable_state(error: BaseException | None) -> bool:
    """Return whether a driver's error says that the database cannot serve now.

    By SQLSTATE's class: 08 connection, 53 resources, 55 not in the prerequisite state, 57 operator
    intervention, 58 system error (PostgreSQL manual, appendix A). Drivers leave some of these
    without a class of their own.
    """
    state = str(getattr(error, "sqlstate", None) or "")
    return state[:2] in {"08", "53", "55", "57", "58"}


def open_sessions(
    url: str, size: int, timeout_s: float, knobs: Knobs, driver: str = "psycopg"
) -> Sessions:
    """Connect a pool, and return what runs operations on it.

    Parameters
    ----------
    url, timeout_s, driver : as :func:`make_engine`.
    size : connections that are opened.
    knobs : for isolation level, autocommit, and whether times are noted.
    """
    timed = knobs.timing > 0
    engine = make_engine(
        url, size, timeout_s, timed=timed, driver=driver, isolation=knobs.isolation
    )
    try:
        with ExitStack() as stack:
            for _ in range(size):
                stack.enter_context(engine.connect())
    except BaseException:
        # whoever opens does not know the engine yet, and could not close it
        engine.dispose()
        raise
    return Sessions(engine, autocommit=knobs.autocommit)


class Sessions:
    """Blocking sessions.

    Parameters
    ----------
    engine : whose connections they use.
    autocommit : what only reads runs without BEGIN and COMMIT.
    """

    def __init__(self, engine: Engine, *, autocommit: bool = False) -> None:
        from sqlalchemy.orm import sessionmaker

        self.engine = engine
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
            answer = drive(operation.steps(**params), executing(session), session.commit)
            if operation.commits:
                session.commit()
            return answer

    def advance(self, operation: Operation, steps: Steps) -> Any:
        """Run steps in a session of their own until the connection would be given back."""
        make = self.reading if operation.reads else self.usual
        with translated(), make.begin() as session:
            return advance(steps, executing(session))

    def read(self, statement: Any) -> Any:
        """Run one statement in a transaction of its own and return its whole result."""
        with translated(), self.apart.begin() as session:
            return executing(session)(statement).freeze()()


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
                    steps, executing_async(session), session.commit, stream=session.stream
                )
                if operation.commits:
                    await session.commit()
                return answer

    async def read(self, statement: Any) -> Any:
        """Run one statement in a transaction of its own and return its whole result."""
        async with self.apart.begin() as session:
            return (await executing_async(session)(statement)).freeze()()

    async def at_once(self, statements: tuple[Any, ...]) -> list[Any]:
        """Run statements at once, each on a connection of its own; results in order."""
        return await together(self.read(each) for each in statements)
