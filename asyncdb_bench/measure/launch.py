"""What is started for one variant, and the processes that run then."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.plan.cores import on_cores
from asyncdb_bench.plan.reach import reach_of
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.processes.child import Child
from asyncdb_bench.processes.place import HERE, ByPlace, Place, Placement, Roles
from asyncdb_bench.records.messages import Asked, Heartbeats, LoadConfig, Offer, Ready, StepReply
from asyncdb_bench.records.plan import LoadOrder, Pinning, PlannedScenario, Reach, Variant
from asyncdb_bench.services.program import Part
from asyncdb_bench.services.running import Services

READY_S = 120.0
"""On a slow machine a launch may take a minute; what ends meanwhile is noticed at once."""
STOP_S = 5.0
GRACE_S = 1.0
"""The client waits this much longer than the application, whose own answer tells more."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start.

    Parameters
    ----------
    variant : what is compared.
    scenarios : what it is asked, one after another; on the same data.
    name : start of the names of logs and of the database.
    queue : name of the task queue, unique on the broker.
    timeout_s : after how long the application gives up a request.
    host, port : where the application listens; port 0 takes a free one.
    with_workers : False where the strategy's extra processes run elsewhere.
    pinning : which of them run on which cores.
    placement : where each is started.
    drain_s : how long the application answers what is under way when it is ended.
    """

    variant: Variant
    scenarios: tuple[PlannedScenario, ...]
    name: str
    queue: str
    timeout_s: float
    host: str = "127.0.0.1"
    port: int = 0
    with_workers: bool = True
    pinning: Pinning = field(default_factory=Pinning)
    placement: Placement = field(default_factory=Placement)
    drain_s: float = 0.0

    @property
    def reaches(self) -> tuple[Reach, ...]:
        """How the services are reached in each scenario."""
        return tuple(reach_of(each, self.variant) for each in self.scenarios)

    @property
    def through(self) -> bool:
        """Whether they are reached through the delay proxy: in one scenario, so in all."""
        return any(each.rtt_ms or each.broker_rtt_ms for each in self.reaches)

    @property
    def data(self) -> Any:
        """The tables and their content, the same for all scenarios."""
        first = self.scenarios[0]
        return make_scenario(first.scenario, first.knobs).workload().data


class Application(Protocol):
    """A process of an application, ours or somebody else's, and where it runs.

    `pid_there` is its process id there, 0 where it is not known; `pid` that of what stands for it
    here.
    """

    place: Place
    pid_there: int

    @property
    def pid(self) -> int:
        """The process id."""

    def part(self, *, shared: bool = False) -> Part:
        """Return it as a part whose life is watched."""

    def beats(self, timeout_s: float) -> Heartbeats:
        """Return what its heartbeat noted since the last call."""


@dataclass(frozen=True, slots=True)
class Processes:
    """The running processes: `port` is the application's, `database` a URL, `queue` the tasks'.

    `end` ends them all before their time; `host` is where the application listens, `health` the
    path that answers without work, empty where there is none, and `clock` the one that the
    application reads, empty where it is not known.
    """

    apps: tuple[Application, ...]
    workers: tuple[Child, ...]
    port: int
    database: str
    queue: str
    end: Callable[[], None] = lambda: None
    host: str = "127.0.0.1"
    health: str = "/healthz"
    clock: str = ""

    @property
    def here(self) -> Roles:
        """Process ids on this machine, by role."""
        return next((roles for place, roles in self.by_place() if place is HERE), {})

    def by_place(self) -> ByPlace:
        """Return the process ids that are known, by place and role."""
        found: dict[str, tuple[Place, Roles]] = {}
        for role, members in (("app", self.apps), ("workers", self.workers)):
            for each in members:
                if each.pid_there:
                    _, roles = found.setdefault(each.place.name, (each.place, {}))
                    roles.setdefault(role, []).append(each.pid_there)
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


def load_config(
    scenarios: Sequence[PlannedScenario], timeout_s: float, outstanding: int, port: int = 0
) -> LoadConfig:
    """Return what a load is started with.

    Parameters
    ----------
    scenarios : that it will ask for, by their labels.
    timeout_s : after how long the application gives up a request.
    outstanding : requests that it keeps under way at most.
    port : of an application on loopback; 0: each order says whom to ask.
    """
    first, *rest = scenarios
    return LoadConfig(
        host="127.0.0.1",
        port=port,
        label=first.label,
        scenario=first.scenario,
        scenario_knobs=dict(first.knobs),
        further=tuple(Asked(each.label, each.scenario, dict(each.knobs)) for each in rest),
        timeout_s=timeout_s + GRACE_S,
        outstanding=outstanding,
    )


def load_for(
    scenarios: Sequence[PlannedScenario],
    timeout_s: float,
    outstanding: int,
    log: Path,
    cores: Sequence[int] = (),
    port: int = 0,
) -> Child:
    """Start a load process and wait until it is ready; parameters as :func:`load_config`.

    Parameters
    ----------
    log : file for what it prints.
    cores : that it runs on; none: any.

    Raises
    ------
    ServiceError : it does not get ready.
    """
    with on_cores(cores):
        load = Child("asyncdb_bench.load", None, log, "the load generator")
    try:
        load.send(load_config(scenarios, timeout_s, outstanding, port))
        load.receive(Ready, READY_S)
    except BaseException:
        load.stop(0)
        raise
    return load
