"""The task queue's depth at the broker, counted from outside while a step runs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from asyncdb_bench.contract.broker_url import kombu_connection
from asyncdb_bench.records.plan import Broker

EVERY_S = 0.02
AWAY_S = 0.2
"""Between two attempts to reach a broker that is gone."""

Reading = tuple[int, int]
"""Microseconds on CLOCK_MONOTONIC, and tasks ready in the broker."""


class DepthWatch:
    """Counts the ready tasks of one queue every 20 ms, in a thread and on a connection of its own.

    By a passive declaration over AMQP, which counts what no worker has been handed yet, and by
    LLEN on Redis, which means the same. A broker that is away leaves a gap.

    Parameters
    ----------
    broker, queue : where.

    Attributes
    ----------
    paused : while it is set, nothing is counted.
    """

    def __init__(self, broker: Broker, queue: str) -> None:
        self.broker = broker
        self.queue = queue
        self._readings: list[Reading] = []
        self._lost = ""
        self._stop = threading.Event()
        self.paused = False
        self._thread = threading.Thread(target=self._watch, name="depth", daemon=True)

    def __enter__(self) -> DepthWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def take(self) -> list[Reading]:
        """Return the readings since the last call."""
        count = len(self._readings)
        taken = self._readings[:count]
        del self._readings[:count]
        return taken

    def lost(self) -> str:
        """Return how the broker broke the connection since the last call; empty: it did not."""
        lost, self._lost = self._lost, ""
        return lost

    def _watch(self) -> None:
        counted = False
        while not self._stop.is_set():
            # whatever a broker that goes away makes of its clients, the next attempt tells
            try:
                with self._connected() as count:
                    while not self._stop.wait(EVERY_S):
                        if self.paused:
                            continue
                        self._readings.append((time.monotonic_ns() // 1000, count()))
                        counted = True
            except Exception as error:
                # until a worker has declared the queue, to count it is refused
                if counted and not self._stop.is_set():
                    reason = str(error).strip() or type(error).__name__
                    self._lost = f"the broker broke the connection that watched it: {reason[:200]}"
            self._stop.wait(AWAY_S)

    def _connected(self) -> contextlib.AbstractContextManager[Callable[[], int]]:
        return self._redis() if self.broker.kind == "redis" else self._amqp()

    @contextlib.contextmanager
    def _redis(self) -> Iterator[Callable[[], int]]:
        import redis

        # Celery's global_keyprefix, see taskqueue.app.transport_options
        key = f"{self.queue}:{self.queue}"
        with redis.Redis.from_url(
            self.broker.url, socket_timeout=1, socket_connect_timeout=1
        ) as client:
            yield lambda: int(client.llen(key))

    @contextlib.contextmanager
    def _amqp(self) -> Iterator[Callable[[], int]]:
        with kombu_connection(
            self.broker,
            connect_timeout=1,
            transport_options={"read_timeout": 1, "write_timeout": 1},
        ) as connection:
            channel: Any = connection.channel()

            def count() -> int:
                found = channel.queue_declare(self.queue, passive=True)
                return int(found.message_count)

            yield count
