"""Operational laws: what measured service demands permit at most. Pure.

A resource that serves `n` requests at once, each for `S` seconds, completes at most `n / S` per
second; at a throughput `X` it is busy the share `X * S / n` of the time (the utilisation law;
Denning and Buzen, *The Operational Analysis of Queueing Network Models*, 1978).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asyncdb_bench.plan.cores import worker_cores
from asyncdb_bench.records.plan import Pinning, Variant
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

    @property
    def handler_ms(self) -> float:
        """The handler's whole time with a request."""
        return sum(self.phases.get(name, 0.0) for name in ("pool", "database", "python"))


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
        return seen.handler_ms
    return seen.phases.get("held" if resource == "connections" else "run", 0.0)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What theory permits at most.

    Parameters
    ----------
    resource : the one that would be exhausted first.
    rps : its ceiling, 1/s.
    law : how it comes about, e.g. ``"8 connections / 51.2 ms"``.
    others : the ceilings of the other resources, 1/s.
    """

    resource: str
    rps: float
    law: str
    others: Mapping[str, float]


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
    others = {name: rps for name, (rps, _) in found.items() if name != lowest}
    return Ceiling(lowest, found[lowest][0], found[lowest][1], others)


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
