"""Steps and trials -> accounts: what was used, what waited, what was given. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.sentences import sentence
from asyncdb_bench.records.step import Step, TrialEnd

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


def steps_compared(
    records: Sequence[Step], comparisons: Sequence[Comparison]
) -> Iterator[tuple[str, str, list[Step]]]:
    """Yield scenario, variant and its sound steps at the common load, one per block."""
    for comparison in comparisons:
        for variant in comparison.rows.index:
            place = (comparison.scenario, variant, comparison.common_rps)
            own = [
                s for s in records if s.valid and (s.scenario, s.variant, s.offered_rps) == place
            ]
            yield comparison.scenario, variant, own


def resource_rows(
    records: Sequence[Step], comparisons: Sequence[Comparison]
) -> dict[str, list[dict[str, Any]]]:
    """Return what each role used at the common load, by scenario; means over blocks."""
    found: dict[str, list[dict[str, Any]]] = {}
    for scenario, variant, own in steps_compared(records, comparisons):
        answered = [step for step in own if step.ledger.ok]
        if answered:
            found.setdefault(scenario, []).append({"variant": variant} | _resources_of(answered))
    return found


def _resources_of(steps: Sequence[Step]) -> dict[str, Any]:
    answers = sum(step.ledger.ok for step in steps)
    roles = [role for role in ROLES if any(role in step.usage for step in steps)]
    used = {role: [step.usage[role] for step in steps if role in step.usage] for role in roles}
    wire = {name: sum(step.wire.get(name, 0) for step in steps) / answers for name in WIRE}
    return {
        "cpu": {role: sum(u.cpu_s for u in each) * 1000 / answers for role, each in used.items()},
        "switches": {
            role: sum(u.switches for u in each if u.switches is not None) / answers
            if any(u.switches is not None for u in each)
            else None
            for role, each in used.items()
        },
        "rss": {role: max(u.rss_mb for u in each) for role, each in used.items()},
        "wire": {name: value for name, value in wire.items() if value},
    }


def waited(
    records: Sequence[Step], comparisons: Sequence[Comparison]
) -> dict[str, list[dict[str, Any]]]:
    """Return what waited at the common load, by scenario: surges, and queues of tasks."""
    found: dict[str, list[dict[str, Any]]] = {}
    for scenario, variant, own in steps_compared(records, comparisons):
        # the worst of the blocks, whole: a mean of peaks belongs to no step
        worst = max(own, key=_peak, default=None)
        if worst is not None and worst.backlog is not None:
            found.setdefault(scenario, []).append(
                {"variant": variant, "backlog": worst.backlog, "tasks": worst.tasks}
            )
    return found


def felt(
    records: Sequence[Step], comparisons: Sequence[Comparison]
) -> dict[str, list[dict[str, Any]]]:
    """Return what the members of a chat felt at the common load, by scenario; worst block."""
    found: dict[str, list[dict[str, Any]]] = {}
    for scenario, variant, own in steps_compared(records, comparisons):
        chats = [step.chat for step in own if step.chat is not None]
        if chats:
            worst = max(chats, key=lambda chat: (chat.frozen_s, chat.delivery.p99_ms or 0))
            found.setdefault(scenario, []).append({"variant": variant, "chat": worst})
    return found


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


def _peak(step: Step) -> int:
    return step.backlog.peak if step.backlog else 0


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
