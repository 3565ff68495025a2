"""Services that others run: nothing is made in them but the tables, nothing is removed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncdb_bench.errors import UnsupportedError, UsageError
from asyncdb_bench.records.plan import Broker, Reach
from asyncdb_bench.records.run import ServiceInfo
from asyncdb_bench.services import broker as brokers
from asyncdb_bench.services import postgres as databases
from asyncdb_bench.services.database_statistics import Statistics
from asyncdb_bench.services.program import Part


class NoServices:
    """What a run asks of its services, where it has none: :mod:`asyncdb_bench.measure.launch`."""

    url = ""
    broker: Broker | None = None
    store: Broker | None = None
    taken_out: tuple[str, ...] = ()

    def __enter__(self) -> NoServices:
        """Start nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop nothing."""

    def refusal(self, kinds: tuple[str, ...], *, needs_store: bool = False) -> str:
        """Refuse nothing."""
        return ""

    def info(self) -> tuple[ServiceInfo, ...]:
        """Return none."""
        return ()

    def clone(self, data: Any, name: str) -> str:
        """Make no database; its URL is empty."""
        return ""

    def reached(self, url: str, reach: Reach, *, through: bool) -> str:
        """Return the URL as it is."""
        return url

    def broker_reached(self, broker: Broker | None, *, through: bool) -> Broker | None:
        """Return the broker as it is."""
        return broker

    def round_trips(self, reach: Reach, *, with_broker: bool, through: bool) -> Mapping[str, float]:
        """Measure none."""
        return {}

    def set_reach(self, reach: Reach) -> None:
        """Leave the services where they are."""

    def drop(self, url: str) -> None:
        """Drop nothing."""

    def clean(self, queue: str) -> None:
        """Remove nothing."""

    def parts(self, *, with_broker: bool) -> list[Part]:
        """Return none."""
        return []

    def sweep(self, queues: str, events: Path) -> Any:
        """Leave nothing to be removed."""
        return None

    def check(self, *, with_broker: bool) -> None:
        """See that all of none answer."""

    def recover(self) -> None:
        """Start nothing anew."""

    def can_restart(self, role: str) -> bool:
        """Return that there is nothing to restart."""
        return False

    def restart(self, role: str) -> None:
        """Restart nothing."""

    def roles(self) -> dict[str, list[int]]:
        """Return no processes."""
        return {}

    def statistics(self, url: str) -> Any:
        """Return none: the database is not known."""
        return None


TIMEOUT_S = 10.0
SEEDING = 7_203_114
"""Key of the advisory lock that is held while tables are made (PostgreSQL manual, 13.3.5)."""


class AttachedServices:
    """The services that ``DATABASE_URL`` and ``BROKER_URL`` name, used as they are."""

    def __init__(self, database_url: str, broker: Broker | None) -> None:
        self.database_url = database_url
        self.broker = broker

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.database_url

    @property
    def store(self) -> Broker | None:
        """The broker, where it is one that keeps results."""
        return self.broker if self.broker is not None and self.broker.kind == "redis" else None

    def clone(self, data: Any, name: str) -> str:
        """Seed the database where it has no tables yet, and return its URL."""
        from sqlalchemy import inspect, text

        from asyncdb_bench.contract.engine import make_engine

        engine = make_engine(self.database_url, 1, TIMEOUT_S)
        try:
            with engine.connect() as connection:
                # of several copies that start at once, one seeds it; until the connection is closed
                connection.execute(text(f"SELECT pg_advisory_lock({SEEDING})"))
                if not inspect(connection).get_table_names():
                    data.create(connection)
        finally:
            engine.dispose()
        return self.database_url

    def set_reach(self, reach: Reach) -> None:
        """Leave the services where they are."""

    def drop(self, url: str) -> None:
        """Leave the database."""

    def clean(self, queue: str) -> None:
        """Leave the queue."""

    def reached(self, url: str, reach: Reach, *, through: bool) -> str:
        """Return the database as it is: nothing is put between."""
        return url

    def broker_reached(self, broker: Broker | None, *, through: bool) -> Broker | None:
        """Return the broker as it is."""
        return broker

    def round_trips(self, reach: Reach, *, with_broker: bool, through: bool) -> dict[str, float]:
        """Nothing is measured here."""
        return {}

    def parts(self, *, with_broker: bool) -> list[Part]:
        """No process here is ours."""
        return []

    def sweep(self, queues: str, events: Path) -> None:
        """Nothing is made here that is not to stay."""

    def check(self, *, with_broker: bool) -> None:
        """Whoever runs them looks after them."""

    def recover(self) -> None:
        """Refuse: no service here is ours."""
        raise UnsupportedError("services that others run are not started anew")

    def can_restart(self, role: str) -> bool:
        """No service here is ours."""
        return False

    def restart(self, role: str) -> None:
        """Refuse: no service here is ours."""
        raise UnsupportedError(f"{role} was not started here and is not restarted")

    def roles(self) -> dict[str, list[int]]:
        """No process here is ours."""
        return {}

    def statistics(self, url: str) -> Statistics:
        """Open the statistics of the database."""
        return Statistics(url)


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
