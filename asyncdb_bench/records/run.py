"""What a run was: the manifest, and what is recorded beside its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncdb_bench.records.atomic_files import LaunchSpread
from asyncdb_bench.records.plan import Pinning, Plan
from asyncdb_bench.records.step import Percentiles

SCHEMA_VERSION = 7


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
