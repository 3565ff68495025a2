"""Removes what a run that was killed left on servers that are not ours.

``python -m asyncdb_bench.services.sweep`` reads a :class:`Sweep` in JSON from standard input.
Regularly a run removes its databases and queues itself.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import msgspec

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.records.plan import Broker
from asyncdb_bench.services.broker import BrokerServer
from asyncdb_bench.services.postgres import Postgres

LAUNCH = "launch"


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """What to remove.

    Parameters
    ----------
    database_url, prefix : all databases of that server whose names begin so; empty: none.
    brokers : servers that the queues are on.
    queues : start of the queues' names.
    events : the run's log, which says which trials were launched: their ids end those names.
    """

    database_url: str
    prefix: str
    brokers: tuple[Broker, ...]
    queues: str
    events: str


def sweep(order: Sweep) -> None:
    """Remove what there is; a server that does not answer is left."""
    if order.database_url:
        with contextlib.suppress(ServiceError):
            Postgres(order.database_url, order.prefix, "DATABASE_URL").drop_all()
    for broker in order.brokers:
        for trial in launched_trials(Path(order.events)):
            BrokerServer(broker, "BROKER_URL").clean(f"{order.queues}{trial}")


def launched_trials(events: Path) -> list[str]:
    """Return the trials that a run's log of events names as launched."""
    lines = events.read_text(errors="replace").splitlines() if events.is_file() else []
    words = [line.split() for line in lines]
    return [each[2] for each in words if len(each) > 2 and each[1] == LAUNCH]


if __name__ == "__main__":
    sweep(msgspec.json.decode(sys.stdin.buffer.read(), type=Sweep))
