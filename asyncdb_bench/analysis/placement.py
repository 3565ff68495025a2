"""Where a variant's processes may run, and what it does per core and per host. Pure.

Celery's point is that its work can stand elsewhere. Whether its workers share the application's
cores or have their own decides what its figures say, so it is said beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from asyncdb_bench.plan.cores import worker_cores
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import Step
from asyncdb_bench.text import listed


class Where(StrEnum):
    """Where workers run, seen from the application."""

    NONE = "there are none"
    SHARED = "on its cores"
    OWN = "on cores of their own"
    HOST = "on a host of their own"
    ANYWHERE = "not pinned"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a variant's processes may run.

    Parameters
    ----------
    where : its workers.
    app, workers : cores of each; 0: not pinned.
    cores : of both together; 0: not known.
    hosts : machines that they stand on.
    beside : roles on the workers' own cores.
    """

    where: Where
    app: int
    workers: int
    cores: int
    hosts: int
    beside: tuple[str, ...] = ()


def placement_of(variant: Variant, manifest: Manifest) -> Placement:
    """Return where a variant's processes may run in a run."""
    hosts = manifest.plan.hosts
    app_host, worker_host = (next(iter(hosts.of(r)), None) for r in ("application", "workers"))
    app = _cores(app_host.cores.get("application", ()) if app_host else manifest.pinning.of("app"))
    workers = _cores(
        worker_host.cores.get("workers", ())
        if worker_host
        else worker_cores(manifest.pinning, variant)
    )
    if not variant.parts:
        return Placement(Where.NONE, len(app), 0, len(app), 1)
    if (app_host.name if app_host else "") != (worker_host.name if worker_host else ""):
        known = len(app) + len(workers) if app and workers else 0
        return Placement(Where.HOST, len(app), len(workers), known, 2)
    if not app or not workers:
        return Placement(Where.ANYWHERE, len(app), len(workers), 0, 1)
    where = Where.SHARED if app & workers else Where.OWN
    beside = tuple(
        role
        for role in ("postgresql", "broker", "load")
        if where is Where.OWN and workers & set(manifest.pinning.of(role))
    )
    return Placement(where, len(app), len(workers), len(app | workers), 1, beside)


def _cores(given: Sequence[int]) -> frozenset[int]:
    return frozenset(given)


def workers_sentence(variants: Sequence[Variant], manifest: Manifest) -> str:
    """Say which of the two the figures of strategies with workers are; empty: there are none."""
    by_place: dict[tuple[Where, int, tuple[str, ...]], list[str]] = {}
    for each in variants:
        found = placement_of(each, manifest)
        if found.where is not Where.NONE:
            key = (found.where, found.workers, found.beside)
            by_place.setdefault(key, []).append(each.label)
    said = [_said(*place, names) for place, names in by_place.items()]
    return "; ".join(said)


def _said(where: Where, cores: int, beside: tuple[str, ...], names: Sequence[str]) -> str:
    of = f"{listed(names)}: the figures of workers"
    if where is Where.SHARED:
        return f"{of} that share the application's {'core' if cores == 1 else f'{cores} cores'}"
    if where is Where.OWN:
        own = "a core" if cores == 1 else f"{cores} cores"
        return (
            f"{of} on {own} shared with {listed(beside)}"
            if beside
            else f"{of} on {own} of their own"
        )
    return f"{of} on a host of their own" if where is Where.HOST else f"{of} that are not pinned"


@dataclass(frozen=True, slots=True)
class PerCore:
    """What a variant does with what it was given.

    Parameters
    ----------
    placement : of its processes.
    pace_rps : requests a second with always something to do; of a ladder the highest load carried.
    per_core, per_host : of that; None: the cores are not known.
    per_cpu_s, per_app_cpu_s : requests for a second of CPU time of application and workers, and of
        the application alone; None: not known.
    """

    placement: Placement
    pace_rps: float
    per_core: float | None
    per_host: float
    per_cpu_s: float | None
    per_app_cpu_s: float | None


def per_core(variant: Variant, steps: Sequence[Step], manifest: Manifest) -> PerCore | None:
    """Return what a variant does per core and per host in one scenario; None: it is not known.

    Parameters
    ----------
    variant : which.
    steps : its sound ones of the scenario.
    manifest : of the run.
    """
    full = [each for each in steps if each.turn.kind == "pace"]
    if not full:
        held = [each for each in steps if each.turn.kind == "rung" and each.holds]
        most = max((each.offered_rps for each in held), default=0.0)
        full = [each for each in held if each.offered_rps == most]
    if not full:
        return None
    place = placement_of(variant, manifest)
    pace = sum(each.achieved_rps for each in full) / len(full)
    answers = sum(each.ledger.ok for each in full)
    app, workers = (
        sum(each.usage[role].cpu_s for each in full if role in each.usage)
        for role in ("app", "workers")
    )
    return PerCore(
        place,
        pace,
        pace / place.cores if place.cores else None,
        pace / place.hosts,
        answers / (app + workers) if app + workers else None,
        answers / app if app else None,
    )
