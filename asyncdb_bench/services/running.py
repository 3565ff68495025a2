"""The services of one run: chosen, started, handed to the trials, stopped."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from asyncdb_bench.contract.scenario import Data
from asyncdb_bench.errors import ServiceError, UsageError
from asyncdb_bench.plan.other_checkout import own_environment
from asyncdb_bench.records.plan import Broker, Reach, Variant
from asyncdb_bench.records.run import ServiceInfo
from asyncdb_bench.services import broker as brokers
from asyncdb_bench.services import postgres as databases
from asyncdb_bench.services.program import Part
from asyncdb_bench.services.reaching import (
    NOTHING_BETWEEN,
    NOTHING_KNOWN,
    Between,
    Reaching,
    handed_over,
)
from asyncdb_bench.services.sweep import Sweep

BACK_S = 30.0
"""How long a service of others may be away."""
AGAIN_S = 0.3
SEEDING_S = 10.0
SEEDING = 7_203_114
"""Key of the advisory lock that is held while tables are made (PostgreSQL manual, 13.3.5)."""


def needs_broker(variants: Iterable[Variant]) -> bool:
    """Return whether a broker is needed beside a Redis for results: whatever there is first."""
    return any(each.brokers and not each.one_redis for each in variants)


class Services:
    """What a launch asks of its services; of this class itself: of a run that has none.

    A context manager: entering starts them, leaving stops them.
    """

    url = ""
    broker: Broker | None = None
    store: Broker | None = None
    """The Redis for results, where one is needed."""
    taken_out: tuple[str, ...] = ()
    """Variables of the environment that are not passed on to processes of ours."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop those that were started."""

    def refusal(self, kinds: tuple[str, ...], *, needs_store: bool = False) -> str:
        """Return why a strategy that works over these kinds of broker cannot run, or nothing."""
        return ""

    def broker_for(self, kinds: tuple[str, ...]) -> Broker | None:
        """Return the broker that a strategy works over: the run's, else the Redis for results."""
        for each in (self.broker, self.store):
            if each is not None and each.kind in kinds:
                return each
        return None

    def info(self) -> tuple[ServiceInfo, ...]:
        """Return what the services are, for the manifest."""
        return ()

    def clone(self, data: Data, name: str) -> str:
        """Make a database with these tables and rows, and return its URL."""
        return ""

    def drop(self, url: str) -> None:
        """Drop a database of ours."""

    def clean(self, queue: str) -> None:
        """Remove a trial's queues."""

    def set_reach(self, reach: Reach) -> None:
        """Set how far away the services are, for connections that are open, too."""

    def reached(self, url: str, reach: Reach, *, through: bool) -> str:
        """Return the URL by which application and workers reach a database.

        Parameters
        ----------
        url : the database's own.
        reach : how they reach it.
        through : whether by way of the delay proxy.
        """
        return url

    def broker_reached(self, broker: Broker | None, *, through: bool) -> Broker | None:
        """Return the broker as they reach it."""
        return broker

    def round_trips(self, reach: Reach, *, with_broker: bool, through: bool) -> dict[str, float]:
        """Measure the round trips, milliseconds, by what they lead to."""
        return {}

    def parts(self, *, with_broker: bool) -> list[Part]:
        """Return the services that are ours, as parts whose life is watched.

        Parameters
        ----------
        with_broker : whether the broker and the store for results count.
        """
        return []

    def roles(self) -> dict[str, list[int]]:
        """Return the process ids of the services that are ours, by role."""
        return {}

    def restarts(self) -> dict[str, Callable[[], None]]:
        """Return, by role, what kills a service that is ours, which then starts with its data."""
        return {}

    def sweep(self, queues: str, events: Path) -> Sweep | None:
        """Return what must be removed from servers of others if this process is killed.

        Parameters
        ----------
        queues : start of the names of all queues.
        events : the run's log of what was launched.
        """
        return None

    def check(self, *, with_broker: bool) -> None:
        """See that all that this run started or was given answer.

        Raises
        ------
        ServiceError : one does not.
        """

    def recover(self) -> None:
        """Start services of ours anew that are not as they were, and wait for those of others.

        Raises
        ------
        ServiceError : one does not come back.
        """


class AttachedServices(Services):
    """Services that others run: nothing is made in them but the tables, nothing is removed."""

    def __init__(self, url: str, broker: Broker | None) -> None:
        self.url = url
        self.broker = broker
        self.store = broker if broker is not None and broker.kind == "redis" else None

    def clone(self, data: Data, name: str) -> str:
        """Seed the database where it has no tables yet, and return its URL."""
        from sqlalchemy import inspect, text

        from asyncdb_bench.contract.engine import make_engine

        engine = make_engine(self.url, 1, SEEDING_S)
        try:
            with engine.connect() as connection:
                # of several copies that start at once, one seeds it; until the connection is closed
                connection.execute(text(f"SELECT pg_advisory_lock({SEEDING})"))
                if not inspect(connection).get_table_names():
                    data.create(connection)
        finally:
            engine.dispose()
        return self.url


def attached_services(*, with_broker: bool) -> AttachedServices:
    """Use the services that ``DATABASE_URL`` and ``BROKER_URL`` name.

    Raises
    ------
    UsageError : a URL that is needed is not set.
    ServiceError : one does not answer.
    """
    database, broker = os.environ.get("DATABASE_URL", ""), os.environ.get("BROKER_URL", "")
    if not database or (with_broker and not broker):
        raise UsageError("--attached needs DATABASE_URL, and BROKER_URL where there are workers")
    server = databases.check_reachable(database)
    return AttachedServices(server.url, brokers.use_url(broker).broker if with_broker else None)


class RunningServices(Services):
    """PostgreSQL, and a broker where one is needed.

    Parameters
    ----------
    logs : folder for the services' logs.
    prefix : start of every name of a database of ours.
    with_broker : whether a broker is needed.
    with_store : whether a Redis is needed for results.
    on_start : told what is being started, for the display.
    environment : read for ``DATABASE_URL`` and ``BROKER_URL``: what they name is used, or nothing.
    between : what lies between them and who reaches them.
    """

    def __init__(
        self,
        logs: Path,
        prefix: str,
        *,
        with_broker: bool,
        with_store: bool = False,
        on_start: Callable[[str], None] = lambda _: None,
        environment: Mapping[str, str] | None = None,
        between: Between = NOTHING_BETWEEN,
    ) -> None:
        self.between = between
        self.reaching: Reaching | None = None
        self._known = NOTHING_KNOWN
        self.logs = logs
        self.prefix = prefix
        self.with_broker = with_broker
        self.with_store = with_store
        self.on_start = on_start
        self.environment = environment if environment is not None else os.environ
        self._postgres: databases.Postgres | None = None
        self.broker_server: brokers.BrokerServer | None = None
        self.store_server: brokers.BrokerServer | None = None
        self.broker_problem = ""
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.on_start("PostgreSQL")
        with contextlib.ExitStack() as stack:
            url = self.environment.get("DATABASE_URL", "")
            # before the environment is ours: a password may stand in it
            given = databases.use_url(url, self.prefix) if url else None
            self.taken_out = stack.enter_context(own_environment())
            # what runs when it is left, since a service may be started anew
            stack.callback(self._stop)
            self._postgres = given or self._start_postgres()
            self._try_brokers()
            self._start_reaching()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_reaching(self) -> None:
        if self.between.needed:
            self.on_start("what lies between")
        servers = [each for each in (self.broker, self.store) if each is not None]
        self.reaching = Reaching(self.between, self.postgres, servers, self.logs, self._known)
        self._known = self.reaching.found

    def set_reach(self, reach: Reach) -> None:
        """Set the delays of a way to reach the services."""
        assert self.reaching is not None
        self.reaching.set_reach(reach)

    def reached(self, url: str, reach: Reach, *, through: bool) -> str:
        """Return the URL of a database, through what lies between."""
        assert self.reaching is not None
        return self.reaching.database(url, reach, through=through)

    def broker_reached(self, broker: Broker | None, *, through: bool) -> Broker | None:
        """Return the broker, through what lies between."""
        assert self.reaching is not None
        return self.reaching.broker(broker, through=through) if broker is not None else None

    def round_trips(self, reach: Reach, *, with_broker: bool, through: bool) -> dict[str, float]:
        """Measure the round trips, milliseconds, by what they lead to."""
        assert self.reaching is not None
        broker = self.broker if with_broker else None
        return self.reaching.measured(reach, broker, through=through)

    def _stop(self) -> None:
        self._stop_reaching()
        self._stop_brokers()
        if self._postgres is not None:
            self._postgres.stop()

    def _stop_reaching(self) -> None:
        if self.reaching is not None:
            self.reaching.stop()
            self.reaching = None

    def _stop_brokers(self) -> None:
        for server in reversed(self._brokers()):
            server.stop()
        self.store_server = self.broker_server = None

    def _brokers(self) -> list[brokers.BrokerServer]:
        return [each for each in (self.broker_server, self.store_server) if each is not None]

    @property
    def postgres(self) -> databases.Postgres:
        """The database server."""
        assert self._postgres is not None
        return self._postgres

    @property
    def url(self) -> str:  # type: ignore[override]
        """The database server's URL."""
        return self.postgres.url

    def check(self, *, with_broker: bool) -> None:
        """See that all answer."""
        self.postgres.check()
        for server in self._brokers() if with_broker else ():
            server.check()

    def recover(self) -> None:
        """Start services of ours anew that are not as they were, and wait for those of others.

        Whatever they held is gone: databases are seeded afresh.

        Raises
        ------
        ServiceError : one does not come back.
        """
        self._stop_reaching()
        self._recover_servers()
        self._start_reaching()

    def _recover_servers(self) -> None:
        if self.postgres.program is not None:
            self.postgres.stop()
            self.on_start("PostgreSQL, again")
            self._postgres = self._start_postgres()
        else:
            _wait_until_back(self.postgres.check)
            self.postgres.forget_templates()
        for server in self._brokers():
            if server.program is None:
                _wait_until_back(server.check)
            elif not server.answers:
                self._stop_brokers()
                self._try_brokers()
                if not self._brokers():
                    raise ServiceError(self.broker_problem)
                return

    def sweep(self, queues: str, events: Path) -> Sweep | None:
        """Return what is on servers of others."""
        foreign = tuple(each.broker for each in self._brokers() if each.program is None)
        url = self.postgres.url if self.postgres.program is None else ""
        if not url and not foreign:
            return None
        return Sweep(
            database_url=url,
            prefix=self.prefix,
            brokers=foreign,
            queues=queues,
            events=str(events),
        )

    def parts(self, *, with_broker: bool) -> list[Part]:
        """Return what this run started, as parts whose life is watched."""
        brokers_run = self._brokers() if with_broker else []
        programs = [self.postgres.program, *(each.program for each in brokers_run)]
        between = self.reaching.parts() if self.reaching is not None else []
        return [*(each.part() for each in programs if each is not None), *between]

    def _start_postgres(self) -> databases.Postgres:
        tls = any(each.tls for each in self.between.reaches)
        with handed_over("postgres") as folder:
            return databases.start_embedded(folder, self.logs, self.prefix, tls=tls)

    def _try_brokers(self) -> None:
        """Start what is needed; where none can be had the run goes on without those who need it.

        Raises
        ------
        ServiceError : the one that was named cannot be used.
        """
        try:
            # a Redis that is named is both
            if self.with_broker or (self.with_store and self.environment.get("BROKER_URL", "")):
                self.broker_server = self._start_broker()
            if self.with_store and self.store is None:
                self.on_start("Valkey, for results")
                with handed_over("store") as folder:
                    self.store_server = brokers.start_valkey(folder, self.logs, "results")
        except ServiceError as error:
            if self.environment.get("BROKER_URL", ""):
                raise
            self.broker_problem = str(error)

    def _start_broker(self) -> brokers.BrokerServer:
        url = self.environment.get("BROKER_URL", "")
        if url:
            return brokers.use_url(url)
        rabbitmq = brokers.find_rabbitmq()
        if rabbitmq is not None:
            self.on_start("RabbitMQ (takes 7 to 15 s)")
            with handed_over("rabbitmq") as folder:
                return brokers.start_rabbitmq(rabbitmq, folder, self.logs)
        self.on_start("Valkey")
        with handed_over("valkey") as folder:
            return brokers.start_valkey(folder, self.logs)

    @property
    def broker(self) -> Broker | None:  # type: ignore[override]
        """The broker, where one runs."""
        return self.broker_server.broker if self.broker_server else None

    @property
    def store(self) -> Broker | None:  # type: ignore[override]
        """The Redis for results: the broker where it is one, else one beside it."""
        if self.broker is not None and self.broker.kind == "redis":
            return self.broker
        return self.store_server.broker if self.store_server else None

    def refusal(self, kinds: tuple[str, ...], *, needs_store: bool = False) -> str:
        """Return why a strategy that works over these kinds of broker cannot run, or nothing."""
        if not kinds:
            return ""
        if self.broker is None and self.store is None:
            return f"no broker: {self.broker_problem}"
        if needs_store and self.store is None:
            return "no Redis for its results"
        if self.broker is not None and self.broker_for(kinds) is None:
            wanted = " or ".join({"rabbitmq": "RabbitMQ", "redis": "Redis"}[each] for each in kinds)
            return (
                f"it needs {wanted} and the broker is {self.broker.kind};"
                " install rabbitmq-server or set BROKER_URL=amqp://…"
            )
        return ""

    def clone(self, data: Data, name: str) -> str:
        """Make a fresh database from the seeded template and return its URL."""
        return self.postgres.clone(data, name)

    def drop(self, url: str) -> None:
        """Drop a database of ours."""
        self.postgres.drop(url)

    def clean(self, queue: str) -> None:
        """Remove a trial's queues from a broker that outlives the run."""
        for server in self._brokers():
            server.clean(queue)

    def restarts(self) -> dict[str, Callable[[], None]]:
        """Return, by role, what kills by SIGKILL; the guard starts it again at once."""
        programs = {
            "postgresql": self.postgres.program,
            "broker": next((each.program for each in self._brokers()), None),
        }
        return {role: each.restart for role, each in programs.items() if each is not None}

    def roles(self) -> dict[str, list[int]]:
        """Return the process ids of what this run started, by role."""
        programs = {
            "postgresql": [self.postgres.program],
            "broker": [each.program for each in self._brokers()],
        }
        pids = {
            role: [each.popen.pid for each in run if each is not None]
            for role, run in programs.items()
        }
        if self.reaching is not None:
            pids |= self.reaching.roles()
        return {role: found for role, found in pids.items() if found}

    def info(self) -> tuple[ServiceInfo, ...]:
        """Return what the services are, for the manifest."""
        broker = (self.broker_server.info(),) if self.broker_server else ()
        store = (replace(self.store_server.info(), name="results"),) if self.store_server else ()
        between = self.reaching.info() if self.reaching is not None else ()
        return (self.postgres.info(), *broker, *store, *between)


def _wait_until_back(check: Callable[[], object]) -> None:
    """Wait for a service of others to answer again.

    Raises
    ------
    ServiceError : it does not within :data:`BACK_S`.
    """
    deadline = time.monotonic() + BACK_S
    while True:
        try:
            check()
        except ServiceError:
            if time.monotonic() > deadline:
                raise
            time.sleep(AGAIN_S)
        else:
            return
