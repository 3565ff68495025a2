"""Tables -> comparisons: what each variant carried, and how they did at one load. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from asyncdb_bench import stats
from asyncdb_bench.limits import Limit, limit, phases_at
from asyncdb_bench.model import SCHEMA_VERSION, Manifest, Step, TrialEnd, Variant
from asyncdb_bench.tables import aggregate


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest offered load at which the objective still held.

    Parameters
    ----------
    rps : geometric mean over blocks; 0 where even the lowest load was not carried in a block.
    per_block : the blocks' own values.
    low, high : the value's bounds: 95 % over blocks where there are several, else the load that
        was carried and the next one, which was not; `high` is None where the ladder ended first.
    open_ended : whether in some block the ladder ended before the variant was saturated.
    """

    rps: float
    per_block: tuple[float, ...]
    low: float
    high: float | None
    open_ended: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """One scenario: capacities, and all variants at one load.

    Parameters
    ----------
    scenario : its label.
    common_rps : the highest offered load at which every variant that ran was measured, or None.
    capacities : by variant, best first.
    rows : one per variant at the common load, a table for people.
    not_run : reasons, by variant.
    invalid : by variant, why its capacity cannot be relied on.
    phases : by variant, the mean of each phase at the common load, milliseconds.
    limits : by variant, what its capacity compares to in theory, and what it was short of.
    """

    scenario: str
    common_rps: float | None
    capacities: dict[str, Capacity]
    rows: pd.DataFrame
    not_run: dict[str, str]
    invalid: dict[str, tuple[str, ...]] = field(default_factory=dict)
    phases: dict[str, dict[str, float]] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=dict)


def capacity(steps: pd.DataFrame) -> Capacity:
    """Return the capacity of one variant in one scenario from its valid steps.

    Parameters
    ----------
    steps : its rows of :func:`steps_table`.
    """
    carried, ceilings = [], []
    for _, block in steps.groupby("block"):
        held = block[block.holds & block.valid].offered_rps
        best = float(held.max()) if len(held) else 0.0
        missed = block[~block.holds & (block.offered_rps > best)].offered_rps
        carried.append(best)
        ceilings.append(float(missed.min()) if len(missed) else None)
    open_ended = any(each is None for each in ceilings) or not carried
    interval = stats.mean_interval(carried) if carried else None
    tops = [each for each in ceilings if each is not None]
    mean = stats.geometric_mean(carried) if carried and min(carried) > 0 else 0.0
    low, high = interval or (min(carried, default=0.0), None if open_ended else max(tops))
    return Capacity(mean, tuple(carried), low, high, open_ended)


def undermining(steps: pd.DataFrame, objective_ms: float) -> tuple[str, ...]:
    """Return the reasons of the invalid steps that a capacity rests on.

    An invalid step below the capacity decides nothing. One that ended the climb does, unless the
    objective was missed by the service latency alone, which a client that sent late cannot cause.

    Parameters
    ----------
    steps : one variant's rows of :func:`steps_table` in one scenario.
    objective_ms : the objective's p99.
    """
    found: list[str] = []
    for _, block in steps.groupby("block"):
        best = block[block.holds & block.valid].offered_rps.max()
        above = block[~(block.offered_rps <= best)].sort_values("offered_rps")
        deciding = above[above.holds | (above.offered_rps == above.offered_rps.min())]
        beyond_doubt = ~deciding.holds & (deciding.service_p99_ms >= objective_ms)
        for reasons in deciding[~deciding.valid & ~beyond_doubt].reasons:
            found.extend(reasons)
    return tuple(dict.fromkeys(found))


def uneven(steps: pd.DataFrame, ranked: Mapping[str, Capacity], tolerance: float) -> dict[str, str]:
    """Return whose capacity was measured while a hypervisor took more than from the best.

    What is taken from all alike leaves a comparison fair; what is taken from some does not.

    Parameters
    ----------
    steps : the rows of one scenario.
    ranked : capacities by variant, best first.
    tolerance : difference of the shares of stolen CPU time at the loads that decide: the capacity
        and those above it.
    """
    if not ranked:
        return {}
    shares = {
        name: float(own[own.offered_rps >= min(each.rps, own.offered_rps.max())].stolen.mean())
        for name, each in ranked.items()
        if len(own := steps[steps.variant == name])
    }
    best = next(iter(ranked))
    return {
        name: f"the hypervisor took {share:.0%} of the CPU time while its capacity was measured,"
        f" {shares[best]:.0%} for {best}: it may carry more"
        for name, share in shares.items()
        if share - shares[best] > tolerance
    }


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


def compare(
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
    capacities = {str(variant): capacity(rows) for variant, rows in steps.groupby("variant")}
    ranked = dict(sorted(capacities.items(), key=lambda each: -each[1].rps))
    load = common_load(steps)
    rows = aggregate(steps[steps.offered_rps == load]) if load is not None else aggregate(steps[:0])
    objective = next(a.objective for a in manifest.plan.scenarios if a.label == scenario)
    invalid = {
        str(variant): reasons
        for variant, rows_of in steps.groupby("variant")
        if (reasons := undermining(rows_of, objective.p99_ms))
    }
    for variant, reason in uneven(steps, ranked, manifest.plan.settings.tolerance.stolen).items():
        invalid[variant] = (*invalid.get(variant, ()), reason)
    return Comparison(
        scenario=scenario,
        common_rps=load,
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
    )


def _not_run(variant: Variant, ends: Iterable[TrialEnd], measured: Iterable[str]) -> str:
    if variant.not_run or variant.label in measured:
        return variant.not_run
    failures = [end.failure for end in ends if end.variant == variant.label and end.failure]
    return failures[0] if failures else "its trial was not reached"


def summary(steps: pd.DataFrame, comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return the rows of ``summary.json``."""
    by_scenario = {each.scenario: each for each in comparisons}
    rows = []
    for row in aggregate(steps).to_dict("records"):
        comparison = by_scenario[row["scenario"]]
        carried = comparison.capacities[row["variant"]]
        rows.append(
            {"schema_version": SCHEMA_VERSION}
            | {str(key): _plain(value) for key, value in row.items()}
            | {
                "at_common_load": row["offered_rps"] == comparison.common_rps,
                "capacity_rps": carried.rps,
                "capacity_rps_low": carried.low,
                "capacity_rps_high": carried.high,
                "capacity_open_ended": carried.open_ended,
            }
            | _limit_row(comparison.limits.get(row["variant"]))
        )
    return rows


def _limit_row(found: Limit | None) -> dict[str, Any]:
    diagnosis = found.diagnosis if found else None
    limit = found.ceiling if found else None
    return {
        "bottleneck": diagnosis.bottleneck if diagnosis else None,
        "evidence": diagnosis.evidence if diagnosis else None,
        "ceiling_rps": limit.rps if limit else None,
        "ceiling_law": limit.law if limit else None,
        "ceiling_ratio": found.ratio if found else None,
    }


def command_of(manifest: Manifest) -> str:
    """Return how a run was asked for, without the folders that it wrote to."""
    words = iter(manifest.command)
    kept = [
        word
        for word in words
        if word not in {"--results", "--reports"} or next(words, None) is None
    ]
    return f"bench.py {' '.join(kept)}"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and np.isnan(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
