"""Steps and trials -> accounts: what was used, what waited, what was given. Pure.

Celery's point is that its work can stand elsewhere. Whether its workers share the application's
cores or have their own decides what its figures say, so it is said beside them.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.plan.cores import worker_cores
from asyncdb_bench.records.doubts import sentence
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import Backlog, Chat, Step, TaskQueue, TrialEnd
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


BUSY_CORES, STOLEN = 0.15, 0.05
"""From where on a reader should know that others used the machine."""


def notes(
    manifest: Manifest, ends: Sequence[TrialEnd], records: Sequence[Step]
) -> list[tuple[str, list[str]]]:
    """Return circumstances that a reader should know, and where each applied."""
    found: dict[str, list[str]] = {note: [] for note in manifest.notes}
    if manifest.pinning.problem:
        found[manifest.pinning.problem] = []
    found |= {note: [] for note in busy_notes(records, manifest.machine.get("cores", 0))}
    for step in records:
        for note in step.notes:
            where = f"{step.scenario} · {step.variant} at {step.offered_rps:g}/s"
            found.setdefault(sentence(note), []).append(where)
    for end in ends:
        # what was lost stands among the trials that failed
        for note in (*end.notes, *(each for each in end.reasons if not each.breaking)):
            found.setdefault(sentence(note), []).append(f"{end.scenario} · {end.variant}")
    return [(note, list(dict.fromkeys(where))) for note, where in found.items()]


def busy_notes(records: Sequence[Step], cores: int) -> list[str]:
    """Return what others took of the machine while it was measured.

    Parameters
    ----------
    records : turns.
    cores : of the machine; 0: not known.
    """
    loaded = [step for step in records if step.turn.kind != "idle"]
    if not loaded:
        return []
    others = statistics.median(step.others_cores for step in loaded)
    stolen = statistics.median(step.stolen for step in loaded)
    found = []
    if others > BUSY_CORES:
        of = f" of {cores}" if cores else ""
        found.append(
            f"other processes used {others:.1f}{of} cores while it was measured (median of turns):"
            " the figures are those of a busy machine"
        )
    if stolen > STOLEN:
        found.append(f"a hypervisor took {stolen:.0%} of the CPU time asked for (median of turns)")
    return found


def steps_compared(records: Sequence[Step], comparison: Comparison) -> dict[str, list[Step]]:
    """Return each variant's sound steps at the common load of a scenario, one per launch."""
    return {
        variant: [
            step
            for step in records
            if step.valid
            and (step.scenario, step.variant, step.offered_rps)
            == (comparison.scenario, variant, comparison.common_rps)
        ]
        for variant in comparison.rows.index
    }


def used_by_role(
    records: Sequence[Step], comparison: Comparison
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return what each role of a variant used at the common load; means over launches.

    Returns
    -------
    By variant: CPU of a request in milliseconds, context switches of a request, memory in MB, and
    bytes of a request.
    """
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for variant, own in steps_compared(records, comparison).items():
        steps = [step for step in own if step.ledger.ok]
        if not steps:
            continue
        answers = sum(step.ledger.ok for step in steps)
        used = {
            role: uses
            for role in ROLES
            if (uses := [step.usage[role] for step in steps if role in step.usage])
        }
        switches = {role: [u.switches for u in each] for role, each in used.items()}
        found[variant] = {
            "cpu": {r: sum(u.cpu_s for u in each) * 1000 / answers for r, each in used.items()},
            "switches": {
                role: sum(filter(None, each)) / answers if any(each) else None
                for role, each in switches.items()
            },
            "rss": {role: max(u.rss_mb for u in each) for role, each in used.items()},
            "wire": {n: sum(step.wire.get(n, 0) for step in steps) / answers for n in WIRE},
        }
    return found


def most_waiting(
    records: Sequence[Step], comparison: Comparison
) -> dict[str, tuple[Backlog, TaskQueue | None]]:
    """Return what waited at the common load, by variant, in the launch where most did.

    Of one launch, whole: a mean of peaks belongs to no step.
    """
    found = {}
    for variant, own in steps_compared(records, comparison).items():
        known = [(step.backlog, step.tasks) for step in own if step.backlog is not None]
        if known:
            found[variant] = max(known, key=lambda each: each[0].peak)
    return found


def worst_chats(records: Sequence[Step], comparison: Comparison) -> dict[str, Chat]:
    """Return what the members of a chat felt at the common load, by variant; the worst launch."""
    return {
        variant: max(chats, key=lambda chat: (chat.frozen_s, chat.delivery.p99_ms or 0))
        for variant, own in steps_compared(records, comparison).items()
        if (chats := [step.chat for step in own if step.chat is not None])
    }


def under_load(records: Sequence[Step]) -> dict[str, float]:
    """Return the most memory that each variant's processes and broker used in any step, MB."""
    found: dict[str, float] = {}
    for step in records:
        roles = [step.usage[role] for role in ("app", "workers") if role in step.usage]
        if step.tasks is not None and "broker" in step.usage:
            roles.append(step.usage["broker"])
        used = sum(each.rss_mb if each.pss_mb is None else each.pss_mb for each in roles)
        found[step.variant] = max(found.get(step.variant, 0.0), used)
    return found


ROLES = ("app", "workers", "broker", "postgresql", "load")
WIRE = ("client_sent", "client_received", "loopback")


def database_counts(records: Sequence[Step], ends: Sequence[TrialEnd]) -> dict[str, Any]:
    """Return what the database counted for some steps and trials beside what was expected."""
    audits = [step.audit for step in records if step.audit is not None]
    rows = [each for each in audits if each.rows is not None and each.rows_least is not None]
    whole = [end.audit for end in ends if end.audit is not None]
    known = [each for each in whole if each.transactions is not None]
    return {
        "rows": sum(each.rows or 0 for each in rows) if rows else None,
        "rows_expected": _range(
            sum(each.rows_least or 0 for each in rows), sum(each.rows_most or 0 for each in rows)
        ),
        "transactions": sum(each.transactions or 0 for each in known) if known else None,
        "transactions_expected": _range(
            sum(each.transactions_least for each in known),
            sum(each.transactions_most for each in known),
        ),
    }


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def fairness(
    manifest: Manifest,
    steps: pd.DataFrame,
    records: Sequence[Step],
    ends: Sequence[TrialEnd],
) -> list[dict[str, Any]]:
    """Return what each variant was given, as declared and as seen."""
    rows = []
    for variant in manifest.plan.variants:
        own = steps[steps.variant == variant.label]
        peak, active = own.connections_peak.dropna(), own.connections_active_peak.dropna()
        rows.append(
            {
                "variant": variant,
                "peak": int(peak.max()) if len(peak) else None,
                "active": int(active.max()) if len(active) else None,
                "memory_mb": float(own.memory_mb.max()) if len(own) else None,
                "counted": database_counts(
                    [step for step in records if step.variant == variant.label],
                    [end for end in ends if end.variant == variant.label],
                ),
                "knobs": ", ".join(f"{key}={value}" for key, value in variant.knobs.items()),
                "parts": ", ".join(f"{part.copies} x {part.role}" for part in variant.parts),
            }
        )
    return rows
