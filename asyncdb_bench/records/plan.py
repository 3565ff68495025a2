"""What is planned: variants, scenarios, settings, trials; frozen dataclasses.

Units are in the names. Times within a run are integers of nanoseconds or microseconds on
CLOCK_MONOTONIC; they become milliseconds only where they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Part:
    """An extra process that a strategy needs beside the application.

    Parameters
    ----------
    role : what it is called in tables, e.g. ``"worker"``.
    module : Python module to run with ``-m``.
    options : its configuration, JSON.
    copies : how many of it.
    """

    role: str
    module: str
    options: Mapping[str, Any]
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Broker:
    """A running message broker: `kind` is ``"rabbitmq"`` or ``"redis"``."""

    kind: str
    url: str = field(repr=False)


Via = Literal["direct", "pgbouncer"]


@dataclass(frozen=True, slots=True)
class Reach:
    """How application and workers reach the services.

    Parameters
    ----------
    rtt_ms, broker_rtt_ms : the round trip to the database and to the broker, held back to be so
        long; 0: as it is.
    via : PgBouncer in transaction mode lies before the database, or nothing does.
    tls : the connections to the database are encrypted.
    """

    rtt_ms: float = 0.0
    broker_rtt_ms: float = 0.0
    via: Via = "direct"
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Objective:
    """What must hold for an offered load to count as carried.

    Parameters
    ----------
    p99_ms : latency, from the intended arrival, that 99 % of the requests stay below.
    error_rate : share of requests that may fail, time out or be skipped.
    """

    p99_ms: float
    error_rate: float = 0.001

    @classmethod
    def of_query(cls, ms: float) -> Objective:
        """Return what a request may take whose queries take so long in the database."""
        return cls(p99_ms=max(100, 5 * ms))

    def __str__(self) -> str:
        return f"p99 < {self.p99_ms:g} ms, errors < {self.error_rate:.1%}"


@dataclass(frozen=True, slots=True)
class Fault:
    """A slowdown that is injected, so that one can see whether it is found.

    Parameters
    ----------
    delay_ms : that each operation waits in the database before its own work.
    cpu_ms : that each request burns on the event loop's thread.
    pool : size of the pool (and of the executor) instead of the variant's own; 0: as it is.
    """

    delay_ms: float = 0.0
    cpu_ms: float = 0.0
    pool: int = 0


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where a variant's processes come from, if not from this checkout and its environment.

    Parameters
    ----------
    path : as it was asked for, after the ``@``.
    code, python : the checkout and the interpreter that run it.
    git, versions : of that checkout and that environment.
    protocol : that its processes speak, see :mod:`asyncdb_bench.records.messages`.
    differs : version here and there of each distribution that is another in an environment made
        for named versions; empty where one is missing.
    """

    path: str
    code: str
    python: str
    git: Mapping[str, Any]
    versions: Mapping[str, str]
    protocol: int = 1
    differs: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def differing(self, here: Mapping[str, str]) -> list[str]:
        """Say what is of another version: ``asyncpg 0.29.0 instead of 0.32.0``.

        Parameters
        ----------
        here : versions of the run's own environment.
        """
        pairs = self.differs or {
            name: (here.get(name, ""), there) for name, there in self.versions.items()
        }
        return [
            f"{name} {there or 'left out'} instead of {ours or 'none'}"
            for name, (ours, there) in pairs.items()
            if ours != there
        ]


@dataclass(frozen=True, slots=True)
class Target:
    """An application of somebody's own, which is asked instead of ours.

    Parameters
    ----------
    name : as it was given, or of its table in ``bench.toml``.
    url : ``http://HOST:PORT``; ``{port}``: a free one, found when it is started.
    command : starts it; empty: it runs already.
    cwd : where it is started.
    health : path that answers without work; empty: there is none.
    ready_s : seconds until it must answer.
    pids : of its processes, where they were given.
    git : revision of the folder that it is started in.
    """

    name: str
    url: str
    command: tuple[str, ...] = ()
    cwd: str = ""
    health: str = ""
    ready_s: float = 30.0
    pids: tuple[int, ...] = ()
    git: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Variant:
    """A strategy with its knob values: what a run compares.

    Parameters
    ----------
    label : unique in the run, e.g. ``"executor:threads=32"``.
    strategy : name or ``path/to/file.py:ClassName``.
    knobs : every knob's value, defaults included.
    budget : database connections it may use at once, all processes together.
    request : as it was asked for, to ask for it again; of an A/A both have the same.
    shares : each application process's knobs, as the code that runs it shares them out.
    parts : its extra processes, as that code declares them.
    limits : requests that each of its resources serves at once, see :meth:`Strategy.limits`.
    not_run : why it cannot be run here, empty where it can.
    brokers : kinds of broker that it works over; empty: it needs none.
    needs_store : whether it needs a Redis for results.
    waits_in : the Redis command that counts the tasks that wait.
    elsewhere : the checkout or environment that runs it; None: this one.
    fault : injected; None: none.
    reach : what it says itself of how it reaches the services, by the names of :class:`Reach`.
    target : an application of somebody's own; None: ours, with a strategy.
    """

    label: str
    strategy: str
    knobs: Mapping[str, Any]
    budget: int
    request: str = ""
    shares: tuple[Mapping[str, Any], ...] = ()
    parts: tuple[Part, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    not_run: str = ""
    brokers: tuple[str, ...] = ()
    needs_store: bool = False
    waits_in: str = "LLEN {queue}:{queue}"
    elsewhere: Elsewhere | None = None
    fault: Fault | None = None
    reach: Mapping[str, Any] = field(default_factory=dict)
    target: Target | None = None

    @property
    def one_redis(self) -> bool:
        """Whether a Redis is its broker and keeps its results."""
        return self.brokers == ("redis",)

    @property
    def processes(self) -> int:
        """How many application processes share the port."""
        return int(self.knobs.get("processes", 1))


@dataclass(frozen=True, slots=True)
class PlannedScenario:
    """A scenario with its knob values, as this run asks it.

    Parameters
    ----------
    label : unique in the run.
    scenario : name or ``path/to/file.py:ClassName``.
    knobs : every knob's value, defaults included.
    objective : what must hold for a load to count as carried.
    ladder : offered loads, 1/s, ascending.
    mix : share of each operation.
    shape : how the arrival rate changes during a step; empty: it does not.
    websocket : it is a chat over WebSockets, not requests.
    gallop : the ladder is climbed two rungs at a time.
    request : as it was asked for, to ask for it again.
    refused : why variants cannot run it, by their labels.
    counted : operations whose latency counts; empty: all.
    reach : how the services are reached where a variant does not say otherwise.
    pace_only : its variants take turns at full speed alone.
    beside : the scenario that it is measured beside, at another round trip; empty: none.
    place : its place on the map, by axis: ``queries``, ``ms``, ``rows``; empty: it has none.
    work : what a request looks like, in a few words; empty: written before that was said.
    asks : what each request asks of the database: ``queries``, ``ms`` and ``rows`` of each; empty:
        they are not all the same.
    overload : what is measured besides its pace; None: no overload.
    """

    label: str
    scenario: str
    knobs: Mapping[str, Any]
    objective: Objective
    ladder: tuple[float, ...]
    mix: Mapping[str, float]
    shape: tuple[Segment, ...] = ()
    websocket: bool = False
    gallop: bool = False
    request: str = ""
    counted: tuple[str, ...] = ()
    reach: Reach = Reach()
    pace_only: bool = False
    beside: str = ""
    place: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    work: str = ""
    asks: Mapping[str, float] = field(default_factory=dict)
    overload: Overload | None = None

    @property
    def series(self) -> str:
        """What tells its figures over many runs: its label, and how the services were reached."""
        own = {f.name: getattr(self.reach, f.name) for f in fields(self.reach)}
        usual = {f.name: f.default for f in fields(Reach)}
        told = [f"{name} {own[name]}" for name in own if own[name] != usual[name]]
        return f"{self.label} ({', '.join(told)})" if told else self.label

    @property
    def aside(self) -> bool:
        """Whether it has no section of its own in a report: a cell, or company of another."""
        return bool(self.place or self.beside)

    @property
    def mean_factor(self) -> float:
        """The window's mean arrival rate as a multiple of the offered load."""
        return mean_factor(self.shape)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """From where on a measurement is not sound; the reasons are in ``docs/method.md``.

    Parameters
    ----------
    send_lag_p50_share, send_lag_p99_share : of the latency's p50 and p99.
    send_lag_floor_ms : a send lag below it never matters.
    client_busy : share of a core.
    arrivals : share by which the arrival rate may differ from the offered load.
    audit : share by which the database's own count may differ from the ledger's.
    delay_busy : share of a core that the delay proxy may use: one that is busier throttles.
    """

    send_lag_p50_share: float = 0.05
    send_lag_p99_share: float = 0.10
    send_lag_floor_ms: float = 2.0
    client_busy: float = 0.90
    arrivals: float = 0.02
    audit: float = 0.015
    delay_busy: float = 0.70


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run measures: a profile of ``bench.toml`` with the overrides of the command line.

    Parameters
    ----------
    profile : its name.
    blocks : launches of all variants, at most.
    warmup_s : load before the first step, not recorded.
    window_s, window_max_s : measured window of a step; the longer one is used where
        `min_arrivals` would not fit into the shorter.
    min_arrivals : arrivals that a step should have at least.
    drain_s : how long a step waits for what is still under way at its end.
    timeout_s : after how long the application gives up a request.
    time_budget_s : the whole run's time; the ladders are cut to fit. 0: no limit.
    budget : database connections that each strategy may use at once.
    outstanding : requests that the client keeps under way at most; above it arrivals are skipped.
    cpus : which role runs on which cores, see :func:`share_out`.
    tolerance : from where on a measurement is not sound.
    deployment : whether to measure what each variant takes to deploy, after the trials.
    ladder : climb the scenarios' offered loads instead of asking at full speed.
    ladder_blocks : launches in which what climbs a ladder is asked.
    rounds : of each scenario at full speed in each launch, at most; 0: as the time permits.
    turn_s : least window of a turn at full speed; it is longer where a request takes long.
    connections : of the closed loop that measures the pace.
    shares : of its own pace at which each variant's latency is measured, one in each block.
    half_width, equal : ratios - 1: an answer is known where its interval is no wider than the one
        to either side, or lies within the other.
    least_blocks : launches before a run may end because all is sharp enough.
    rtt_ms, broker_rtt_ms, via, tls : how the services are reached where neither variant nor
        scenario says otherwise, see :class:`Reach`.
    beside_rtt_ms : round trips at which the pace of each scenario is measured, too.
    load_processes : that offer the load on this machine.
    expect_load_workers : further ones that are started elsewhere and come by themselves.
    load_master : ``HOST:PORT`` where load workers come to; empty: loopback, or port 5557 of all
        addresses where some are expected.
    address : where the application listens.
    locust_web : port of Locust's own page; 0: none.
    """

    profile: str
    blocks: int
    warmup_s: float
    window_s: float
    window_max_s: float
    min_arrivals: int
    drain_s: float
    timeout_s: float
    time_budget_s: float
    budget: int
    outstanding: int = 4000
    cpus: str = "auto"
    tolerance: Tolerance = Tolerance()
    deployment: bool = False
    ladder: bool = False
    ladder_blocks: int = 1
    rounds: int = 0
    turn_s: float = 0.2
    connections: int = 32
    shares: tuple[float, ...] = (0.9, 0.5, 0.75, 0.25)
    half_width: float = 0.05
    equal: float = 0.05
    least_blocks: int = 1
    rtt_ms: float = 0.0
    broker_rtt_ms: float = 0.0
    via: Via = "direct"
    tls: bool = False
    beside_rtt_ms: tuple[float, ...] = ()
    load_processes: int = 1
    expect_load_workers: int = 0
    load_master: str = ""
    address: str = "127.0.0.1"
    locust_web: int = 0


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """What the load is asked to offer.

    Parameters
    ----------
    rate_rps, window_s : the arrivals.
    drain_s : how long to wait for what is under way at the end.
    seed : of arrivals, operations and parameters.
    probe : whether to ask for the health route meanwhile.
    shape : how the rate changes; empty: it does not.
    lead_s : load of the same kind before the window, which is in the ledger and in no figure.
    connections : of a closed loop, each of which asks again as soon as it has its answer; the rate
        does not count then. 0: an open model.
    scenario : label of the one to ask for; empty: the first that the load was started with.
    port, host : of the application to ask; 0 and empty: those that the load was started with.
    health : path that the probe asks for.
    clock : that the application reads, see :mod:`asyncdb_bench.clock`; empty: the load's own.
    patience_s : after how long a client gives up and closes its connection; 0: after the general
        timeout.
    timeout_ms : that each request asks the application to answer within; 0: it asks for none.
    """

    rate_rps: float
    window_s: float
    drain_s: float
    seed: tuple[int, ...]
    probe: bool = True
    shape: tuple[Segment, ...] = ()
    lead_s: float = 0.0
    connections: int = 0
    scenario: str = ""
    port: int = 0
    host: str = ""
    health: str = "/healthz"
    clock: str = ""
    patience_s: float = 0.0
    timeout_ms: float = 0.0


Purpose = Literal["measure", "confirm"]
"""What a trial is for: what a run reports, or a fresh launch that agrees with a suspicion or does
not."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One variant in one scenario in one block.

    Parameters
    ----------
    id : of the processes that it was measured with; scenarios that share them have the same.
    block : number of the launch, from 0, counted for each purpose by itself.
    variant, scenario : labels.
    purpose : what it is for; only those that measure are reported.
    """

    id: str
    block: int
    variant: str
    scenario: str
    purpose: Purpose = "measure"


TurnKind = Literal["idle", "pace", "common", "share", "limit", "rung", "overload"]
"""What a turn is for: what the variant uses at rest; its pace; its latency at the load common to
all; its latency at a share of its own pace; whether the objective holds near the limit; a rung of a
ladder of offered loads; what it answers while it is asked for more than its pace, and after."""


HOST_ROLES = ("application", "workers", "load", "database", "broker")
HOST_WAYS = ("local", "ssh", "docker", "podman", "kubernetes", "command")


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that plays a role in a run.

    Parameters
    ----------
    name, roles : which.
    address : by which the others reach it.
    via : one of :data:`HOST_WAYS`.
    python : the interpreter there.
    cores : of roles that are kept on some.
    load_processes : load workers that are started there.
    options, command : of the way to it; not written into results.
    """

    name: str
    roles: tuple[str, ...]
    address: str
    via: str
    python: str = "python3"
    cores: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    load_processes: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hosts:
    """The machines of a run; `harness` is the address by which they reach this one."""

    all: tuple[Host, ...] = ()
    harness: str = ""

    def of(self, role: str) -> tuple[Host, ...]:
        """Return those that play a role on another machine, or by a way of their own."""
        return tuple(each for each in self.all if role in each.roles and each.via != "local")

    def shown(self) -> Hosts:
        """Return them as results may show them: without what belongs to their owner's access."""
        return replace(self, all=tuple(replace(each, options={}, command=()) for each in self.all))


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered list of trials and everything that they refer to.

    `named` says whether the strategies were asked for by name: one that cannot run is then missed.
    """

    seed: int
    settings: Settings
    variants: tuple[Variant, ...]
    scenarios: tuple[PlannedScenario, ...]
    trials: tuple[Trial, ...]
    hosts: Hosts = Hosts()
    named: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a step's window: its length, and its arrival rate as a multiple of the base's."""

    seconds: float
    factor: float


def mean_factor(shape: Sequence[Segment]) -> float:
    """Return a window's mean arrival rate as a multiple of the base's; 1 without a shape."""
    seconds = sum(each.seconds for each in shape)
    return sum(each.seconds * each.factor for each in shape) / seconds if seconds else 1.0


CALM_SHARE = 0.5
"""Of a variant's own pace: the load before an overload and after it."""


@dataclass(frozen=True, slots=True)
class Overload:
    """More load than a variant can carry, for a while, from clients that do not wait for ever.

    Parameters
    ----------
    factor : load over the variant's own pace.
    before_s, length_s, after_s : at half of the pace, at `factor` times it, and at half again.
    patience_ms : after so long a client closes its connection.
    timeout_ms : the application's own time-out for each request; 0: it is not asked for one.
    """

    factor: float = 2.0
    before_s: float = 1.0
    length_s: float = 1.5
    after_s: float = 5.0
    patience_ms: float = 500.0
    timeout_ms: float = 0.0

    @property
    def shape(self) -> tuple[Segment, ...]:
        """The load over time, as multiples of what it is before."""
        return (
            Segment(self.before_s, 1.0),
            Segment(self.length_s, self.factor / CALM_SHARE),
            Segment(self.after_s, 1.0),
        )

    @property
    def window_s(self) -> float:
        """Length of a turn, seconds."""
        return self.before_s + self.length_s + self.after_s


@dataclass(frozen=True, slots=True)
class Pinning:
    """Which role may run on which cores; a role that is not listed may run on all.

    `problem` says why nothing, or not all, is pinned.
    """

    cores: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    problem: str = ""

    def of(self, role: str) -> tuple[int, ...]:
        """Return a role's cores; empty: all."""
        return self.cores.get(role, ())

    def is_alone(self, role: str) -> bool:
        """Return whether no other role runs on a role's cores."""
        others = {each for name, cores in self.cores.items() if name != role for each in cores}
        return bool(self.of(role)) and others.isdisjoint(self.of(role))
