"""Several runs -> one table: who carried what in which, and what else differs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asyncdb_bench.analysis import Comparison
from asyncdb_bench.capacities import Capacity
from asyncdb_bench.model import Manifest
from asyncdb_bench.sides import differences, unlike
from asyncdb_bench.verdict import Verdict

FIGURES = (
    ("p99_ms", "p99, ms"),
    ("loop_lag_p99_ms", "loop lag p99, ms"),
    ("cpu_ms_per_request", "CPU per request, ms"),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What one run found."""

    manifest: Manifest
    comparisons: tuple[Comparison, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """One variant in one scenario of one run.

    Parameters
    ----------
    capacity : what it carried.
    doubts : why that cannot be relied on; empty where it can.
    figures : by column, at the load that all the runs share; None: not measured soundly there.
    """

    capacity: Capacity
    doubts: tuple[str, ...]
    figures: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Beside:
    """One scenario of several runs.

    Parameters
    ----------
    scenario : its label.
    load_rps : the highest offered load that every variant held soundly in every run that has it;
        None: there is none.
    rows : by variant, what each run saw, in the runs' order; None: it did not.
    sentences : the runs' verdicts; empty: the run does not have the scenario.
    warning : how the scenario differs between the runs, where it does.
    """

    scenario: str
    load_rps: float | None
    rows: Mapping[str, tuple[Seen | None, ...]]
    sentences: tuple[str, ...]
    warning: str


def beside(runs: Sequence[Told]) -> list[Beside]:
    """Return the scenarios that any of the runs has, in the order of their first appearance."""
    names = dict.fromkeys(each.scenario for run in runs for each in run.comparisons)
    return [_beside(name, runs) for name in names]


def warnings(runs: Sequence[Told]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Return, for every run but the first: its id, what makes a comparison doubtful, what else."""
    found = []
    for run in runs[1:]:
        loud, quiet = differences(runs[0].manifest, run.manifest)
        found.append((run.manifest.run_id, tuple(loud), tuple(quiet)))
    return found


def _beside(scenario: str, runs: Sequence[Told]) -> Beside:
    held = [
        next((each for each in run.comparisons if each.scenario == scenario), None) for run in runs
    ]
    known = [each for each in held if each is not None]
    load = _shared_load(known)
    variants = dict.fromkeys(name for each in known for name in each.capacities)
    asked = [each for run in runs for each in run.manifest.plan.scenarios if each.label == scenario]
    differs = [unlike(asked[0], other) for other in asked[1:]]
    return Beside(
        scenario=scenario,
        load_rps=load,
        rows={name: tuple(_seen(each, name, load) for each in held) for name in variants},
        sentences=tuple(
            next((v.sentence for v in run.verdicts if v.scenario == scenario), "") for run in runs
        ),
        warning=next((each for each in differs if each), ""),
    )


def _shared_load(comparisons: Sequence[Comparison]) -> float | None:
    loads = []
    for each in comparisons:
        table = each.by_load[each.by_load.valid & each.by_load.holds]
        loads += [set(rows.offered_rps) for _, rows in table.groupby("variant")]
    shared = set.intersection(*loads) if loads else set()
    return float(max(shared)) if shared else None


def _seen(comparison: Comparison | None, variant: str, load: float | None) -> Seen | None:
    if comparison is None or variant not in comparison.capacities:
        return None
    table = comparison.by_load
    rows = table[(table.variant == variant) & (table.offered_rps == load) & table.valid]
    figures = {
        name: float(rows[name].iloc[0]) if len(rows) and rows[name].notna().all() else None
        for name, _ in FIGURES
    }
    return Seen(comparison.capacities[variant], tuple(comparison.invalid.get(variant, ())), figures)
