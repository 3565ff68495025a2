"""A base for strategies that work through a SQLAlchemy session, and what they share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from asyncdb_bench.errors import UnavailableError
from asyncdb_bench.knob import BUDGET, knob
from asyncdb_bench.operation import Operation, Params, drive
from asyncdb_bench.strategy import Knobs, Strategy

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolKnobs(Knobs):
    """Knobs of a strategy with a connection pool of its own."""

    pool: int = knob(
        BUDGET, unit="connections", low=1, high=1000, help="size of the pool", split=True
    )


P = TypeVar("P", bound=PoolKnobs)

APPLICATION_NAME = "asyncdb-bench application"


LOOPBACK = {"localhost", "127.0.0.1", "::1", ""}


def dialect_url(url: str, driver: str) -> tuple[URL, str]:
    """Name the driver in a ``postgresql://`` URL and take its `sslmode` out.

    Returns
    -------
    The URL for SQLAlchemy and the SSL mode that every driver is told: the URL's own, else none on
    loopback, where the drivers' defaults differ in what they cost.
    """
    from sqlalchemy import make_url

    parsed = make_url(url).set(drivername=f"postgresql+{driver}")
    local = "disable" if (parsed.host or "") in LOOPBACK else "prefer"
    mode = str(parsed.query.get("sslmode", local))
    return parsed.difference_update_query(["sslmode"]), mode


def make_engine(url: str, pool: int, timeout_s: float, *, timed: bool = False) -> Engine:
    """Make a blocking engine on psycopg with a fixed pool that never overflows.

    Parameters
    ----------
    url : ``postgresql://…`` without a driver.
    pool : connections.
    timeout_s : how long a checkout may wait.
    timed : whether the requests' phases are noted, see :mod:`asyncdb_bench.timed`.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.pool import QueuePool

    from asyncdb_bench.timed import TimedPool, watch

    target, ssl_mode = dialect_url(url, "psycopg")
    engine = create_engine(
        target,
        poolclass=TimedPool if timed else QueuePool,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=timeout_s,
        connect_args={
            "application_name": APPLICATION_NAME,
            "connect_timeout": 5,
            "sslmode": ssl_mode,
        },
    )
    if timed:
        watch(engine)
    return engine


def fill_pool(engine: Engine, pool: int) -> None:
    """Open every connection of the pool now, so that no request pays for it."""
    with ExitStack() as stack:
        for _ in range(pool):
            stack.enter_context(engine.connect())


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
        # asyncpg's dialect leaves classes 55 to 58 of SQLSTATE (not in the prerequisite state, shut
        # down, system error) without a class of their own
        state = str(getattr(error.orig, "sqlstate", None) or "")
        if error.connection_invalidated or state[:2] in {"08", "53", "55", "57", "58"}:
            raise UnavailableError(f"database unavailable: {error.orig}") from error
        raise
    except (ConnectionError, TimeoutError) as error:
        raise UnavailableError(f"database unavailable: {error}") from error


class SessionStrategy(Strategy[P]):
    """Blocking SQLAlchemy on psycopg; a subclass says how :meth:`execute` is run."""

    Knobs = PoolKnobs
    packages = ("tornado", "sqlalchemy", "psycopg[binary]")
    engine: Engine | None = None

    async def open(self) -> None:
        """Connect the whole pool."""
        from sqlalchemy.orm import sessionmaker

        size = self.budget(self.knobs)
        self.engine = make_engine(
            self.context.database_url, size, self.context.timeout_s, timed=self.knobs.timing > 0
        )
        self.session = sessionmaker(self.engine)
        fill_pool(self.engine, size)

    def execute(self, operation: Operation, params: Params) -> dict[str, Any]:
        """Run one operation in one transaction; blocks the calling thread."""
        with translated(), self.session.begin() as session:
            return drive(operation.steps(**params), session.execute)

    async def close(self) -> None:
        """Close the pool."""
        if self.engine is not None:
            self.engine.dispose()

    def gauges(self) -> dict[str, float]:
        """Return how many connections of the pool are checked out."""
        pool: Any = self.engine.pool if self.engine is not None else None
        return {"pool_in_use": pool.checkedout()} if pool is not None else {}

    @classmethod
    def budget(cls, knobs: P) -> int:
        """Return the pool's size."""
        return knobs.pool

    @classmethod
    def limits(cls, knobs: P) -> dict[str, int]:
        """Return the pool's size."""
        return {"connections": cls.budget(knobs)}
