"""Records -> tables: a row per step, a row per offered load. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.accounts import OWN_ROLES
from asyncdb_bench.records.doubts import Doubt
from asyncdb_bench.records.sentences import sentence
from asyncdb_bench.records.step import Step, TrialEnd

FIGURES = (
    "achieved_rps",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "p999_ms",
    "service_p99_ms",
    "closed_loop_p99_ms",
    "loop_lag_p50_ms",
    "loop_lag_p99_ms",
    "probe_p50_ms",
    "probe_p99_ms",
)


def steps_table(steps: Sequence[Step], ends: Sequence[TrialEnd] = ()) -> pd.DataFrame:
    """Return a row per step with the figures that tables and charts use.

    Parameters
    ----------
    steps : the records.
    ends : of their trials: what makes a whole trial unsound makes its steps so.
    """
    doubts = {(end.trial, end.scenario): end.reasons for end in ends if end.reasons}
    rows = [_step_row(step, doubts.get((step.trial, step.scenario), ())) for step in steps]
    return pd.DataFrame(rows, columns=_STEP_COLUMNS)


_STEP_COLUMNS = [
    *FIGURES,
    "block",
    "kind",
    "scenario",
    "variant",
    "strategy",
    "trial",
    "step",
    "offered_rps",
    "p50_ms_bounds",
    "p95_ms_bounds",
    "p99_ms_bounds",
    "requests",
    "error_rate",
    "cpu_ms_per_request",
    "rss_mb",
    "memory_mb",
    "connections_peak",
    "connections_active_peak",
    "holds",
    "valid",
    "reasons",
    "steady",
    "drift",
    "stolen",
]


def _step_row(step: Step, doubts: tuple[Doubt, ...]) -> dict[str, Any]:
    used = [step.usage[role] for role in OWN_ROLES if role in step.usage]
    memory = [step.usage[role] for role in ("app", "workers") if role in step.usage]
    return {
        "block": step.block,
        "kind": step.turn.kind,
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
        "closed_loop_p99_ms": step.closed_loop.p99_ms,
        # A percentile that the sample is too small for would be its maximum under another name.
        "p999_ms": step.latency.p999_ms if step.latency.n >= 1000 else None,
        **{
            f"{name}_bounds": step.latency_bounds.get(name)
            for name in ("p50_ms", "p95_ms", "p99_ms")
        },
        "requests": step.ledger.scheduled,
        "error_rate": step.ledger.failed_share,
        "loop_lag_p50_ms": step.loop_lag.p50_ms,
        "loop_lag_p99_ms": step.loop_lag.p99_ms,
        "probe_p50_ms": step.probe.p50_ms,
        "probe_p99_ms": step.probe.p99_ms,
        "cpu_ms_per_request": sum(u.cpu_s for u in used) * 1000 / step.ledger.ok
        if step.ledger.ok
        else None,
        "rss_mb": sum(u.rss_mb for u in memory),
        "memory_mb": sum(u.rss_mb if u.pss_mb is None else u.pss_mb for u in memory),
        "connections_peak": step.connections_peak,
        "connections_active_peak": step.connections_active_peak,
        "holds": step.holds,
        "valid": step.valid and not doubts,
        "reasons": (*step.reasons, *doubts),
        "steady": step.steady,
        "stolen": step.stolen,
        "drift": step.drift,
    }


def aggregate(steps: pd.DataFrame) -> pd.DataFrame:
    """Return a row per scenario, variant and offered load: geometric means over launches.

    Invalid steps are left out where the same load was measured soundly in another launch; a row
    that has only invalid ones says so in ``valid``. ``blocks`` counts the launches that the figures
    rest on. Bounds are 95 % over launches where there are several (``bounds`` says
    ``"launches"``), else those within the one step (``"within step"``).
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
    if made:
        return pd.DataFrame(made)
    # typed, since an empty mask of objects would be taken for a list of columns
    empty = pd.DataFrame(columns=[*columns, "holds", "reasons"])
    return empty.astype({"valid": bool, "holds": bool})


def _aggregate_one(key: dict[str, Any], steps: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = dict(key)
    rows = steps[steps.valid] if steps.valid.any() else steps
    several = rows.block.nunique() > 1
    for name in (*FIGURES, "cpu_ms_per_request", "rss_mb", "memory_mb"):
        values = [float(v) for v in rows[name].dropna() if v > 0]
        row[name] = statistics.geometric_mean(values) if values else None
        interval = statistics.mean_interval(values) if several else None
        if not several and f"{name}_bounds" in rows:
            interval = rows[f"{name}_bounds"].iloc[0]
        row[f"{name}_low"], row[f"{name}_high"] = interval or (None, None)
    return row | {
        "bounds": "launches" if several else "within step",
        "error_rate": float(rows.error_rate.mean()),
        "requests": int(rows.requests.sum()),
        "connections_peak": _maximum(rows.connections_peak),
        "connections_active_peak": _maximum(rows.connections_active_peak),
        "blocks": int(rows.block.nunique()),
        "holds": bool(rows.holds.all()),
        "valid": bool(rows.valid.all()),
        "reasons": sorted({each for reasons in steps.reasons for each in reasons}, key=sentence),
    }


def row_without_load(scenario: str, variant: str, strategy: str) -> dict[str, Any]:
    """Return the row of a variant that was asked at full speed alone: of no offered load."""
    figures = (*FIGURES, "cpu_ms_per_request", "rss_mb", "memory_mb")
    return {
        "scenario": scenario,
        "variant": variant,
        "strategy": strategy,
        "offered_rps": None,
        **{f"{name}{end}": None for name in figures for end in ("", "_low", "_high")},
        "bounds": None,
        "error_rate": None,
        "requests": 0,
        "connections_peak": None,
        "connections_active_peak": None,
        "blocks": 0,
        "holds": None,
    }


def _maximum(values: pd.Series[Any]) -> int | None:
    known = values.dropna()
    return int(known.max()) if len(known) else None
