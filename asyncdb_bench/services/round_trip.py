"""The round trip to a service, measured with the least that a client can ask of it."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import unquote, urlsplit

import numpy as np

from asyncdb_bench.errors import ServiceError
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

    from asyncdb_bench.contract.engine import connection_target

    target, ssl_mode, _ = connection_target(url)
    plain = target.update_query_dict({"sslmode": ssl_mode}).render_as_string(hide_password=False)
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
        with _redis(broker.url) if broker.kind == "redis" else _amqp(broker.url) as ask:
            return timed(ask, for_s)
    except OSError as error:
        raise ServiceError(f"the broker does not answer: {error}") from error


@contextlib.contextmanager
def _redis(url: str) -> Iterator[Callable[[], object]]:
    parts = urlsplit(url)
    address = (parts.hostname or "127.0.0.1", parts.port or 6379)
    with socket.create_connection(address, TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.password:
            user, password = unquote(parts.username or "default"), unquote(parts.password)
            connection.sendall(f"AUTH {user} {password}\r\n".encode())
            connection.recv(1024)

        def ask() -> None:
            connection.sendall(b"PING\r\n")
            if not connection.recv(64).startswith(b"+PONG"):
                raise ConnectionError("it answered something else to PING")

        yield ask


@contextlib.contextmanager
def _amqp(url: str) -> Iterator[Callable[[], object]]:
    from kombu import Connection

    with Connection(url, connect_timeout=TIMEOUT_S) as connection:
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
