"""The frozen dataclasses that pass between rooms; imports nothing of ours.

Units are in the names. Times within a run are integers of nanoseconds or microseconds on
CLOCK_MONOTONIC; they become milliseconds only where they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 1

HEARTBEAT_US = 1000
"""Between two beats of the application's heartbeat, whose lateness is the loop lag."""

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
class Variant:
    """A strategy with its knob values: what a run compares.

    Parameters
    ----------
    label : unique in the run, e.g. ``"executor:threads=32"``.
    strategy : name or ``path/to/file.py:ClassName``.
    knobs : every knob's value, defaults included.
    budget : database connections it may use at once, all processes together.
    parts : extra processes by role, with their number.
    not_run : why it cannot be run here, empty where it can.
    """

    label: str
    strategy: str
    knobs: Mapping[str, Any]
    budget: int
    parts: Mapping[str, int] = field(default_factory=dict)
    not_run: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A scenario with its knob values, as this run asks it."""

    label: str
    scenario: str
    knobs: Mapping[str, Any]
    objective: Objective
    ladder: tuple[float, ...]
    mix: Mapping[str, float]


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


@dataclass(frozen=True, slots=True)
class Trial:
    """Fresh processes for one variant in one scenario; `id` says its place in the run."""

    id: str
    block: int
    variant: str
    scenario: str


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
    """What one role (application, workers, broker, PostgreSQL, load) used during a step."""

    cpu_s: float
    rss_mb: float
    pss_mb: float | None
    processes: int


@dataclass(frozen=True, slots=True)
class Step:
    """A line of ``steps.jsonl``: one offered load inside a trial.

    `latency` counts from the intended arrival, `service` from the actual send, both over right
    answers and those that were given up (with the time they had waited); `latency_bounds` are
    95 % bounds of p50, p95 and p99 within this step, milliseconds; `loop_lag` is what an arrival
    at any moment would have waited for the application's event loop. `holds` is the scenario's
    objective; `valid` is whether the measurement is sound.
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


@dataclass(frozen=True, slots=True)
class TrialEnd:
    """How a trial ended: `why` the ladder stopped, and `failure` where it broke."""

    trial: str
    block: int
    scenario: str
    variant: str
    why: str
    seconds: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """A service as it was used: kind, version, where from, the settings that matter."""

    name: str
    kind: str
    version: str
    source: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run was: everything that is needed to read it and to repeat it."""

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
