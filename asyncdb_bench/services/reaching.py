"""What lies between us and the services: a delay, a pooler; started, watched, stopped."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

from asyncdb_bench.contract.engine import POOLED, Target, connection_target
from asyncdb_bench.contract.urls import (
    FILES,
    broker_place,
    changed,
    is_encrypted,
    is_socket,
    place_of,
)
from asyncdb_bench.errors import ServiceError, UsageError
from asyncdb_bench.plan.cores import on_cores
from asyncdb_bench.records.plan import Broker, Reach
from asyncdb_bench.records.run import ServiceInfo
from asyncdb_bench.services.distances import (
    Distances,
    Found,
    Hop,
    asking,
    broker_round_trips,
    database_round_trips,
    find_delay,
    median_ms,
    timed,
)
from asyncdb_bench.services.postgres import Postgres
from asyncdb_bench.services.program import (
    Part,
    Program,
    free_port,
    hand_to,
    is_listening,
    program_version,
    unprivileged,
    write_private,
)

MISSING = "PgBouncer is not installed; apt-get install pgbouncer"
SETTINGS = """
[databases]
* = host={host} port={port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 2000
{encrypted}
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
stats_period = 3600
{tls}
"""
TLS = """client_tls_sslmode = allow
client_tls_cert_file = {certificate}
client_tls_key_file = {key}
"""


def find_pooler() -> Path | None:
    """Return the `pgbouncer` program."""
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


class Pooler:
    """A running PgBouncer.

    Parameters
    ----------
    url : of the server behind it, whose account it uses.
    size : connections that it holds for each database.
    folder : for its settings; removed when it ends.
    logs : folder for its log.
    tls : certificate and key; None: no client encrypts.

    Attributes
    ----------
    password : by which that account connects to it.

    Raises
    ------
    ServiceError : it is not installed, or does not start.
    """

    def __init__(
        self, url: str, size: int, folder: Path, logs: Path, tls: tuple[Path, Path] | None = None
    ) -> None:
        program = find_pooler()
        if program is None:
            raise ServiceError(MISSING)
        server = connection_target(url)
        host, port = place_of(url)
        self.port, self.path, self.size = free_port(), program, size
        users, settings = folder / "users.txt", folder / "pgbouncer.ini"
        name = server.place.get("user", "")
        # a server that asks for none leaves the pooler's own clients without one
        self.password = password = server.place.get("password", "") or secrets.token_urlsafe(24)
        # it refuses to run as root
        identity = unprivileged()
        hand_to(identity, folder)
        write_private(users, f"{_quoted(name)} {_quoted(password)}\n", identity)
        write_private(
            settings,
            SETTINGS.format(
                host=host,
                port=port,
                encrypted=_encryption(server),
                listen=self.port,
                users=users,
                size=size,
                tls=TLS.format(certificate=tls[0], key=tls[1]) if tls else "",
            ),
            identity,
        )
        self.program = Program(
            "PgBouncer",
            [str(program), str(settings)],
            log=logs / "pgbouncer.log",
            remove=[folder],
            **identity,
        )
        self.program.wait_ready(lambda: is_listening(self.port), 10)

    def stop(self) -> None:
        """End it."""
        self.program.stop()


def _encryption(server: Target) -> str:
    """Return how it reaches the server, as libpq would."""
    named = {"sslrootcert": "ca_file", "sslcert": "cert_file", "sslkey": "key_file"}
    lines = [f"server_tls_sslmode = {server.ssl_mode}"]
    lines += [
        f"server_tls_{name} = {server.rest[each]}"
        for each, name in named.items()
        if each in server.rest
    ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


LOOK_S = 0.05
"""For how long a round trip is looked at in a launch."""
TRY_S, PAUSE_S = 0.02, 0.1
"""For how long each try of a delay is asked, and the pause while tries disagree."""


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
NOTHING_KNOWN: Mapping[float, Found] = MappingProxyType({})


class Reaching:
    """The running delay and pooler of some ways to reach the services.

    What is reached over a round trip in any scenario is reached through the proxy in all of them;
    which delay holds is set with :meth:`set_reach`.

    Parameters
    ----------
    between : the ways.
    postgres, brokers : the servers, as they are.
    logs : folder for logs.
    known : delays that were found before, by round trip: they are not looked for again.

    Raises
    ------
    ServiceError : what lies between could not be started.
    """

    def __init__(
        self,
        between: Between,
        postgres: Postgres,
        brokers: Sequence[Broker],
        logs: Path,
        known: Mapping[float, Found] = NOTHING_KNOWN,
    ) -> None:
        self.postgres = postgres
        self.near = between.near
        reaches = between.reaches
        self.pooler: Pooler | None = None
        self.distances: Distances | None = None
        self.found = dict(known)
        self._now: tuple[float, float] | None = None
        self._broker_hops: list[Hop] = []
        _see_that_it_can_be_put_between(reaches, connection_target(postgres.url))
        if any(each.broker_rtt_ms for each in reaches) and any(map(is_encrypted, brokers)):
            raise UsageError(
                "BROKER_URL is encrypted, and a round trip is added by a proxy of another name:"
                " leave --broker-rtt out or give --broker-rtt 0"
            )
        with contextlib.ExitStack() as stack:
            stack.callback(self.stop)
            if any(each.via == "pgbouncer" for each in reaches):
                with handed_over("pooler") as folder:
                    tls = postgres.certificate
                    self.pooler = Pooler(postgres.url, between.pooled, folder, logs, tls)
            if any(each.rtt_ms or each.broker_rtt_ms for each in reaches):
                self._broker_hops = [
                    Hop(*broker_place(each.url)) for each in brokers if not is_encrypted(each)
                ]
                hops = [*self._database_hops(), *self._broker_hops]
                with handed_over("delay") as folder:
                    self.distances = Distances(hops, folder, logs)
                self._calibrate(reaches)
            stack.pop_all()

    def set_reach(self, reach: Reach) -> None:
        """Set the delays of a way, for all connections through the proxy.

        Raises
        ------
        ServiceError : the proxy does not answer.
        """
        if self.distances is None:
            return
        delays = self._delay(reach.rtt_ms), self._delay(reach.broker_rtt_ms)
        if self._now == delays:
            return
        self.distances.set_delays(
            dict.fromkeys(self._database_hops(), delays[0])
            | dict.fromkeys(self._broker_hops, delays[1])
        )
        self._now = delays

    def _delay(self, rtt_ms: float) -> float:
        return self.found[rtt_ms].delay_ms if rtt_ms else 0.0

    def database(self, url: str, reach: Reach, *, through: bool) -> str:
        """Return the URL by which a database is reached.

        Parameters
        ----------
        url : of the database as it is.
        reach : the way.
        through : whether it leads through the delay proxy.
        """
        host, port = place_of(url)
        more: dict[str, str] = {}
        if reach.via == "pgbouncer":
            assert self.pooler is not None
            host, port = "127.0.0.1", self.pooler.port
            more |= {POOLED: "transaction", "password": self.pooler.password}
            # what encrypts the pooler's own connections
            more |= dict.fromkeys(("sslmode", *FILES), "")
        if reach.tls:
            more["sslmode"] = "require"
        if through:
            host, port = self._through(Hop(host, port))
        return changed(url, host=host, port=str(port), **more)

    def broker(self, broker: Broker, *, through: bool) -> Broker:
        """Return a broker as it is reached; parameters as :meth:`database`.

        One that is encrypted is reached as it is: the proxy would be taken for somebody else.
        """
        if not through or is_encrypted(broker):
            return broker
        host, port = self._through(Hop(*broker_place(broker.url)))
        return Broker(broker.kind, _elsewhere(broker.url, host, port))

    def measured(self, reach: Reach, broker: Broker | None, *, through: bool) -> dict[str, float]:
        """Return medians of round trips as they are now, milliseconds; a silent service has none.

        Databases of trials are left alone: what is asked of them is counted. The delays are those
        of `reach` afterwards.

        Parameters
        ----------
        reach : how the services are reached.
        broker : to be looked at, too; None: there is none.
        through : as :meth:`database`.
        """
        found: dict[str, float] = {}
        with on_cores(self.near), contextlib.suppress(ServiceError):
            self.set_reach(reach)
            url = self.database(self.postgres.url, reach, through=through)
            found["database"] = median_ms(database_round_trips(url, LOOK_S))
            if broker is not None:
                samples = broker_round_trips(self.broker(broker, through=through), LOOK_S)
                found["broker"] = median_ms(samples)
        return found

    def parts(self) -> list[Part]:
        """Return what was started as parts whose life is watched."""
        return [each.program.part() for each in (self.distances, self.pooler) if each is not None]

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
            settings = {f"{rtt:g} ms": f"{each.rtt_ms:.3f} ms" for rtt, each in self.found.items()}
            direct = next(iter(self.found.values())).direct_ms
            settings["without it"] = f"{direct:.3f} ms"
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

    def _database_hops(self) -> list[Hop]:
        found = [Hop(*place_of(self.postgres.url))]
        if self.pooler is not None:
            found.append(Hop("127.0.0.1", self.pooler.port))
        return found

    def _calibrate(self, reaches: Sequence[Reach]) -> None:
        """Find the delay of each round trip, as a client beside the application sees it.

        A broker's is held back as long as the database's: what its clients spend themselves is not
        taken for distance.
        """
        assert self.distances is not None
        hop = self._database_hops()[0]
        _, port = self._through(hop)
        far = changed(self.postgres.url, host="127.0.0.1", port=str(port))
        with (
            on_cores(self.near),
            asking(self.postgres.url) as ask_direct,
            asking(far) as ask_through,
        ):

            def through(delay_ms: float) -> float:
                assert self.distances is not None
                self.distances.set_delays({hop: delay_ms})
                return median_ms(timed(ask_through, TRY_S))

            for rtt_ms in sorted(
                {each.rtt_ms for each in reaches} | {each.broker_rtt_ms for each in reaches}
            ):
                if rtt_ms and rtt_ms not in self.found:
                    self.found[rtt_ms] = find_delay(
                        rtt_ms,
                        through,
                        lambda: median_ms(timed(ask_direct, TRY_S)),
                        lambda: time.sleep(PAUSE_S),
                    )

    def _through(self, hop: Hop) -> tuple[str, int]:
        assert self.distances is not None
        return "127.0.0.1", self.distances.ports[hop]


def _see_that_it_can_be_put_between(reaches: Sequence[Reach], server: Target) -> None:
    """Refuse ways that do not lead to a server as its URL has it.

    Raises
    ------
    UsageError : a socket or a server whose name is checked farther away, or settings that a pooler
        does not pass on.
    """
    far = any(each.rtt_ms for each in reaches)
    pooled = any(each.via == "pgbouncer" for each in reaches)
    if far and is_socket(server.place.get("host", "")):
        raise UsageError(
            "DATABASE_URL names a socket, which cannot be put farther away: leave --rtt out or give"
            " --rtt 0, or name the server by host and port"
        )
    if far and server.ssl_mode == "verify-full":
        raise UsageError(
            "DATABASE_URL says sslmode=verify-full, and a round trip is added by a proxy of another"
            " name: leave --rtt out or give --rtt 0, or write sslmode=verify-ca"
        )
    if pooled and "options" in server.rest:
        raise UsageError(
            "DATABASE_URL has options, which PgBouncer does not pass on: leave them out and set"
            " them for the role (ALTER ROLE … SET …)"
        )


@contextlib.contextmanager
def handed_over(kind: str) -> Iterator[Path]:
    """Make a folder for a service whose guard removes it; where that does not start, we do."""
    # named before it is made: an interruption comes at any moment
    folder = Path(tempfile.gettempdir()) / f"asyncdb-bench-{kind}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(mode=0o700)
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _elsewhere(url: str, host: str, port: int) -> str:
    parts = urlsplit(url)
    account, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{account}{at}{host}:{port}"))
