"""Records -> tables: what each variant carried, and how it did where all were measured. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from asyncdb_bench import stats
from asyncdb_bench.model import OUTCOMES, SCHEMA_VERSION, Manifest, Step, TrialEnd, Variant

K = TypeVar("K", bound=Hashable)

OWN_ROLES = ("app", "workers", "broker")
"""Roles whose CPU time a strategy is charged with: what it needs beside the database."""
FIGURES = ("achieved_rps", "p50_ms", "p95_ms", "p99_ms", "p999_ms", "loop_lag_p99_ms")
UNANSWERED = (OUTCOMES.index("timeout"), OUTCOMES.index("undrained"))
OK = OUTCOMES.index("ok")


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
    """

    scenario: str
    common_rps: float | None
    capacities: dict[str, Capacity]
    rows: pd.DataFrame
    not_run: dict[str, str]
    invalid: dict[str, tuple[str, ...]] = field(default_factory=dict)


def steps_table(steps: Sequence[Step]) -> pd.DataFrame:
    """Return a row per step with the figures that tables and charts use."""
    return pd.DataFrame([_step_row(step) for step in steps], columns=_STEP_COLUMNS)


_STEP_COLUMNS = [
    "block",
    "scenario",
    "variant",
    "strategy",
    "trial",
    "step",
    "offered_rps",
    "achieved_rps",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "p999_ms",
    "service_p99_ms",
    "p50_ms_bounds",
    "p95_ms_bounds",
    "p99_ms_bounds",
    "requests",
    "error_rate",
    "loop_lag_p99_ms",
    "cpu_ms_per_request",
    "rss_mb",
    "memory_mb",
    "connections_peak",
    "connections_active_peak",
    "holds",
    "valid",
    "reasons",
]


def _step_row(step: Step) -> dict[str, Any]:
    used = [step.usage[role] for role in OWN_ROLES if role in step.usage]
    memory = [step.usage[role] for role in ("app", "workers") if role in step.usage]
    return {
        "block": step.block,
        "scenario": step.scenario,
        "variant": step.variant,
        "strategy": step.strategy,
        "trial": step.trial,
        "step": step.step,
        "offered_rps": step.offered_rps,
        "achieved_rps": step.achieved_rps,
        "p50_ms": step.latency.p50_ms,
        "p95_ms": step.latency.p95_ms,
        "p99_ms": step.latency.p99_ms,
        "service_p99_ms": step.service.p99_ms,
        # A percentile that the sample is too small for would be its maximum under another name.
        "p999_ms": step.latency.p999_ms if step.latency.n >= 1000 else None,
        **{
            f"{name}_bounds": step.latency_bounds.get(name)
            for name in ("p50_ms", "p95_ms", "p99_ms")
        },
        "requests": step.ledger.scheduled,
        "error_rate": step.ledger.failed_share,
        "loop_lag_p99_ms": step.loop_lag.p99_ms,
        "cpu_ms_per_request": sum(u.cpu_s for u in used) * 1000 / step.ledger.ok
        if step.ledger.ok
        else None,
        "rss_mb": sum(u.rss_mb for u in memory),
        "memory_mb": sum(u.rss_mb if u.pss_mb is None else u.pss_mb for u in memory),
        "connections_peak": step.connections_peak,
        "connections_active_peak": step.connections_active_peak,
        "holds": step.holds,
        "valid": step.valid,
        "reasons": step.reasons,
    }


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


def compare(manifest: Manifest, steps: pd.DataFrame, ends: Sequence[TrialEnd]) -> list[Comparison]:
    """Return a comparison per scenario of the plan that has any step or any refusal."""
    return [
        _compare(asked.label, manifest, steps[steps.scenario == asked.label], ends)
        for asked in manifest.plan.scenarios
    ]


def _compare(
    scenario: str, manifest: Manifest, steps: pd.DataFrame, ends: Sequence[TrialEnd]
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
    return Comparison(
        scenario=scenario,
        common_rps=load,
        capacities=ranked,
        rows=rows.set_index("variant").reindex([v for v in ranked if v in set(rows.variant)]),
        not_run={v.label: why for v in manifest.plan.variants if (why := _not_run(v, own, ranked))},
        invalid=invalid,
    )


def _not_run(variant: Variant, ends: Iterable[TrialEnd], measured: Iterable[str]) -> str:
    if variant.not_run or variant.label in measured:
        return variant.not_run
    failures = [end.failure for end in ends if end.variant == variant.label and end.failure]
    return failures[0] if failures else "its trial was not reached"


def aggregate(steps: pd.DataFrame) -> pd.DataFrame:
    """Return a row per scenario, variant and offered load: geometric means over blocks.

    Bounds are 95 % over blocks where there are several (``bounds`` says ``"blocks"``), else those
    within the one step (``"within step"``).
    """
    keys = ["scenario", "variant", "strategy", "offered_rps"]
    made = [
        _aggregate_one(dict(zip(keys, key, strict=True)), rows) for key, rows in steps.groupby(keys)
    ]
    columns = [
        *keys,
        *FIGURES,
        "error_rate",
        "cpu_ms_per_request",
        "rss_mb",
        "memory_mb",
        "blocks",
        "valid",
    ]
    return pd.DataFrame(made) if made else pd.DataFrame(columns=[*columns, "holds", "reasons"])


def _aggregate_one(key: dict[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = dict(key)
    several = rows.block.nunique() > 1
    for name in (*FIGURES, "cpu_ms_per_request", "rss_mb", "memory_mb"):
        values = [float(v) for v in rows[name].dropna() if v > 0]
        row[name] = stats.geometric_mean(values) if values else None
        interval = stats.mean_interval(values) if several else None
        if not several and f"{name}_bounds" in rows:
            interval = rows[f"{name}_bounds"].iloc[0]
        row[f"{name}_low"], row[f"{name}_high"] = interval or (None, None)
    return row | {
        "bounds": "blocks" if several else "within step",
        "error_rate": float(rows.error_rate.mean()),
        "requests": int(rows.requests.sum()),
        "connections_peak": _maximum(rows.connections_peak),
        "connections_active_peak": _maximum(rows.connections_active_peak),
        "blocks": int(rows.block.nunique()),
        "holds": bool(rows.holds.all()),
        "valid": bool(rows.valid.all()),
        "reasons": sorted({reason for reasons in rows.reasons for reason in reasons}),
    }


def _maximum(values: pd.Series[Any]) -> int | None:
    known = values.dropna()
    return int(known.max()) if len(known) else None


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
        )
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, float) and np.isnan(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def percentile_curves(
    pieces: Iterable[Any], wanted: Mapping[tuple[str, int], K]
) -> dict[K, tuple[list[float], list[float]]]:
    """Return latency against percentile for some steps, from the raw requests.

    Parameters
    ----------
    pieces : tables with the columns trial, step, intended_us, done_us, outcome.
    wanted : what to call each (trial, step); those of one name are pooled.

    Returns
    -------
    By name: percentiles (0 to 1) and latencies in milliseconds.
    """
    gathered: dict[K, list[Any]] = {}
    for piece in pieces:
        trials = piece["trial"].to_numpy(zero_copy_only=False)
        numbers = piece["step"].to_numpy()
        for (trial, number), name in wanted.items():
            mine = (trials == trial) & (numbers == number)
            if mine.any():
                outcome = piece["outcome"].to_numpy()
                mine &= np.isin(outcome, (OK, OUTCOMES.index("timeout")))
                latency = piece["done_us"].to_numpy() - piece["intended_us"].to_numpy()
                gathered.setdefault(name, []).append(latency[mine])
    curves = {}
    for name, parts in gathered.items():
        sample = np.concatenate(parts)
        if len(sample):
            # half a request beyond the last, so that the greatest latency is shown too
            levels = 1 - np.geomspace(1, 0.5 / len(sample), 120)
            values = np.quantile(sample, levels, method="inverted_cdf") / 1000
            curves[name] = (levels.tolist(), values.tolist())
    return curves
