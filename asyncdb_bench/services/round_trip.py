"""The round trip to a service, measured with the least that a client can ask of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import numpy as np

from asyncdb_bench.contract.broker_url import kombu_connection
from asyncdb_bench.contract.database_url import url_of
from asyncdb_bench.contract.engine import connection_target
from asyncdb_bench.errors import ServiceError, first_line
from asyncdb_bench.records.plan import Broker

FEWEST, MOST, FOR_S = 20, 300, 0.15
"""Questions that are asked at least and at most, and for about how long."""
WARM = 5
TIMEOUT_S = 5.0


def database_round_trips(url: str, for_s: float = FOR_S) -> list[float]:
    """Return how long ``SELECT 1`` took, milliseconds, by libpq itself.

    Parameters
    ----------
    url : ``postgresql://…``.
    for_s : about how long to ask.

    Raises
    ------
    ServiceError : no connection, or no answer.
    """
    with asking(url) as ask:
        return timed(ask, for_s)


@contextlib.contextmanager
def asking(url: str) -> Iterator[Callable[[], None]]:
    """Connect to a database by libpq, and lend what asks ``SELECT 1`` once.

    Raises
    ------
    ServiceError : no connection, or no answer.
    """
    from psycopg import pq

    target = connection_target(url)
    plain = url_of({**target.place, "sslmode": target.ssl_mode, **target.rest})
    connection = pq.PGconn.connect(plain.encode())
    try:
        if connection.status != pq.ConnStatus.OK:
            raise ServiceError(f"cannot connect: {connection.get_error_message().strip()}")

        def ask() -> None:
            answer = connection.exec_(b"SELECT 1")
            if answer.status != pq.ExecStatus.TUPLES_OK:
                raise ServiceError(f"no answer: {connection.get_error_message().strip()}")

        yield ask
    finally:
        connection.finish()


def broker_round_trips(broker: Broker, for_s: float = FOR_S) -> list[float]:
    """Return how long a ``PING`` (Redis) or a ``basic.qos`` (AMQP 0-9-1) took, milliseconds.

    Raises
    ------
    ServiceError : no connection, or no answer.
    """
    try:
        with _redis(broker.url) if broker.kind == "redis" else _amqp(broker) as ask:
            return timed(ask, for_s)
    except OSError as error:
        raise ServiceError(f"the broker does not answer: {error}") from error


@contextlib.contextmanager
def _redis(url: str) -> Iterator[Callable[[], object]]:
    import redis

    pool = redis.ConnectionPool.from_url(
        url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    try:
        # the connection itself: a client takes one out of the pool each time
        connection = pool.get_connection()

        def ask() -> None:
            connection.send_command("PING")  # type: ignore[no-untyped-call]
            connection.read_response()

        yield ask
    except redis.RedisError as error:
        raise ServiceError(f"the broker does not answer: {first_line(error)}") from error
    finally:
        pool.disconnect()


@contextlib.contextmanager
def _amqp(broker: Broker) -> Iterator[Callable[[], object]]:
    with kombu_connection(broker, connect_timeout=TIMEOUT_S) as connection:
        channel = connection.channel()
        yield lambda: channel.basic_qos(0, 1, False)


def timed(ask: Callable[[], object], for_s: float) -> list[float]:
    """Ask again and again; return how long each answer took, milliseconds.

    Parameters
    ----------
    ask : asks once and waits for the answer.
    for_s : about how long; :data:`FEWEST` to :data:`MOST` answers are waited for.
    """
    for _ in range(WARM):
        ask()
    found: list[float] = []
    began = time.monotonic()
    while len(found) < FEWEST or (len(found) < MOST and time.monotonic() - began < for_s):
        asked_ns = time.perf_counter_ns()
        ask()
        found.append((time.perf_counter_ns() - asked_ns) / 1e6)
    return found


def median_ms(samples: list[float]) -> float:
    """Return the median of round trips, milliseconds."""
    return float(np.median(samples))
