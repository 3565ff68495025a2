"""The delay between us and the services: a proxy's process, its ports, and its delays.

On a busy machine the median of one try strays by more than a millisecond, and an adjustment that
follows the last try swings with it. What a try shows is what the way adds beside its delay; that is
the same for all delays, so every try is an observation of one number, whose median is kept. Tries
of the way without the proxy are interleaved, so that both are seen under the same conditions.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asyncdb_bench.contract.engine import connection_target
from asyncdb_bench.contract.urls import kombu_connection, url_of
from asyncdb_bench.errors import ServiceError, first_line
from asyncdb_bench.records.plan import Broker
from asyncdb_bench.services.program import Program, free_port, is_listening

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


LEAST, MOST_TRIES = 4, 24
"""Tries at least and at most."""
EXACT_MS, EXACT = 0.02, 0.01
"""How well the median must be known for no more tries to be made: milliseconds, or a share."""


class Found(NamedTuple):
    """What was found.

    Parameters
    ----------
    delay_ms : of each direction.
    rtt_ms : the round trip that it gives.
    direct_ms : the round trip without the proxy.
    uncertain_ms : by how much `rtt_ms` may be wrong: the standard error of the median.
    """

    delay_ms: float
    rtt_ms: float
    direct_ms: float
    uncertain_ms: float


def find_delay(
    rtt_ms: float,
    through: Callable[[float], float],
    direct: Callable[[], float],
    pause: Callable[[], None] = lambda: None,
) -> Found:
    """Return the delay that gives a round trip, or comes nearest to it.

    Parameters
    ----------
    rtt_ms : asked for; where the way takes longer without any delay, the delay is 0.
    through : sets a delay of each direction and returns the median round trip of a short try, both
        in milliseconds.
    direct : returns the same without the proxy.
    pause : called between tries once the first few disagree: a busy moment may pass.
    """
    added: list[float] = []
    nearest: list[float] = []
    uncertain = 0.0
    for number in range(MOST_TRIES):
        nearest.append(direct())
        delay = _delay_for(rtt_ms, added) if added else max(0.0, (rtt_ms - nearest[-1]) / 2)
        added.append(through(delay) - 2 * delay)
        uncertain = _error_of_median(added)
        if number + 1 >= LEAST and uncertain <= max(EXACT_MS, EXACT * rtt_ms):
            break
        if number + 1 >= 2 * LEAST:
            pause()
    delay = _delay_for(rtt_ms, added)
    given = statistics.median(added) + 2 * delay
    return Found(delay, given, statistics.median(nearest), uncertain)


def _delay_for(rtt_ms: float, added: list[float]) -> float:
    return max(0.0, (rtt_ms - statistics.median(added)) / 2)


def _error_of_median(values: list[float]) -> float:
    """Return the standard error of a median, by the median absolute deviation.

    1.4826 makes the deviation a normal distribution's standard deviation; a median strays by 1.25
    times as much as a mean (Huber, *Robust Statistics*, 1.2).
    """
    middle = statistics.median(values)
    spread = statistics.median(abs(each - middle) for each in values) * 1.4826
    return float(1.25 * spread / len(values) ** 0.5)


PROGRAM = Path(__file__).with_name("delay_proxy.py")
READY_S = 10.0
ANSWER_S = 2.0
"""How long the proxy may take to confirm new delays: it is at most as busy as its core."""


class Hop(NamedTuple):
    """A service that is reached through the proxy, by where it listens."""

    host: str
    target: int


class Distances:
    """The running proxy.

    Parameters
    ----------
    hops : what is reached through it.
    folder : for its settings; removed when it ends.
    logs : folder for its log.

    Raises
    ------
    ServiceError : it does not start, or not on this system.
    """

    def __init__(self, hops: Iterable[Hop], folder: Path, logs: Path) -> None:
        if sys.platform != "linux":
            raise ServiceError("a round trip can be added on Linux alone (epoll, timerfd); --rtt 0")
        self.ports = {hop: free_port() for hop in dict.fromkeys(hops)}
        self.folder = folder
        self._control = folder / "proxy"
        self._socket: socket.socket | None = None
        lanes = [
            {"port": port, "host": hop.host, "target": hop.target}
            for hop, port in self.ports.items()
        ]
        settings = folder / "lanes.json"
        settings.write_text(json.dumps({"control": str(self._control), "lanes": lanes}))
        self.program = Program(
            "the delay proxy",
            [sys.executable, "-I", "-S", str(PROGRAM), str(settings)],
            log=logs / "delay-proxy.log",
            stop_signal=signal.SIGKILL,
            grace_s=1,
            remove=[folder],
        )
        try:
            ports = self.ports.values()
            self.program.wait_ready(lambda: all(is_listening(each) for each in ports), READY_S)
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.bind(str(folder / "harness"))
            self._socket.settimeout(ANSWER_S)
            self._socket.connect(str(self._control))
        except OSError as error:
            self.stop()
            raise ServiceError(f"the delay proxy cannot be told its delays: {error}") from error

    def set_delays(self, delays_ms: Mapping[Hop, float]) -> None:
        """Set the delay of each direction; connections that are open have it from now on.

        Parameters
        ----------
        delays_ms : milliseconds; what is not named keeps its delay.

        Raises
        ------
        ServiceError : the proxy does not answer.
        """
        assert self._socket is not None
        given = {self.ports[hop]: round(each * 1e6) for hop, each in delays_ms.items()}
        try:
            self._socket.send(json.dumps(given).encode())
            self._socket.recv(16)
        except OSError as error:
            raise ServiceError(f"the delay proxy does not take a new delay: {error}") from error

    def stop(self) -> None:
        """End it."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self.program.stop()
