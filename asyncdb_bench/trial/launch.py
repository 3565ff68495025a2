"""The processes of one variant: workers, application, load; started together, always ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.records.messages import (
    Heartbeats,
    LoadConfig,
    Offer,
    StepReply,
)
from asyncdb_bench.records.plan import Broker, LoadOrder, Pinning, PlannedScenario, Reach, Variant
from asyncdb_bench.services.part import Part
from asyncdb_bench.trial.child import Child
from asyncdb_bench.trial.hosts.reached import ReachedHost
from asyncdb_bench.trial.hosts.reached_hosts import ReachedHosts

READY_S = 30.0
STOP_S = 5.0
GRACE_S = 1.0
"""The client waits this much longer than the application, whose own answer tells more."""


class Services(Protocol):
    """What a trial needs of the services; see :mod:`asyncdb_bench.services`."""

    @property
    def broker(self) -> Broker | None:
        """The broker, where one runs."""

    @property
    def store(self) -> Broker | None:
        """The Redis for results, where one is needed."""

    @property
    def url(self) -> str:
        """The database server."""

    def clone(self, data: Any, name: str) -> str:
        """Make a fresh database and return its URL."""

    def reached(self, url: str, reach: Reach) -> str:
        """Return the URL by which application and workers reach a database."""

    def broker_reached(self, broker: Broker | None, reach: Reach) -> Broker | None:
        """Return the broker as they reach it."""

    def round_trips(self, reach: Reach, *, with_broker: bool) -> Mapping[str, float]:
        """Return the round trips that there really are, milliseconds, by what they lead to."""

    def drop(self, url: str) -> None:
        """Drop it."""

    def clean(self, queue: str) -> None:
        """Remove a trial's queues."""

    def parts(self, *, with_broker: bool) -> list[Part]:
        """Those that are ours, as parts whose life is watched."""

    def sweep(self, queues: str, events: Path) -> Any:
        """Return what must be removed from servers of others if this process is killed."""

    def check(self, *, with_broker: bool) -> None:
        """See that all answer."""

    def recover(self) -> None:
        """Start those that are ours anew, and wait for others."""

    def can_restart(self, role: str) -> bool:
        """Return whether a service is ours to kill."""

    def restart(self, role: str) -> None:
        """Kill a service and start it again."""

    def roles(self) -> dict[str, list[int]]:
        """Process ids of the services that are ours, by role."""

    def statistics(self, url: str) -> Any:
        """Open the statistics of a database."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start.

    Parameters
    ----------
    variant, scenario : what is compared and what is asked.
    name : start of the names of logs and of the database.
    queue : name of the task queue, unique on the broker.
    timeout_s : after how long the application gives up a request.
    host, port : where the application listens; port 0 takes a free one.
    outstanding : requests that the load keeps under way at most; 0: no load is started.
    with_workers : False where the strategy's extra processes run elsewhere.
    pinning : which of them run on which cores.
    load : that runs already, and is told whom to ask; None: one is started, where it is wanted.
    hosts : that play a role; None: all is started on this machine.
    """

    variant: Variant
    scenario: PlannedScenario
    name: str
    queue: str
    timeout_s: float
    host: str = "127.0.0.1"
    port: int = 0
    outstanding: int = 0
    with_workers: bool = True
    pinning: Pinning = field(default_factory=Pinning)
    load: Child | None = None
    hosts: ReachedHosts | None = None

    def host_of(self, role: str) -> ReachedHost | None:
        """Return where a role is played; None: on this machine."""
        return self.hosts.one(role) if self.hosts is not None else None


class Application(Protocol):
    """A process of an application, ours or somebody else's; `pid` is 0 where it is not known."""

    @property
    def pid(self) -> int:
        """The process id."""

    def part(self, *, shared: bool = False) -> Part:
        """Return it as a part whose life is watched."""

    def beats(self, timeout_s: float) -> Heartbeats:
        """Return what its heartbeat noted since the last call."""


def host_of(process: Application) -> ReachedHost | None:
    """Return where a process runs; None: on this machine."""
    return process.host if isinstance(process, Child) else None


@dataclass(frozen=True, slots=True)
class Processes:
    """The running processes: `port` is the application's, `database` a URL, `queue` the tasks'.

    `end` ends them all before their time; `host` is where the application listens, `health` the
    path that answers without work, empty where there is none, and `clock` the one that the
    application reads, empty where it is this process's.
    """

    apps: tuple[Application, ...]
    workers: tuple[Child, ...]
    load: Child | None
    port: int
    database: str
    queue: str
    end: Callable[[], None] = lambda: None
    host: str = "127.0.0.1"
    health: str = "/healthz"
    clock: str = ""

    @property
    def app_pids(self) -> list[int]:
        """Process ids of the application that are known, and of this machine."""
        return [each.pid for each in self.apps if each.pid and host_of(each) is None]

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers on this machine."""
        return [each.pid for each in self.workers if each.host is None]

    @property
    def pids(self) -> list[int]:
        """Process ids of application and workers that are known, and of this machine."""
        return [*self.app_pids, *self.worker_pids]

    def away(self) -> list[tuple[ReachedHost, dict[str, list[int]]]]:
        """Return the processes on other hosts, by host and role."""
        found: dict[str, tuple[ReachedHost, dict[str, list[int]]]] = {}
        for role, children in (("app", self.apps), ("workers", self.workers)):
            for child in children:
                host = host_of(child)
                if host is not None and isinstance(child, Child):
                    _, roles = found.setdefault(host.name, (host, {}))
                    roles.setdefault(role, []).append(child.pid_there)
        return list(found.values())


def offer(load: Child, order: LoadOrder, file: str = "") -> StepReply:
    """Have the load offer a step and return what it says of it.

    Parameters
    ----------
    load : the process of :mod:`asyncdb_bench.load`.
    order : what to offer.
    file : where it writes the requests' columns; empty: nowhere.

    Raises
    ------
    ServiceError : it has ended, or answered something else.
    """
    return load.ask(Offer(order, file), StepReply, order.window_s + order.drain_s + load.patience_s)


def dropped(services: Services, database: str) -> None:
    """Drop a database; one that cannot be reached any more is left."""
    with contextlib.suppress(ServiceError):
        services.drop(database)


def load_config(launch: Launch, port: int, host: str = "") -> LoadConfig:
    """Return what the load of a launch is started with.

    Parameters
    ----------
    launch : for scenario and times.
    port, host : of the application; no host: the launch's.
    """
    return LoadConfig(
        host=host or launch.host,
        port=port,
        scenario=launch.scenario.scenario,
        scenario_knobs=dict(launch.scenario.knobs),
        timeout_s=launch.timeout_s + GRACE_S,
        outstanding=launch.outstanding,
    )
