"""Tables -> comparisons: what each variant carried, and how they did at one load. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from asyncdb_bench.analysis.capacity import (
    Capacity,
    capacities_by_block,
    capacity_of,
    knee,
    undermining,
    uneven,
)
from asyncdb_bench.analysis.limits import Limit, limit, phases_at
from asyncdb_bench.analysis.ranking import Standing, rank
from asyncdb_bench.analysis.tables import aggregate
from asyncdb_bench.records.doubts import Doubt
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import Step, TrialEnd


@dataclass(frozen=True, slots=True)
class Comparison:
    """One scenario: capacities, and all variants at one load.

    Parameters
    ----------
    scenario : its label.
    common_rps : the highest offered load at which every variant that ran was measured, or None.
    capacities : by variant, best first.
    by_load : a row per variant and offered load, see :func:`aggregate`.
    rows : those at the common load, by variant.
    not_run : reasons, by variant.
    invalid : by variant, why its capacity cannot be relied on.
    phases : by variant, the mean of each phase at the common load, milliseconds.
    limits : by variant, what its capacity compares to in theory, and what it was short of.
    standings : by variant, its capacity beside the best's.
    knees : by variant, see :func:`knee`.
    """

    scenario: str
    common_rps: float | None
    capacities: dict[str, Capacity]
    by_load: pd.DataFrame
    rows: pd.DataFrame
    not_run: dict[str, str]
    invalid: dict[str, tuple[Doubt, ...]] = field(default_factory=dict)
    phases: dict[str, dict[str, float]] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    knees: dict[str, float | None] = field(default_factory=dict)


def common_load(steps: pd.DataFrame) -> float | None:
    """Return the highest offered load at which every variant was measured soundly in a block.

    Parameters
    ----------
    steps : the rows of one scenario.
    """
    valid = steps[steps.valid & (steps.achieved_rps > 0)]
    loads = [set(rows.offered_rps) for _, rows in valid.groupby("variant")]
    if not loads or len(loads) < steps.variant.nunique():
        return None
    shared = set.intersection(*loads)
    return float(max(shared)) if shared else None


def compare_scenarios(
    manifest: Manifest,
    steps: pd.DataFrame,
    ends: Sequence[TrialEnd],
    records: Sequence[Step] = (),
) -> list[Comparison]:
    """Return a comparison per scenario of the plan that has any step or any refusal.

    Parameters
    ----------
    manifest, ends : of the run.
    steps : rows of :func:`steps_table`.
    records : the same steps as recorded, for where the time went.
    """
    return [
        _compare(
            asked.label,
            manifest,
            steps[steps.scenario == asked.label],
            ends,
            [record for record in records if record.scenario == asked.label],
        )
        for asked in manifest.plan.scenarios
    ]


def _compare(
    scenario: str,
    manifest: Manifest,
    steps: pd.DataFrame,
    ends: Sequence[TrialEnd],
    records: Sequence[Step],
) -> Comparison:
    own = [end for end in ends if end.scenario == scenario]
    capacities = {str(variant): capacity_of(rows) for variant, rows in steps.groupby("variant")}
    ranked = dict(sorted(capacities.items(), key=lambda each: -each[1].rps))
    load = common_load(steps)
    by_load = aggregate(steps)
    rows = by_load[by_load.offered_rps == load] if load is not None else by_load[:0]
    objective = next(a.objective for a in manifest.plan.scenarios if a.label == scenario)
    invalid = {
        str(variant): reasons
        for variant, rows_of in steps.groupby("variant")
        if (reasons := undermining(rows_of, objective.p99_ms))
    }
    for variant, reason in uneven(steps, ranked, manifest.plan.settings.tolerance.stolen).items():
        invalid[variant] = (*invalid.get(variant, ()), reason)
    by_block = {
        str(variant): capacities_by_block(rows_of, objective.p99_ms)
        for variant, rows_of in steps.groupby("variant")
    }
    return Comparison(
        scenario=scenario,
        common_rps=load,
        by_load=by_load,
        capacities=ranked,
        rows=rows.set_index("variant").reindex([v for v in ranked if v in set(rows.variant)]),
        not_run={v.label: why for v in manifest.plan.variants if (why := _not_run(v, own, ranked))},
        invalid=invalid,
        phases=phases_at(records, load),
        limits={
            variant.label: limit(
                manifest, variant, [r for r in records if r.variant == variant.label], carried.rps
            )
            for variant in manifest.plan.variants
            if (carried := capacities.get(variant.label)) is not None
        },
        standings=rank(ranked, by_block),
        knees={name: knee(by_load[(by_load.variant == name) & by_load.valid]) for name in ranked},
    )


def _not_run(variant: Variant, ends: Iterable[TrialEnd], measured: Iterable[str]) -> str:
    if variant.not_run or variant.label in measured:
        return variant.not_run
    failures = [end.failure for end in ends if end.variant == variant.label and end.failure]
    return failures[0] if failures else "its trial was not reached"


def command_of(manifest: Manifest) -> str:
    """Return how a run was asked for, without the folders that it wrote to."""
    words = iter(manifest.command)
    kept = [
        word
        for word in words
        if word not in {"--results", "--reports"} or next(words, None) is None
    ]
    return f"bench.py {' '.join(kept)}"
