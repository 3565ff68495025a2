"""The frozen dataclasses that pass between rooms; imports nothing of ours.

Units are in the names. Times within a run are integers of nanoseconds or microseconds on
CLOCK_MONOTONIC; they become milliseconds only where they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 2

HEARTBEAT_US = 1000
"""Between two beats of the application's heartbeat, whose lateness is the loop lag."""

PROBE_EVERY_S = 0.05
"""Between two probes of the health route, which does no database work."""

OUTCOMES = ("undrained", "ok", "error", "timeout", "skipped")
"""What may become of an arrival; the place in this tuple is the number on disk."""


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
    url: str


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
    shares : each application process's knobs, as that code shares them out.
    parts : its extra processes, as that code declares them.
    """

    path: str
    code: str
    python: str
    git: Mapping[str, Any]
    versions: Mapping[str, str]
    shares: tuple[Mapping[str, Any], ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """A strategy with its knob values: what a run compares.

    Parameters
    ----------
    label : unique in the run, e.g. ``"executor:threads=32"``.
    strategy : name or ``path/to/file.py:ClassName``.
    knobs : every knob's value, defaults included.
    budget : database connections it may use at once, all processes together.
    parts : extra processes by role, with their number.
    limits : requests that each of its resources serves at once, see :meth:`Strategy.limits`.
    not_run : why it cannot be run here, empty where it can.
    brokers : kinds of broker that it works over; empty: it needs none.
    needs_store : whether it needs a Redis for results.
    elsewhere : the checkout or environment that runs it; None: this one.
    fault : injected; None: none.
    """

    label: str
    strategy: str
    knobs: Mapping[str, Any]
    budget: int
    parts: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    not_run: str = ""
    brokers: tuple[str, ...] = ()
    needs_store: bool = False
    elsewhere: Elsewhere | None = None
    fault: Fault | None = None

    @property
    def processes(self) -> int:
        """How many application processes share the port."""
        return int(self.knobs.get("processes", 1))


@dataclass(frozen=True, slots=True)
class Asked:
    """A scenario with its knob values, as this run asks it.

    `shape` is how the arrival rate changes during a step; empty: it does not.
    `websocket`: it is a chat over WebSockets, not requests. `gallop`: the ladder is climbed two
    rungs at a time.
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

    @property
    def mean_factor(self) -> float:
        """The window's mean arrival rate as a multiple of the offered load."""
        seconds = sum(each.seconds for each in self.shape)
        return sum(s.seconds * s.factor for s in self.shape) / seconds if seconds else 1.0


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
    stolen : of the CPU time asked for, how much more a hypervisor may have taken from one variant
        than from the best: a share, their difference.
    steal : share of the CPU time asked for from which on, where a hypervisor took it, a step is
        offered once more, and that is taken as it is. 1: never.
    """

    send_lag_p50_share: float = 0.05
    send_lag_p99_share: float = 0.10
    send_lag_floor_ms: float = 2.0
    client_busy: float = 0.90
    arrivals: float = 0.02
    audit: float = 0.015
    stolen: float = 0.15
    steal: float = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run measures: a profile of ``bench.toml`` with the overrides of the command line.

    Parameters
    ----------
    profile : its name.
    blocks : rounds of trials over all variants.
    warmup_s : load before the first step, not recorded.
    window_s, window_max_s : measured window of a step; the longer one is used where
        `min_arrivals` would not fit into the shorter.
    min_arrivals : arrivals that a step should have at least.
    drain_s : how long a step waits for what is still under way at its end.
    timeout_s : after how long the application gives up a request.
    time_budget_s : the whole run's time; the ladders are cut to fit. 0: no limit.
    budget : database connections that each strategy may use at once.
    outstanding : requests that the client keeps under way at most; above it arrivals are skipped.
    cpus : which role runs on which cores, see :func:`asyncdb_bench.cores.share_out`.
    tolerance : from where on a measurement is not sound.
    deployment : whether to measure what each variant takes to deploy, after the trials.
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


@dataclass(frozen=True, slots=True)
class Order:
    """What the load is asked to offer.

    Parameters
    ----------
    rate_rps, window_s : the arrivals.
    drain_s : how long to wait for what is under way at the end.
    seed : of arrivals, operations and parameters.
    probe : whether to ask for the health route meanwhile.
    shape : how the rate changes; empty: it does not.
    """

    rate_rps: float
    window_s: float
    drain_s: float
    seed: tuple[int, ...]
    probe: bool = True
    shape: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """Fresh processes for one variant in one scenario; `id` says its place in the run.

    `ladder` are the offered loads of this trial alone; empty: the scenario's.
    """

    id: str
    block: int
    variant: str
    scenario: str
    ladder: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered list of trials and everything that they refer to."""

    seed: int
    settings: Settings
    variants: tuple[Variant, ...]
    scenarios: tuple[Asked, ...]
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where every scheduled arrival went; `undrained` were still under way when waiting ended."""

    scheduled: int
    ok: int
    error: int
    timeout: int
    skipped: int
    undrained: int

    @property
    def adds_up(self) -> bool:
        """Whether no arrival was lost or counted twice."""
        return self.scheduled == (
            self.ok + self.error + self.timeout + self.skipped + self.undrained
        )

    @property
    def failed_share(self) -> float:
        """Share of the scheduled arrivals that did not get a right answer, 0 to 1."""
        return 1 - self.ok / self.scheduled if self.scheduled else 0.0


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A distribution in milliseconds; NaN becomes null on disk where `n` is 0."""

    n: int
    mean_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    max_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What one role (application, workers, broker, PostgreSQL, load) used during a step.

    `switches` are context switches, voluntary and not, of all its threads; None where the kernel
    does not tell.
    """

    cpu_s: float
    rss_mb: float
    pss_mb: float | None
    processes: int
    switches: int | None = None


@dataclass(frozen=True, slots=True)
class Threads:
    """Who ran inside the application's process during a step.

    Parameters
    ----------
    loop_cpu_s, other_cpu_s : CPU seconds of the event loop's thread and of all others.
    loop_waited_s : the loop's thread was runnable but had no core; None where it is not known.
    count : threads at the step's end.
    """

    loop_cpu_s: float
    other_cpu_s: float
    loop_waited_s: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What the database says it did, beside what the ledger says the operations did.

    Parameters
    ----------
    source : the statistics view it comes from.
    transactions, rows : observed; None: not known.
    transactions_least, transactions_most : expected: those of right answers, and besides those
        that may or may not have been done (timed out, failed, undrained).
    rows_least, rows_most : likewise; None where an operation does not declare its rows.
    """

    source: str
    transactions: int | None
    transactions_least: int
    transactions_most: int
    rows: int | None = None
    rows_least: int | None = None
    rows_most: int | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waited during a step, whatever the strategy: requests due and not yet answered.

    Parameters
    ----------
    peak : the most at once.
    peak_age_ms : for how long the oldest had waited then.
    oldest_ms : the longest that any waited, while it did.
    drain_s : from a surge's end until no more waited than before it; None: the load had none, or
        it was not worked off within the step.
    """

    peak: int
    peak_age_ms: float
    oldest_ms: float
    drain_s: float | None


@dataclass(frozen=True, slots=True)
class Outage:
    """Several requests in a row that failed.

    Parameters
    ----------
    at_s : when the first of them was due, from the step's start.
    seconds : from then until the next right answer; None: there was none in the step.
    failed : how many.
    """

    at_s: float
    seconds: float | None
    failed: int


@dataclass(frozen=True, slots=True)
class TaskLedger:
    """Where a step's tasks went; None: not known, since a worker was gone.

    Parameters
    ----------
    published : by the application.
    delivered, acknowledged, redelivered : by the workers' account.
    abandoned : received when nobody waited for them any more, and not run.
    queued : left in the broker at the step's end.
    replied, late : results that came in time, and after their caller had given up.
    """

    published: int
    delivered: int | None
    acknowledged: int | None
    redelivered: int | None
    abandoned: int | None
    queued: int | None
    replied: int
    late: int

    @property
    def expired(self) -> int | None:
        """Tasks that the broker dropped because their time was over, or lost."""
        if self.delivered is None or self.queued is None or self.redelivered is None:
            return None
        return self.published - (self.delivered - self.redelivered) - self.queued


@dataclass(frozen=True, slots=True)
class TaskQueue:
    """A step's task queue at the broker.

    Parameters
    ----------
    depth_mean, depth_peak : tasks ready in the broker, counted every 20 ms until the last answer.
    depth_by_law : the mean that follows from the tasks' own time there (Little's law).
    little : `depth_by_law` / `depth_mean`; None where the queue was hardly ever there, or where
        not every task's time is known.
    in_broker, in_worker : time from publishing until a worker received it, and from then until it
        ran.
    oldest_ms : the longest that any task waited in the broker.
    ledger : where the tasks went.
    """

    depth_mean: float
    depth_peak: int
    depth_by_law: float
    little: float | None
    in_broker: Percentiles
    in_worker: Percentiles
    oldest_ms: float
    ledger: TaskLedger


@dataclass(frozen=True, slots=True)
class Chat:
    """What the members of a chat felt during a step.

    Parameters
    ----------
    delivery : from the intended post to the receipt by each member.
    deliveries : receipts in all.
    lost : receipts that are missing of messages that were stored; None: members were away, so it
        is not known who should have had them.
    duplicated, out_of_order : receipts.
    ping : round trip of a WebSocket ping every 100 ms on every tenth connection, from when it was
        due.
    frozen_s : for how long nobody received anything although messages were due, in stretches of
        0.1 s and more.
    joins_per_s, join : of the members who joined last, history included.
    members, connected : who should be there, and who was at the step's end.
    """

    delivery: Percentiles
    deliveries: int
    lost: int | None
    duplicated: int
    out_of_order: int
    ping: Percentiles
    frozen_s: float
    joins_per_s: float
    join: Percentiles
    members: int
    connected: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a step's window: its length, and its arrival rate as a multiple of the base's."""

    seconds: float
    factor: float


@dataclass(frozen=True, slots=True)
class Step:
    """A line of ``steps.jsonl``: one offered load inside a trial.

    `latency` counts from the intended arrival, `service` from the actual send, both over right
    answers and those that were given up (with the time they had waited); `latency_bounds` are
    95 % bounds of p50, p95 and p99 within this step, milliseconds; `loop_lag` is what an arrival
    at any moment would have waited for the application's event loop, `probe` what a request that
    does no database work took from outside, from its intended start. `arrivals_rps` were really
    sent within the window. `phases` are those of :data:`asyncdb_bench.phases.PHASES` over the
    right answers that were sampled, with `held` (a connection checked out) and `run` (a thread or
    worker occupied) beside them. `drift` is the median latency of the window's second half over
    that of its first, None where there is too little to tell. `wire` are bytes; `stolen` is the
    share of the CPU time asked for that a hypervisor took; `lasted_s` goes from the window's start
    to the last answer, over which CPU time counts. `closed_loop` is the latency that a closed loop
    of `closed_loop_users` would have believed, see :func:`asyncdb_bench.windows.closed_loop`.
    `holds` is the scenario's objective; `valid` is whether the measurement is sound; `notes` are
    circumstances that the reader should know and that do not make it unsound. `repeated`: what made
    it invalid may pass, so it was offered again; this one counts for nothing. `backlog` is what
    waited meanwhile, `tasks` the task queue where there is one, `chat` what the members of a chat
    felt, `outages` where several requests in a row failed.
    """

    run_id: str
    trial: str
    block: int
    scenario: str
    variant: str
    strategy: str
    step: int
    offered_rps: float
    achieved_rps: float
    window_s: float
    started_at: str
    ledger: Ledger
    latency: Percentiles
    latency_bounds: Mapping[str, tuple[float, float]]
    service: Percentiles
    send_lag: Percentiles
    loop_lag: Percentiles
    usage: Mapping[str, Usage]
    connections_peak: int | None
    connections_active_peak: int | None
    gauges: Mapping[str, float]
    errors: Mapping[str, int]
    holds: bool
    misses: tuple[str, ...]
    valid: bool
    reasons: tuple[str, ...]
    arrivals_rps: float = 0.0
    probe: Percentiles = Percentiles(0)
    closed_loop: Percentiles = Percentiles(0)
    closed_loop_users: int = 0
    phases: Mapping[str, Percentiles] = field(default_factory=dict)
    connections_active_mean: float | None = None
    threads: Threads | None = None
    wire: Mapping[str, int] = field(default_factory=dict)
    stolen: float = 0.0
    lasted_s: float = 0.0
    audit: Audit | None = None
    drift: float | None = None
    steady: bool = True
    notes: tuple[str, ...] = ()
    repeated: bool = False
    backlog: Backlog | None = None
    tasks: TaskQueue | None = None
    chat: Chat | None = None
    outages: tuple[Outage, ...] = ()


@dataclass(frozen=True, slots=True)
class Killed:
    """What failed when a part was killed under a light load (20 requests a second).

    Parameters
    ----------
    part : which; it was started again at once, as a supervisor would.
    asked, failed : requests from then until the application answered again.
    how : the failures by HTTP status.
    back_s : from the kill to the first right answer after the last failure, seconds; 0: nothing
        failed; None: it did not answer again in 30 s.
    health_ms : the longest that a request without database work took meanwhile: whether the loop
        went on; None where the application itself was killed.
    """

    part: str
    asked: int
    failed: int
    how: Mapping[str, int]
    back_s: float | None
    health_ms: float | None


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a variant takes to deploy, measured; a line of ``deployment.jsonl``.

    Parameters
    ----------
    processes : to run, by role.
    servers : that must run beside them.
    config_lines : lines of this project's docker-compose.yml that its parts need.
    packages, packages_mb : that it installs, with all that they require.
    cold_start_s : from starting its processes to the first right answer; servers run already.
    rest_mb : memory at rest by role, shared pages counted once.
    connections : TCP connections held at rest, by what they lead to.
    killed : each part in turn.
    """

    variant: str
    processes: Mapping[str, int]
    servers: tuple[str, ...]
    config_lines: int | None
    packages: int
    packages_mb: float | None
    cold_start_s: float
    rest_mb: Mapping[str, float]
    connections: Mapping[str, int]
    killed: tuple[Killed, ...]


@dataclass(frozen=True, slots=True)
class TrialEnd:
    """How a trial ended: `why` the ladder stopped, and `failure` where it broke.

    `audit` is the whole trial's, warm-up included, from ``pg_stat_database``; `reasons` are why
    none of its steps is sound.
    """

    trial: str
    block: int
    scenario: str
    variant: str
    why: str
    seconds: float
    failure: str = ""
    audit: Audit | None = None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """A service as it was used: kind, version, where from, the settings that matter."""

    name: str
    kind: str
    version: str
    source: str
    settings: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class RecordingError:
    """What the client reported of a server whose delays were known, milliseconds.

    Parameters
    ----------
    distribution : of the delays, in words.
    n : requests.
    known_ms, error_ms : by percentile (``"p50"`` …): the delay that the server drew, and by how
        much the client's service latency exceeded it.
    """

    distribution: str
    n: int
    known_ms: Mapping[str, float]
    error_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the client and the machine can do: ``results/calibration.json``.

    Parameters
    ----------
    machine : the fingerprint that a run's must equal for this to be used.
    max_rps : the highest rate that the client offers on schedule against a null handler.
    send_lag : by share of `max_rps` in percent.
    errors : one per delay distribution.
    noise : by figure (``"p50_ms"``, ``"p99_ms"``, ``"cpu_ms_per_request"``): the 95th percentile
        of the ratio that the same variant shows against itself, 1 or more.
    pairs : how many such ratios each rests on.
    stolen : share of the CPU time asked for that a hypervisor took meanwhile.
    """

    schema_version: int
    measured_at: str
    machine: str
    cpus: Mapping[str, tuple[int, ...]]
    max_rps: float
    send_lag: Mapping[str, Percentiles]
    errors: tuple[RecordingError, ...]
    noise: Mapping[str, float]
    pairs: int
    stolen: float = 0.0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run was: everything that is needed to read it and to repeat it.

    `canary` is the machine's own pace before the run, see :func:`asyncdb_bench.canary.canary`.
    """

    schema_version: int
    run_id: str
    started_at: str
    seed: int
    command: tuple[str, ...]
    git: Mapping[str, Any]
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    services: tuple[ServiceInfo, ...]
    plan: Plan
    pinning: Pinning = Pinning()
    calibration: Calibration | None = None
    notes: tuple[str, ...] = ()
    canary: Mapping[str, float] = field(default_factory=dict)
