"""What held a capacity down: the ceiling by theory, the bottleneck, the phases. Pure.

Strategies are not known here: what is looked at is who used the cores, which phase grew, and which
resource was busy all the time.

A resource that serves `n` requests at once, each for `S` seconds, completes at most `n / S` per
second; at a throughput `X` it has `X * S` requests in it on average (Little, *A proof for the
queuing formula L = λW*, Operations Research 9, 1961) and is busy the share `X * S / n` of the time
(the utilisation law; Denning and Buzen, *The Operational Analysis of Queueing Network Models*,
1978). What a CPU is asked for bounds that: adding threads adds no cores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from asyncdb_bench.plan.cores import worker_cores
from asyncdb_bench.records.plan import Pinning, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import PHASES, Step

LEAST_SAMPLES = 30
APART = 0.15
"""A capacity that differs from its ceiling by more than this share wants an explanation."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The means of some steps at one offered load.

    Parameters
    ----------
    offered_rps, completed_rps : 1/s.
    phases : mean milliseconds by name, `held` and `run` among them.
    cpu : cores in use by role.
    loop_cpu, other_cpu : cores used by the application's loop thread and by its other threads.
    active : database connections busy, on average; None: not observed.
    loop_lag_p99_ms : of the application.
    samples : requests whose phases are known.
    stolen : share of the CPU time asked for that a hypervisor took.
    """

    offered_rps: float
    completed_rps: float
    phases: Mapping[str, float]
    cpu: Mapping[str, float]
    loop_cpu: float
    other_cpu: float
    active: float | None
    loop_lag_p99_ms: float
    samples: int
    stolen: float = 0.0


def picture(steps: Sequence[Step]) -> Picture:
    """Return the means of some steps at one offered load; at least one."""
    names = {name for step in steps for name in step.phases}
    roles = {role for step in steps for role in step.usage}
    threads = [(step.threads, _seconds(step)) for step in steps if step.threads is not None]
    active = [s.connections_active_mean for s in steps if s.connections_active_mean is not None]
    return Picture(
        offered_rps=steps[0].offered_rps,
        completed_rps=_mean([step.achieved_rps for step in steps]),
        phases={
            name: _mean([s.phases[name].mean_ms or 0.0 for s in steps if name in s.phases])
            for name in names
        },
        cpu={
            role: _mean([s.usage[role].cpu_s / _seconds(s) for s in steps if role in s.usage])
            for role in roles
        },
        loop_cpu=_mean([each.loop_cpu_s / seconds for each, seconds in threads]),
        other_cpu=_mean([each.other_cpu_s / seconds for each, seconds in threads]),
        active=_mean(active) if active else None,
        loop_lag_p99_ms=_mean([step.loop_lag.p99_ms or 0.0 for step in steps]),
        samples=sum(step.phases["back"].n for step in steps if "back" in step.phases),
        stolen=_mean([step.stolen for step in steps]),
    )


def _seconds(step: Step) -> float:
    return max(step.lasted_s, step.window_s)


def pictures(steps: Sequence[Step]) -> list[Picture]:
    """Return a picture for each offered load, ascending."""
    loads = sorted({step.offered_rps for step in steps})
    return [picture([step for step in steps if step.offered_rps == load]) for load in loads]


def busy(seen: Picture, limits: Mapping[str, int]) -> dict[str, float]:
    """Return the share of time that each limited resource was busy, by the utilisation law."""
    return {
        name: seen.completed_rps * demand_ms(seen, name) / 1000 / limit
        for name, limit in limits.items()
        if limit > 0
    }


def demand_ms(seen: Picture, resource: str) -> float:
    """Return how long a request occupies a resource, milliseconds."""
    if resource == "handler":
        return sum(seen.phases.get(name, 0.0) for name in ("pool", "database", "python"))
    return seen.phases.get("held" if resource == "connections" else "run", 0.0)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What theory permits at most.

    Parameters
    ----------
    resource : the one that would be exhausted first.
    rps : its ceiling, 1/s.
    law : how it comes about, e.g. ``"8 connections / 51.2 ms"``.
    """

    resource: str
    rps: float
    law: str


def ceiling(seen: Sequence[Picture], variant: Variant, pinning: Pinning) -> Ceiling | None:
    """Return the lowest ceiling of one variant in one scenario; None where nothing was measured.

    Each demand is the smallest that was measured at any load: what makes it larger (waiting for
    a core, for the GIL, for the loop) is not the resource's own.

    Parameters
    ----------
    seen : one picture per offered load.
    variant : for the limits.
    pinning : for the cores.
    """
    known = [each for each in seen if each.samples >= LEAST_SAMPLES and each.completed_rps > 0]
    if not known:
        return None
    found: dict[str, tuple[float, str]] = {}
    for name, limit in variant.limits.items():
        demand = min(demand_ms(each, name) for each in known)
        if demand > 0:
            law = f"{limit} {_noun(name, limit)} / {demand:.3g} ms"
            found[name] = (limit * 1000 / demand, law)
    for name, roles, cores in (
        ("application CPU", ("app",), app_cores(variant, pinning)),
        *_with_workers(variant, pinning),
        ("PostgreSQL CPU", ("postgresql",), len(pinning.of("postgresql"))),
    ):
        cost = min(_cpu_ms(each, roles) for each in known)
        if cost > 0 and cores:
            noun = "core" if cores == 1 else "cores"
            found[name] = (cores * 1000 / cost, f"{cores} {noun} / {cost:.3g} ms of CPU")
    if not found:
        return None
    lowest = min(found, key=lambda name: found[name][0])
    return Ceiling(lowest, *found[lowest])


def _with_workers(
    variant: Variant, pinning: Pinning
) -> tuple[tuple[str, tuple[str, ...], int], ...]:
    """Return what limits workers: the cores that they share with the application, or their own."""
    app, own = set(pinning.of("app")), set(worker_cores(pinning, variant))
    if not own or app & own:
        return (("CPU of application and workers", ("app", "workers"), len(app | own)),)
    return (("CPU of workers", ("workers",), len(own)),)


def app_cores(variant: Variant, pinning: Pinning) -> int:
    """Return how many cores the application can use: one interpreter runs one thread at a time."""
    return min(variant.processes, len(pinning.of("app")) or variant.processes)


def _cpu_ms(seen: Picture, roles: Sequence[str]) -> float:
    return sum(seen.cpu.get(role, 0.0) for role in roles) * 1000 / seen.completed_rps


def _noun(resource: str, count: int) -> str:
    return resource.removesuffix("s") if count == 1 else resource


def apart(capacity_rps: float, limit: Ceiling) -> bool:
    """Return whether a capacity lies so far from its ceiling that it wants an explanation."""
    return abs(capacity_rps / limit.rps - 1) > APART


def grown(before: Picture, after: Picture) -> list[tuple[str, float, float]]:
    """Return the phases with their means before and after, those that grew most first."""
    both = [(name, before.phases.get(name, 0.0), after.phases.get(name, 0.0)) for name in PHASES]
    return sorted(both, key=lambda each: each[1] - each[2])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


FULL = 0.85
"""A core, a pool or a set of threads that is busy this share of the time is used up: on a shared
machine nothing reaches 1."""
SPREAD = 0.2
"""Share of the application's CPU outside of its loop thread from which on threads compete."""
DATABASE_GROWTH = 1.5
IDLE = 0.5
"""Workers and cores below it have little to do: tasks that wait nevertheless wait in the broker."""
ACTIVE = 0.75
"""Share of the budget from which on the connections count as all active, on average over a step
with its first and last requests."""
WORDS = {
    "send_lag": "sending late",
    "arrival": "the way to the handler",
    "queue": "waiting in the queue",
    "pool": "waiting for a connection",
    "database": "the database",
    "python": "Python",
    "reply": "the way back to the handler",
    "back": "the way back to the client",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was scarce, and the figures that show it; `bottleneck` is empty where nothing was."""

    bottleneck: str
    evidence: str


def diagnose(steps: Sequence[Step], variant: Variant, pinning: Pinning) -> Diagnosis:
    """Name the bottleneck of one variant in one scenario.

    Parameters
    ----------
    steps : its steps, all blocks.
    variant : for its limits and its budget.
    pinning : for the cores.

    Returns
    -------
    One of client, event loop, GIL, executor threads, connection pool, workers, broker, database,
    or ``"not identified"``; nothing where no step missed the objective.
    """
    missed = [step for step in steps if not step.holds and step.latency.n]
    if not missed:
        return Diagnosis("", "not saturated by the loads offered")
    load = min(step.offered_rps for step in missed)
    full = [step for step in missed if step.offered_rps == load]
    lowest = min(step.offered_rps for step in steps)
    idle = picture([step for step in steps if step.offered_rps == lowest])
    case = Case(picture(full), idle, variant, pinning, full)
    for look in (client, cores, handler, database, pool, queue, loop):
        found = look(case)
        if found is not None:
            return found
    return _unknown(case)


@dataclass(frozen=True, slots=True)
class Case:
    """A saturated load (`full`), the lowest one (`idle`), and whose they are."""

    full: Picture
    idle: Picture
    variant: Variant
    pinning: Pinning
    steps: Sequence[Step]

    @property
    def full_core(self) -> float:
        """How much of a core counts as all of it: what a hypervisor takes cannot be used."""
        return FULL * (1 - self.full.stolen)

    @property
    def busy(self) -> Mapping[str, float]:
        """Share of time that each limited resource was busy."""
        return busy(self.full, self.variant.limits)

    def grew(self, phase: str) -> str:
        """Say how a phase grew."""
        before, after = (each.phases.get(phase, 0.0) for each in (self.idle, self.full))
        return (
            f"{WORDS[phase]} took {_ms(before)} at {self.idle.offered_rps:g}/s, {_ms(after)} at"
            f" {self.full.offered_rps:g}/s"
        )


def client(case: Case) -> Diagnosis | None:
    """Look for a load generator that is out of CPU, or late in a way that shows."""
    used = case.full.cpu.get("load", 0.0)
    lag = case.full.phases.get("send_lag", 0.0)
    whole = sum(case.full.phases.get(name, 0.0) for name in PHASES)
    if used > 0.9 or (whole and lag > 0.25 * whole):
        return Diagnosis(
            "client",
            f"the load generator used {used:.2f} cores and sent {_ms(lag)} late on average",
        )
    return None


def cores(case: Case) -> Diagnosis | None:
    """Look whether the application's CPU is used up, or the cores it shares with workers."""
    own = case.full.cpu.get("app", 0.0)
    workers = case.full.cpu.get("workers", 0.0)
    theirs = set(worker_cores(case.pinning, case.variant))
    app = set(case.pinning.of("app"))
    count = len(app | theirs if app & theirs else theirs)
    shared = own if app & theirs else 0.0
    if count and workers > own and shared + workers >= case.full_core * count:
        beside = f" and the application {own:.2f}" if shared else ""
        return Diagnosis(
            "workers",
            f"workers used {workers:.2f}{beside} of their {_cores(count)}; {case.grew('queue')}",
        )
    if own < case.full_core * app_cores(case.variant, case.pinning):
        return None
    other = case.full.other_cpu
    if other >= SPREAD * own:
        return Diagnosis(
            "GIL",
            f"the application used {own:.2f} cores, {other:.2f} of them in threads beside the"
            f" loop: one interpreter runs one thread at a time; {case.grew(_most(case))}",
        )
    return Diagnosis(
        "event loop",
        f"{_loops(case)} used {case.full.loop_cpu:.2f} of"
        f" {_cores(app_cores(case.variant, case.pinning))}; loop lag p99"
        f" {_ms(case.full.loop_lag_p99_ms)}; {case.grew(_most(case))}",
    )


def handler(case: Case) -> Diagnosis | None:
    """Look for handlers that do not give the loop back while they wait."""
    share = case.busy.get("handler", 0.0)
    if share < FULL:
        return None
    used = case.full.loop_cpu
    return Diagnosis(
        "event loop",
        f"held {min(share, 1):.0%} of the time by handlers that wait for the database ({used:.2f}"
        f" of a core used); loop lag p99 {_ms(case.full.loop_lag_p99_ms)}",
    )


def database(case: Case) -> Diagnosis | None:
    """Look for connections all active and slower than when idle, or cores used up."""
    used, count = case.full.cpu.get("postgresql", 0.0), len(case.pinning.of("postgresql"))
    if count and used >= case.full_core * count:
        return Diagnosis(
            "database", f"used {used:.2f} of its {_cores(count)}; {case.grew('database')}"
        )
    before, after = (each.phases.get("database", 0.0) for each in (case.idle, case.full))
    active, budget = case.full.active, case.variant.budget
    if active is None or active < ACTIVE * budget or after < DATABASE_GROWTH * before:
        return None
    return Diagnosis(
        "database",
        f"{active:.1f} of {budget} connections active on average; {case.grew('database')}",
    )


def queue(case: Case) -> Diagnosis | None:
    """Look for threads or workers all busy, or tasks that wait although workers are free."""
    if _most(case) != "queue":
        return None
    for name, called in (("workers", "workers"), ("threads", "executor threads")):
        share = case.busy.get(name)
        if share is None:
            continue
        limit = case.variant.limits[name]
        said = f"{limit} {name}, busy {min(share, 1):.0%} of the time; {case.grew('queue')}"
        if share >= FULL:
            return Diagnosis(called, said)
        if name == "workers" and share < IDLE and _idle_cores(case):
            used = case.full.cpu.get("broker", 0.0)
            return Diagnosis("broker", f"it used {used:.2f} cores; {said}")
    return None


def _idle_cores(case: Case) -> bool:
    """Return whether application and workers leave half of their cores unused."""
    used = case.full.cpu.get("app", 0.0) + case.full.cpu.get("workers", 0.0)
    cores = {*case.pinning.of("app"), *worker_cores(case.pinning, case.variant)}
    return used < IDLE * max(len(cores), 1) * (1 - case.full.stolen)


def pool(case: Case) -> Diagnosis | None:
    """Look for connections all checked out."""
    share = case.busy.get("connections", 0.0)
    run, waited = (case.full.phases.get(name, 0.0) for name in ("run", "pool"))
    # threads that are busy waiting for a connection are not what is scarce
    inside = _most(case) == "queue" and waited > run / 2
    if share < FULL or not (inside or _most(case) == "pool"):
        return None
    limit = case.variant.limits["connections"]
    return Diagnosis(
        "connection pool",
        f"{limit} connections, checked out {min(share, 1):.0%} of the time; {case.grew('pool')}",
    )


def loop(case: Case) -> Diagnosis | None:
    """Look for a loop that is waited for though it does not use a whole core."""
    if _most(case) != "arrival" or case.full.loop_lag_p99_ms < 10:
        return None
    return Diagnosis(
        "event loop",
        f"loop lag p99 {_ms(case.full.loop_lag_p99_ms)}, {case.full.loop_cpu:.2f} of a core used;"
        f" {case.grew('arrival')}",
    )


def _unknown(case: Case) -> Diagnosis:
    return Diagnosis("not identified", f"nothing was used up; {case.grew(_most(case))}")


def _most(case: Case) -> str:
    return grown(case.idle, case.full)[0][0]


def _loops(case: Case) -> str:
    count = case.variant.processes
    return "its thread" if count == 1 else f"the threads of its {count} loops"


def _cores(count: int) -> str:
    return "core" if count == 1 else f"{count} cores"


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.2g} ms"


BUSY = 0.7
"""Share of the time that a resource may be busy where requests shall hardly wait for it."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one variant's requests need of one resource.

    Parameters
    ----------
    variant, resource : labels; the resource is one of :data:`LIMITS`.
    has : how many there are.
    occupied_ms : how long a request occupies one, the least of all loads: what makes it longer is
        waiting for something else.
    cpu_ms : CPU time of the application for a request, milliseconds.
    cores : that the application can use.
    """

    variant: str
    resource: str
    has: int
    occupied_ms: float
    cpu_ms: float
    cores: int

    def needed(self, rps: float) -> int:
        """Return how many a load needs so that each is busy :data:`BUSY` of the time at most."""
        return max(1, math.ceil(rps * self.occupied_ms / 1000 / BUSY - 1e-9))

    def pace_with(self, count: int, connections: int) -> float:
        """Return the pace that so many of it permit, 1/s.

        Parameters
        ----------
        count : of the resource.
        connections : of the closed loop: no more requests are there at once.
        """
        at_once = min(count, connections)
        permitted = at_once * 1000 / self.occupied_ms if self.occupied_ms else math.inf
        return min(permitted, self.cores * 1000 / self.cpu_ms if self.cpu_ms else math.inf)


def needs(steps: Sequence[Step], variant: Variant, pinning: Pinning) -> tuple[Need, ...]:
    """Return what a variant's requests need of each of its resources.

    Parameters
    ----------
    steps : sound ones of one scenario, at all loads.
    variant : for its limits.
    pinning : for the cores.
    """
    known = [each for each in pictures(steps) if each.samples >= LEAST_SAMPLES]
    known = [each for each in known if each.completed_rps > 0]
    if not known:
        return ()
    cpu_ms = min(each.cpu.get("app", 0.0) * 1000 / each.completed_rps for each in known)
    cores = app_cores(variant, pinning)
    return tuple(
        Need(variant.label, name, limit, occupied_ms, cpu_ms, cores)
        for name, limit in variant.limits.items()
        if (occupied_ms := min(demand_ms(each, name) for each in known)) > 0
    )


@dataclass(frozen=True, slots=True)
class Limit:
    """What held a variant's capacity down.

    Parameters
    ----------
    ceiling : what operational laws permit at most; None where nothing was measured.
    ratio : capacity / ceiling.
    explanation : where they are apart, the phase that explains it; else empty.
    diagnosis : the bottleneck at saturation, with its evidence.
    """

    ceiling: Ceiling | None
    ratio: float | None
    explanation: str
    diagnosis: Diagnosis


def phases_at(records: Sequence[Step], load: float | None) -> dict[str, dict[str, float]]:
    """Return the mean of each phase over sound steps at one load, by variant, milliseconds."""
    found: dict[str, dict[str, float]] = {}
    at_load = [record for record in records if record.valid and record.offered_rps == load]
    for variant in dict.fromkeys(record.variant for record in at_load):
        (seen,) = pictures([record for record in at_load if record.variant == variant])
        if seen.samples:
            found[variant] = {name: seen.phases.get(name, 0.0) for name in PHASES}
    return found


def limit(
    manifest: Manifest, variant: Variant, records: Sequence[Step], capacity_rps: float
) -> Limit:
    """Return what held one variant down in one scenario."""
    diagnosis = diagnose(records, variant, manifest.pinning) if records else Diagnosis("", "")
    seen = pictures([record for record in records if record.valid])
    found = ceiling(seen, variant, manifest.pinning)
    if found is None or not capacity_rps:
        return Limit(found, None, "", diagnosis)
    ratio = capacity_rps / found.rps
    explanation = ""
    if apart(capacity_rps, found):
        loads = pictures(records)
        before = loads[0]
        after = next((each for each in loads if each.offered_rps > capacity_rps), seen[-1])
        name, low, high = grown(before, after)[0]
        explanation = (
            f"{name} took {low:.3g} ms at {before.offered_rps:g}/s and {high:.3g} ms at"
            f" {after.offered_rps:g}/s"
        )
    return Limit(found, ratio, explanation, diagnosis)


def knee(by_load: pd.DataFrame) -> float | None:
    """Return the offered load from which on more load buys mostly waiting, 1/s.

    The load that maximises Kleinrock's power, throughput over response time (*Power and
    deterministic rules of thumb for probabilistic problems in computer communications*, ICC 1979),
    with the median as response time.

    Parameters
    ----------
    by_load : one variant's sound rows, see :func:`aggregate`.

    Returns
    -------
    None from fewer than three loads, of which none can be said to be a bend.
    """
    known = by_load[by_load.p50_ms.notna() & (by_load.p50_ms > 0)]
    if len(known) < 3:
        return None
    power = known.achieved_rps / known.p50_ms
    return float(known.offered_rps.iloc[int(power.to_numpy().argmax())])
