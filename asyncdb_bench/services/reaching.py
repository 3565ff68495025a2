"""What lies between us and the services: a delay, a pooler; started, watched, stopped."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from asyncdb_bench.contract.engine import POOLED
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.plan.cores import on_cores
from asyncdb_bench.records.plan import Broker, Reach
from asyncdb_bench.records.run import ServiceInfo
from asyncdb_bench.services.broker import DEFAULT_PORTS
from asyncdb_bench.services.distances import Distances, Hop
from asyncdb_bench.services.part import Part
from asyncdb_bench.services.pooler import Pooler
from asyncdb_bench.services.postgres import Postgres, scratch_folder
from asyncdb_bench.services.program import program_version
from asyncdb_bench.services.round_trip import broker_round_trips, database_round_trips, median_ms

LOOK_S = 0.05
"""For how long a round trip is looked at in a trial."""


@dataclass(frozen=True, slots=True)
class Between:
    """What lies between services and those who reach them.

    Parameters
    ----------
    reaches : the different ways.
    pooled : connections that a pooler holds for each database.
    near : cores of the application, from which round trips are measured; empty: any.
    """

    reaches: tuple[Reach, ...] = ()
    pooled: int = 8
    near: tuple[int, ...] = ()

    @property
    def needed(self) -> bool:
        """Whether anything does."""
        return any(each != Reach() for each in self.reaches)


NOTHING_BETWEEN = Between()


class Reaching:
    """The running delay and pooler of some ways to reach the services.

    Parameters
    ----------
    between : the ways.
    postgres, brokers : the servers, as they are.
    logs : folder for logs.

    Raises
    ------
    ServiceError : what lies between could not be started, or is not as exact as it must be.
    """

    def __init__(
        self, between: Between, postgres: Postgres, brokers: Sequence[Broker], logs: Path
    ) -> None:
        self.postgres = postgres
        self.near = between.near
        reaches = between.reaches
        self.pooler: Pooler | None = None
        self.distances: Distances | None = None
        self.found_ms: dict[float, float] = {}
        self.direct_ms = 0.0
        with contextlib.ExitStack() as stack:
            stack.callback(self.stop)
            if any(each.via == "pgbouncer" for each in reaches):
                self._start_pooler(between.pooled, logs)
            hops = self._hops(reaches, brokers)
            if hops:
                with handed_over("delay") as folder:
                    self.distances = Distances(hops, folder, logs)
                self._adjust()
            stack.pop_all()

    def database(self, url: str, reach: Reach) -> str:
        """Return the URL by which a database is reached."""
        parts = urlsplit(url)
        query = [parts.query] if parts.query else []
        host, port = parts.hostname or "127.0.0.1", parts.port or 5432
        if reach.via == "pgbouncer":
            assert self.pooler is not None
            host, port = "127.0.0.1", self.pooler.port
            query.append(f"{POOLED}=transaction")
        if reach.tls:
            query.append("sslmode=require")
        if reach.rtt_ms:
            host, port = self._through(Hop(host, port, reach.rtt_ms))
        return _elsewhere(url, host, port, "&".join(query))

    def broker(self, broker: Broker, reach: Reach) -> Broker:
        """Return a broker as it is reached."""
        if not reach.broker_rtt_ms:
            return broker
        host, port = self._through(broker_hop(broker, reach.broker_rtt_ms))
        return Broker(broker.kind, _elsewhere(broker.url, host, port))

    def measured(self, reach: Reach, broker: Broker | None) -> dict[str, float]:
        """Return medians of round trips as they are now, milliseconds; a silent service has none.

        Databases of trials are left alone: what is asked of them is counted.

        Parameters
        ----------
        reach : how the services are reached.
        broker : to be looked at, too; None: there is none.
        """
        found: dict[str, float] = {}
        with on_cores(self.near):
            with contextlib.suppress(ServiceError):
                samples = database_round_trips(self.database(self.postgres.url, reach), LOOK_S)
                found["database"] = median_ms(samples)
            if broker is not None:
                with contextlib.suppress(ServiceError):
                    samples = broker_round_trips(self.broker(broker, reach), LOOK_S)
                    found["broker"] = median_ms(samples)
        return found

    def parts(self) -> list[Part]:
        """Return what was started as parts whose life is watched."""
        return [each.part() for each in (self.distances, self.pooler) if each is not None]

    def roles(self) -> dict[str, list[int]]:
        """Return the process ids of what was started, by role."""
        return {
            role: [each.program.popen.pid]
            for role, each in (("delay", self.distances), ("pooler", self.pooler))
            if each is not None
        }

    def info(self) -> tuple[ServiceInfo, ...]:
        """Return what was started, for the manifest."""
        found = []
        if self.distances is not None:
            settings = {"database as it is": f"{self.direct_ms:.3f} ms"}
            settings |= {f"{rtt:g} ms": f"{ms:.3f} ms" for rtt, ms in self.found_ms.items()}
            found.append(ServiceInfo("delay", "proxy", "1", "delay_proxy.py", settings))
        if self.pooler is not None:
            version = program_version(self.pooler.path)
            settings = {"pool_mode": "transaction", "default_pool_size": str(self.pooler.size)}
            found.append(
                ServiceInfo("pooler", "pgbouncer", version, str(self.pooler.path), settings)
            )
        return tuple(found)

    def stop(self) -> None:
        """End what was started."""
        for each in (self.distances, self.pooler):
            if each is not None:
                each.stop()
        self.distances = self.pooler = None

    def _start_pooler(self, pooled: int, logs: Path) -> None:
        with handed_over("pooler") as folder:
            tls = self.postgres.certificate
            self.pooler = Pooler(self.postgres.url, pooled, folder, logs, tls)

    def _database_hop(self, rtt_ms: float) -> Hop:
        parts = urlsplit(self.postgres.url)
        return Hop(parts.hostname or "127.0.0.1", parts.port or 5432, rtt_ms)

    def _hops(self, reaches: Sequence[Reach], brokers: Sequence[Broker]) -> list[Hop]:
        """Return what is reached over a round trip, the database itself at each of them first."""
        far = {each.rtt_ms for each in reaches} | {
            each.broker_rtt_ms for each in reaches if brokers
        }
        found = [self._database_hop(rtt_ms) for rtt_ms in sorted(far) if rtt_ms]
        for each in reaches:
            if each.rtt_ms and each.via == "pgbouncer":
                assert self.pooler is not None
                found.append(Hop("127.0.0.1", self.pooler.port, each.rtt_ms))
            if each.broker_rtt_ms:
                found += [broker_hop(broker, each.broker_rtt_ms) for broker in brokers]
        return list(dict.fromkeys(found))

    def _adjust(self) -> None:
        """Bring each round trip to what was asked for, as a client beside the application sees it.

        A broker's is held back as long as the database's: what its clients spend themselves is not
        taken for distance.
        """
        assert self.distances is not None
        with on_cores(self.near):
            self.direct_ms = median_ms(database_round_trips(self.postgres.url))
            for rtt_ms in self.distances.delays_ns:
                _, port = self._through(self._database_hop(rtt_ms))
                url = _elsewhere(self.postgres.url, "127.0.0.1", port)
                ask = partial(database_round_trips, url)
                self.found_ms[rtt_ms] = self.distances.adjust(rtt_ms, ask, self.direct_ms)

    def _through(self, hop: Hop) -> tuple[str, int]:
        assert self.distances is not None
        return "127.0.0.1", self.distances.port(hop)


@contextlib.contextmanager
def handed_over(kind: str) -> Iterator[Path]:
    """Make a folder for a service whose guard removes it; where that does not start, we do."""
    folder = scratch_folder(kind)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def broker_hop(broker: Broker, rtt_ms: float) -> Hop:
    """Return a broker as it is reached over a round trip."""
    parts = urlsplit(broker.url)
    return Hop(parts.hostname or "127.0.0.1", parts.port or DEFAULT_PORTS[broker.kind], rtt_ms)


def _elsewhere(url: str, host: str, port: int, query: str | None = None) -> str:
    parts = urlsplit(url)
    account, at, _ = parts.netloc.rpartition("@")
    shown = f"[{host}]" if ":" in host else host
    found = parts._replace(netloc=f"{account}{at}{shown}:{port}")
    return urlunsplit(found if query is None else found._replace(query=query))
