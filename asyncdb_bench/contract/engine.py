"""SQLAlchemy engines on any PostgreSQL driver: one size, one application name, one SSL mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from asyncdb_bench.errors import PluginError, UnavailableError

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

APPLICATION_NAME = "asyncdb-bench application"
CONNECT_TIMEOUT_S = 5
LOOPBACK = {"localhost", "127.0.0.1", "::1", ""}
DISTRIBUTIONS = {"asyncpg": "asyncpg", "psycopg": "psycopg[binary]"}
"""Drivers that an engine can be made on, and what pip installs for them."""


def connection_target(url: str) -> tuple[URL, str]:
    """Take the `sslmode` out of a ``postgresql://`` URL.

    Returns
    -------
    The URL, and the SSL mode that every driver is given: the URL's own, else none on loopback,
    where the drivers' defaults differ in what they cost.
    """
    from sqlalchemy import make_url

    parsed = make_url(url)
    local = "disable" if (parsed.host or "") in LOOPBACK else "prefer"
    mode = str(parsed.query.get("sslmode", local))
    return parsed.difference_update_query(["sslmode"]), mode


def connect_arguments(driver: str, ssl_mode: str) -> dict[str, Any]:
    """Return the keyword arguments of a driver's `connect`.

    Raises
    ------
    PluginError : a driver that is not in :data:`DISTRIBUTIONS`.
    """
    if driver == "asyncpg":
        settings = {"application_name": APPLICATION_NAME}
        return {"server_settings": settings, "ssl": ssl_mode, "timeout": CONNECT_TIMEOUT_S}
    if driver == "psycopg":
        name = APPLICATION_NAME
        return {"application_name": name, "connect_timeout": CONNECT_TIMEOUT_S, "sslmode": ssl_mode}
    raise PluginError(f"driver {driver!r} is not one of {', '.join(sorted(DISTRIBUTIONS))}")


def make_engine(
    url: str, pool: int, timeout_s: float, *, timed: bool = False, driver: str = "psycopg"
) -> Engine:
    """Make a blocking engine with a fixed pool that never overflows.

    Parameters
    ----------
    url : ``postgresql://…`` without a driver.
    pool : connections.
    timeout_s : how long a checkout may wait.
    timed : whether the requests' phases are noted, see :mod:`asyncdb_bench.contract.engine_timing`.
    driver : of :data:`DISTRIBUTIONS`, one that can block.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.pool import QueuePool

    from asyncdb_bench.contract.engine_timing import TimedPool, watch

    target, options = _options(url, pool, timeout_s, driver)
    engine = create_engine(target, poolclass=TimedPool if timed else QueuePool, **options)
    if timed:
        watch(engine)
    return engine


def make_async_engine(
    url: str, pool: int, timeout_s: float, *, timed: bool = False, driver: str = "asyncpg"
) -> AsyncEngine:
    """Make an engine for `AsyncSession`; parameters as :func:`make_engine`."""
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import AsyncAdaptedQueuePool

    from asyncdb_bench.contract.engine_timing import TimedAsyncPool, watch

    target, options = _options(url, pool, timeout_s, driver)
    kind = TimedAsyncPool if timed else AsyncAdaptedQueuePool
    engine = create_async_engine(target, poolclass=kind, **options)
    if timed:
        watch(engine.sync_engine)
    return engine


def _options(url: str, pool: int, timeout_s: float, driver: str) -> tuple[URL, dict[str, Any]]:
    target, ssl_mode = connection_target(url)
    return target.set(drivername=f"postgresql+{driver}"), {
        "pool_size": pool,
        "max_overflow": 0,
        "pool_timeout": timeout_s,
        "connect_args": connect_arguments(driver, ssl_mode),
    }


def fill_pool(engine: Engine, pool: int) -> None:
    """Open every connection of the pool now, so that no request pays for it."""
    with ExitStack() as stack:
        for _ in range(pool):
            stack.enter_context(engine.connect())


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
        raise UnavailableError(f"database unavailable: {error.orig}") from error
    except exc.DBAPIError as error:
        if error.connection_invalidated or unavailable_state(error.orig):
            raise UnavailableError(f"database unavailable: {error.orig}") from error
        raise
    except (ConnectionError, TimeoutError) as error:
        raise UnavailableError(f"database unavailable: {error}") from error


def unavailable_state(error: BaseException | None) -> bool:
    """Return whether a driver's error says that the database cannot serve now.

    By SQLSTATE's class: 08 connection, 53 resources, 55 not in the prerequisite state, 57 operator
    intervention, 58 system error (PostgreSQL manual, appendix A). Drivers leave some of these
    without a class of their own.
    """
    state = str(getattr(error, "sqlstate", None) or "")
    return state[:2] in {"08", "53", "55", "57", "58"}
