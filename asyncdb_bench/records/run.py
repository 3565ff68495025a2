"""What a run was: the manifest, and what is recorded beside its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncdb_bench.records.files import LaunchSpread
from asyncdb_bench.records.plan import Pinning, Plan
from asyncdb_bench.records.step import Percentiles

SCHEMA_VERSION = 7


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """A service as it was used: kind, version, where from, the settings that matter."""

    name: str
    kind: str
    version: str
    source: str
    settings: Mapping[str, str] = field(default_factory=dict)


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
    stolen : share of the CPU time asked for that a hypervisor took meanwhile.
    load_processes : that offered the load.
    workers : of several each one's highest rate on schedule, 1/s.
    """

    schema_version: int
    measured_at: str
    machine: str
    cpus: Mapping[str, tuple[int, ...]]
    max_rps: float
    send_lag: Mapping[str, Percentiles]
    errors: tuple[RecordingError, ...]
    stolen: float = 0.0
    load_processes: int = 1
    workers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run was: everything that is needed to read it and to repeat it.

    `canary` is the machine's own pace before the run, see :mod:`asyncdb_bench.processes.host`;
    `hosts` are the other machines that played a role, as `machine` is this one; `launches` is how
    launches strayed on it in earlier runs, which intervals start from.
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
    pinning: Pinning = field(default_factory=Pinning)
    calibration: Calibration | None = None
    notes: tuple[str, ...] = ()
    canary: Mapping[str, float] = field(default_factory=dict)
    hosts: Mapping[str, Any] = field(default_factory=dict)
    launches: Mapping[str, LaunchSpread] = field(default_factory=dict)
