"""What a step measured: a line of ``steps.jsonl``, and how its trial ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from asyncdb_bench.records.doubts import Doubt
from asyncdb_bench.records.plan import Purpose, Trial, TurnKind


def request_columns(
    trial: str, step: int, operations: Sequence[str], scratch: Path, latency_us: Any
) -> dict[str, Any]:
    """Return the columns of ``requests.parquet`` from the load's scratch file.

    Times are microseconds on CLOCK_MONOTONIC; null where a request was not sent or not answered.
    `latency_us` is the latency that counts, see :mod:`asyncdb_bench.analysis.step.durations`; null
    where a request does not.

    Parameters
    ----------
    trial, step : whose.
    operations : names, in the order of the file's numbers.
    scratch : written by the load.
    latency_us : of each request; negative where it does not count, shape (n,).
    """
    import numpy as np
    import pyarrow as pa

    with np.load(scratch) as file:
        raw = {name: file[name] for name in file.files}
    count = len(raw["intended_ns"])

    def instants(name: str) -> Any:
        values = raw[name]
        return pa.array((values / 1000).round().astype(np.int64), mask=values == 0)

    return {
        "trial": pa.DictionaryArray.from_arrays(np.zeros(count, np.int8), [trial]).cast(
            pa.string()
        ),
        "step": np.full(count, step, np.int16),
        "operation": pa.DictionaryArray.from_arrays(raw["operation"], list(operations)).cast(
            pa.string()
        ),
        "intended_us": instants("intended_ns"),
        "sent_us": instants("sent_ns"),
        "done_us": instants("done_ns"),
        "status": raw["status"].astype(np.int16),
        "outcome": raw["outcome"].astype(np.int8),
        "latency_us": pa.array(latency_us, mask=latency_us < 0),
        **{
            f"{name}_us": pa.array(raw[f"{name}_us"], mask=raw[f"{name}_us"] < 0)
            for name in PHASES
            if name != "send_lag"
        },
        **{f"{name}_us": instants(f"{name}_ns") for name in TASK_STAMPS},
    }


@dataclass(frozen=True, slots=True)
class Work:
    """What statements did.

    Parameters
    ----------
    commits : transactions that were committed explicitly.
    rows : returned or changed.
    seconds : that the database took for them.
    sessions : connections that were opened.
    """

    commits: int
    rows: int
    seconds: float = 0.0
    sessions: int = 0

    def __sub__(self, earlier: Work) -> Work:
        return Work(
            self.commits - earlier.commits,
            self.rows - earlier.rows,
            self.seconds - earlier.seconds,
            self.sessions - earlier.sessions,
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """What an application holds at a moment: threads and connections; None: not known."""

    threads: int | None = None
    connections: int | None = None


@dataclass
class Observed:
    """What was seen during one step.

    `stolen` is the share of the CPU time asked for that a hypervisor took, `others_cores` how many
    cores processes used that are not of the run; `work` is what the
    database counted meanwhile, None where it does not tell; `problem` says why it could not be
    watched, or not to the end; `broken` that it was restarted or ended sessions meanwhile; `taken`
    is what the application held at its beginning and its end.
    """

    usage: dict[str, Usage] = field(default_factory=dict)
    threads: Threads | None = None
    loopback_bytes: int | None = None
    stolen: float = 0.0
    others_cores: float = 0.0
    connections: list[tuple[int, int]] = field(default_factory=list)
    rows: list[tuple[int, str, float]] = field(default_factory=list)
    work: Work | None = None
    problem: str = ""
    broken: str = ""
    taken_before: Taken = field(default_factory=Taken)
    taken_after: Taken = field(default_factory=Taken)

    @property
    def connections_peak(self) -> int | None:
        """The most connections that were open."""
        return max((total for total, _ in self.connections), default=None)

    @property
    def connections_active_peak(self) -> int | None:
        """The most that were busy at once."""
        return max((active for _, active in self.connections), default=None)

    @property
    def connections_active_mean(self) -> float | None:
        """How many were busy on average."""
        if not self.connections:
            return None
        return sum(active for _, active in self.connections) / len(self.connections)


HEARTBEAT_US = 1000
"""Between two beats of the application's heartbeat, whose lateness is the loop lag."""


PROBE_EVERY_S = 0.05
"""Between two probes of the health route, which does no database work."""


class Outcome(IntEnum):
    """What may become of an arrival; the number is the one on disk."""

    UNDRAINED = 0
    OK = 1
    ERROR = 2
    TIMEOUT = 3
    SKIPPED = 4


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
class LoadWorker:
    """What one of several load processes did in a step.

    Parameters
    ----------
    name, host : whose.
    arrivals : of the step's plan that it offered.
    cpu_s : CPU time that it used.
    offset_ms, error_ms : what its clock read more than the master's, and by how much that may be
        wrong.
    late_ms : by how much it began after the agreed moment, on its own clock.
    send_lag_p50_ms : median from the intended arrival to the send; None: it sent nothing.
    handed_over_s : from the end of the step until all its records had come.
    """

    name: str
    host: str
    arrivals: int
    cpu_s: float
    offset_ms: float
    error_ms: float
    late_ms: float
    send_lag_p50_ms: float | None = None
    handed_over_s: float = 0.0

    @property
    def apart_ms(self) -> float:
        """By how much its start may have differed from the agreed one, milliseconds."""
        return self.error_ms + self.late_ms


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
class TaskQueue:
    """A step's task queue at the broker.

    Parameters
    ----------
    depth_mean, depth_peak : tasks ready in the broker, counted every 20 ms until the last answer.
    in_broker, in_worker : time from publishing until a worker received it, and from then until it
        ran.
    oldest_ms : the longest that any task waited in the broker.
    """

    depth_mean: float
    depth_peak: int
    in_broker: Percentiles
    in_worker: Percentiles
    oldest_ms: float


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
class Span:
    """A part of an overload, and what became of the requests that were due in it.

    Parameters
    ----------
    seconds : its length.
    due : requests.
    right : answered rightly while their client still waited.
    left : whose client had gone.
    timed_out, refused : by the application, 504 and 503.
    """

    seconds: float
    due: int
    right: int
    left: int = 0
    timed_out: int = 0
    refused: int = 0

    @property
    def share(self) -> float:
        """Of those due, answered in time."""
        return self.right / self.due if self.due else 0.0


@dataclass(frozen=True, slots=True)
class Overloaded:
    """What a variant did while it was asked for more than it can, and after.

    Parameters
    ----------
    factor, pace_rps : the load was so many times the variant's own pace.
    patience_ms : after which clients gave up.
    before, during, after : the three parts of the turn.
    recovery_s : from the overload's end until latency was back to what it was before; None: it was
        not within the turn.
    calm_ms : the latency up to which it counts as back.
    for_nobody, for_nobody_s : requests that the database carried out and nobody waited for, and
        the seconds that it took for them; None: it does not tell.
    sessions : connections that were opened to the database meanwhile; None: it does not tell.
    rest_s : from the last answer until nothing was under way; None: it still was.
    taken_before, taken_after : what the application held.
    bin_s, answered : right answers by when they were due, in equal parts of the turn.
    """

    factor: float
    pace_rps: float
    patience_ms: float
    before: Span
    during: Span
    after: Span
    recovery_s: float | None
    calm_ms: float
    for_nobody: int | None
    for_nobody_s: float | None
    sessions: int | None
    rest_s: float | None
    taken_before: Taken
    taken_after: Taken
    bin_s: float
    answered: tuple[int, ...]

    @property
    def share(self) -> float:
        """Right answers in time of those that the pace allows, from the overload's begin on."""
        could = self.pace_rps * self.during.seconds + self.after.due
        return (self.during.right + self.after.right) / could if could else 0.0

    @property
    def share_during(self) -> float:
        """The same within the overload alone."""
        could = self.pace_rps * self.during.seconds
        return self.during.right / could if could else 0.0


OPEN_KINDS: tuple[TurnKind, ...] = ("common", "share", "limit")
"""Turns under the open model: points of the curve of latency against offered load."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a step was for: one of the many short turns of a variant in a launch.

    Parameters
    ----------
    kind : what it is for.
    round : of its scenario in the launch, from 0.
    connections : of the closed loop; 0: it was an open model.
    share : offered load over the variant's own pace; None where that was not known.
    beats : of the applications' heartbeats: what they cost is taken off with the idle use.
    used_while_paused : CPU seconds that the variant used since its turn before, which it should
        not have.
    awake : labels of other variants that could not be paused.
    """

    kind: TurnKind
    round: int
    connections: int = 0
    share: float | None = None
    beats: int = 0
    used_while_paused: float = 0.0
    awake: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A line of ``steps.jsonl``: one turn of a trial.

    Parameters
    ----------
    run_id, trial, block, scenario, variant, strategy, step, purpose : whose it is.
    offered_rps, arrivals_rps, achieved_rps : asked for, really sent within the window, completed.
    window_s, lasted_s : the measured window, and the time until the last answer, over which CPU
        time counts.
    started_at : wall clock.
    ledger, errors : where the arrivals went, and failures by reason.
    latency, service : from the intended arrival and from the actual send, over the population of
        :mod:`asyncdb_bench.analysis.step.durations`.
    latency_bounds : 95 % bounds of p50, p95 and p99 within this step, milliseconds.
    send_lag : from the intended arrival to the actual send.
    closed_loop, closed_loop_users : the latency that a closed loop of so many users would have
        believed, see :func:`closed_loop`.
    loop_lag : what an arrival at any moment would have waited for the application's event loop.
    probe : what a request without database work took from outside, from its intended start.
    phases : those of :data:`PHASES` over the right answers that were sampled, with `held` (a
        connection checked out) and `run` (a thread or worker occupied) beside them.
    usage, threads, wire : what was used by role, who ran in the application, and bytes.
    stolen, others_cores : the share of the CPU time asked for that a hypervisor took, and how many
        cores processes used that are not of the run.
    connections_peak, connections_active_peak, connections_active_mean : counted in the database.
    gauges : the highest value of each.
    audit : what the database counted beside the ledger.
    drift, steady : median latency of the window's second half over that of its first (None: too
        little to tell), and whether that is within what chance makes.
    backlog, tasks, chat, outages : what waited, the task queue, what the members of a chat felt,
        and where several requests in a row failed.
    holds, misses : whether the objective held, and in what it was missed.
    valid, reasons : whether the measurement is sound, and why not.
    doubts : what its figures are uncertain for: each is carried into the intervals that it touches.
    notes : what a reader should know, and that touches no figure.
    turn : what it was for.
    load : what each of several load processes did; empty: there was one.
    overload : what it did in an overload; None: it was none.
    latency_counts, service_counts, lag_counts : the distributions of latency, service latency and
        loop lag, to be merged with other turns', see
        :mod:`asyncdb_bench.analysis.step.histogram`.
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
    misses: tuple[Doubt, ...]
    valid: bool
    reasons: tuple[Doubt, ...]
    turn: Turn
    arrivals_rps: float = 0.0
    probe: Percentiles = Percentiles(0)
    closed_loop: Percentiles = Percentiles(0)
    closed_loop_users: int = 0
    phases: Mapping[str, Percentiles] = field(default_factory=dict)
    connections_active_mean: float | None = None
    threads: Threads | None = None
    wire: Mapping[str, int] = field(default_factory=dict)
    stolen: float = 0.0
    others_cores: float = 0.0
    lasted_s: float = 0.0
    audit: Audit | None = None
    drift: float | None = None
    steady: bool = True
    doubts: tuple[Doubt, ...] = ()
    notes: tuple[Doubt, ...] = ()
    backlog: Backlog | None = None
    tasks: TaskQueue | None = None
    chat: Chat | None = None
    outages: tuple[Outage, ...] = ()
    purpose: Purpose = "measure"
    latency_counts: tuple[tuple[int, int], ...] = ()
    service_counts: tuple[tuple[int, int], ...] = ()
    lag_counts: tuple[tuple[int, int], ...] = ()
    load: tuple[LoadWorker, ...] = ()
    overload: Overloaded | None = None


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """The round trip that a trial really had, measured from the application's cores.

    Parameters
    ----------
    to : ``"database"`` or ``"broker"``.
    asked_ms : for; 0: it is as it is.
    before_ms, after_ms : medians before the first load and after the last; None: not measured.
    """

    to: str
    asked_ms: float
    before_ms: float | None
    after_ms: float | None

    @property
    def measured_ms(self) -> float | None:
        """The mean of both, or the one that there is."""
        known = [each for each in (self.before_ms, self.after_ms) if each is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True, slots=True)
class TrialEnd:
    """How a trial ended, and `failure` where it broke.

    `audit` is of all scenarios that the same processes were asked, from ``pg_stat_database``;
    `reasons` are why none of its steps is sound; `round_trips` are those to the services.
    """

    trial: str
    block: int
    scenario: str
    variant: str
    seconds: float
    failure: str = ""
    audit: Audit | None = None
    reasons: tuple[Doubt, ...] = ()
    notes: tuple[Doubt, ...] = ()
    purpose: Purpose = "measure"
    round_trips: tuple[RoundTrip, ...] = ()

    @classmethod
    def of(cls, trial: Trial, seconds: float, failure: str = "") -> TrialEnd:
        """Return how a trial ended; parameters as of the class."""
        return cls(
            trial=trial.id,
            block=trial.block,
            scenario=trial.scenario,
            variant=trial.variant,
            seconds=seconds,
            failure=failure,
            purpose=trial.purpose,
        )

    @property
    def lost(self) -> bool:
        """Whether a part of it was lost, so that nothing that it measured is used."""
        return any(doubt.breaking for doubt in self.reasons)


PHASES = ("send_lag", "arrival", "queue", "pool", "database", "python", "reply", "back")
"""All phases of a request in the order in which it passes them; they add up to its latency."""


TASK_STAMPS = ("published", "received", "started")
"""When a request's task was handed to the broker, came to a worker, and ran: CLOCK_MONOTONIC."""
