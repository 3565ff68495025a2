"""What a run reads of its services while it measures: the database's counts, the queue's depth."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from asyncdb_bench.contract.urls import kombu_connection
from asyncdb_bench.errors import ServiceError, first_line
from asyncdb_bench.records.plan import Broker
from asyncdb_bench.records.step import Work

CONNECTIONS = (
    "SELECT /* asyncdb-bench monitor */ count(*), count(*) FILTER (WHERE state = 'active')"
    " FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)
LOOK_UPS = r"typeinfo_tree|^\s*SELECT\s+current_setting\(\S+\) AS cur,\s+set_config\("
"""What asyncpg asks by itself, once for each connection and type that it does not know (an enum, a
domain, an array of them), with the JIT compiler off meanwhile: no work of an operation's."""
STATEMENTS = (
    "SELECT /* asyncdb-bench monitor */"
    " coalesce(sum(calls) FILTER (WHERE query ~* '^(commit|end)\\M'), 0)::bigint,"
    # nor are the rows a request's that SQLAlchemy and psycopg ask for on the first connection of an
    # engine, which may be made within a window
    " coalesce(sum(rows) FILTER (WHERE query !~* '^(begin|commit|end|rollback|show)\\M"
    "|^select (pg_catalog\\.version|current_schema)\\(\\)$|to_regtype|{look-ups}'), 0)::bigint"
    " FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid"
    " WHERE d.datname = current_database() AND position('asyncdb-bench monitor' IN query) = 0"
).replace("{look-ups}", LOOK_UPS)
MORE = (
    "SELECT /* asyncdb-bench monitor */"
    " coalesce(sum(s.total_exec_time) FILTER (WHERE s.query !~*"
    " '^(begin|commit|end|rollback|show)\\M'), 0) / 1000, max(b.sessions)"
    " FROM pg_stat_database AS b LEFT JOIN pg_stat_statements AS s ON s.dbid = b.datid"
    " AND position('asyncdb-bench monitor' IN s.query) = 0"
    " WHERE b.datname = current_database()"
)
"""Seconds that statements took, and sessions begun (since PostgreSQL 14)."""
TRANSACTIONS = (
    "SELECT /* asyncdb-bench monitor */ xact_commit FROM pg_stat_database"
    " WHERE datname = current_database()"
)
LIFE = (
    "SELECT /* asyncdb-bench monitor */ extract(epoch FROM pg_postmaster_start_time())::bigint,"
    " sessions_fatal + sessions_killed FROM pg_stat_database WHERE datname = current_database()"
)
END_OTHERS = (
    "SELECT /* asyncdb-bench monitor */ count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend' AND usename = current_user AND state = 'idle'"
)
BACKENDS = (
    "SELECT /* asyncdb-bench monitor */ count(*) FROM pg_stat_activity"
    " WHERE datname = current_database()"
)
FLUSH_S, LEAVE_S = 3.0, 0.5
"""How long other backends may take to end, and from when on idle ones are told to."""


class Statistics:
    """The statistics of one database.

    Parameters
    ----------
    url : of the database, ``postgresql://…``.

    Raises
    ------
    psycopg.Error : it cannot be connected to, or its activity may not be read.
    """

    def __init__(self, url: str) -> None:
        import psycopg

        self._connection = psycopg.connect(
            url, connect_timeout=5, application_name="asyncdb-bench monitor"
        )
        self._error = psycopg.Error
        self._gone = psycopg.OperationalError
        self.connections()
        self.has_statements = self._answers(STATEMENTS)
        self.tells_more = self.has_statements and self._answers(MORE)
        self.tells_life = self._answers(LIFE)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def connections(self) -> tuple[int, int]:
        """Return how many connections others have open, and how many of them are active."""
        total, active = self._row(CONNECTIONS)
        return int(total), int(active)

    def work(self, *, more: bool = False) -> Work | None:
        """Return what statements have done by ``pg_stat_statements``; None where it is not there.

        It counts at the end of each statement. ``pg_stat_database`` does not: a backend reports to
        it once a second, or when it ends.

        Parameters
        ----------
        more : also the seconds that they took, and the sessions; 0 where they are not told.
        """
        if not self.has_statements:
            return None
        commits, rows = self._row(STATEMENTS)
        seconds, sessions = self._row(MORE) if more and self.tells_more else (0, 0)
        return Work(int(commits), int(rows), float(seconds), int(sessions))

    def life(self) -> tuple[int, int] | None:
        """Return when the server started (Unix time), and how many sessions it has ended itself.

        Sessions of this database that ended by a fatal error or by an operator's command; None
        where the server does not tell (before PostgreSQL 14).
        """
        if not self.tells_life:
            return None
        started, ended = self._row(LIFE)
        return int(started), int(ended)

    def has_autovacuum(self) -> bool:
        """Return whether the server visits its databases by itself: its transactions count, too."""
        return bool(self._row("SHOW autovacuum")[0] == "on")

    def transactions(self, *, wait: bool) -> int:
        """Return all transactions that were committed and reported.

        Parameters
        ----------
        wait : until the other backends have ended, for some seconds at most; those that a pooler
            keeps are ended: else they would report their last transactions later.
        """
        began = time.monotonic()
        while wait and self._row(BACKENDS)[0] > 1 and time.monotonic() < began + FLUSH_S:
            if time.monotonic() > began + LEAVE_S:
                self._row(END_OTHERS)
            time.sleep(0.05)
        return int(self._row(TRANSACTIONS)[0])

    def _answers(self, query: str) -> bool:
        try:
            self._row(query)
        except self._error:
            return False
        return True

    def _row(self, query: str) -> Any:
        try:
            return self._connection.execute(query).fetchone()
        except self._gone as error:
            if self._connection.broken:
                raise ServiceError(
                    f"the database closed the connection that watched it: {first_line(error)}"
                ) from error
            raise
        finally:
            with contextlib.suppress(self._error):
                self._connection.rollback()


EVERY_S = 0.02
AWAY_S = 0.2
"""Between two attempts to reach a broker that is gone."""

Reading = tuple[int, int]
"""Microseconds on CLOCK_MONOTONIC, and tasks ready in the broker."""


class DepthWatch:
    """Counts the ready tasks of one queue every 20 ms, in a thread and on a connection of its own.

    By a passive declaration over AMQP, which counts what no worker has been handed yet, and by
    the strategy's own command on Redis, LLEN for Celery, which means the same. A broker that is
    away leaves a gap.

    Parameters
    ----------
    broker, queue : where.
    waits_in : the Redis command that counts them, see :attr:`Variant.waits_in`.

    Attributes
    ----------
    paused : while it is set, nothing is counted.
    """

    def __init__(self, broker: Broker, queue: str, waits_in: str) -> None:
        self.broker = broker
        self.queue = queue
        self.waits_in = waits_in.format(queue=queue).split()
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

        with redis.Redis.from_url(
            self.broker.url, socket_timeout=1, socket_connect_timeout=1
        ) as client:
            yield lambda: int(client.execute_command(*self.waits_in))

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
