"""Records -> tables: a row per step, a row per offered load. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

import pandas as pd

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.step import histogram
from asyncdb_bench.analysis.values import OWN_ROLES
from asyncdb_bench.records.doubts import Doubt, sentence
from asyncdb_bench.records.plan import Objective
from asyncdb_bench.records.step import (
    OPEN_KINDS,
    Ledger,
    Percentiles,
    Step,
    Threads,
    TrialEnd,
    Usage,
)

NEAR = math.log(1.08)
"""Loads that are no further apart are one point of the curve."""


def curve_steps(steps: Sequence[Step], objective: Objective) -> list[Step]:
    """Return one variant's open-model turns as steps of a ladder: a step per launch and load.

    Parameters
    ----------
    steps : turns of one variant in one scenario, all launches.
    objective : of the scenario.

    Returns
    -------
    Sound turns alone. Loads that lie within 8 % are taken as one, at their mean; the common load is
    kept as it is, since figures are compared there. Rungs are points already.
    """
    sound = [step for step in steps if step.valid and step.turn.kind in OPEN_KINDS]
    made = [step for step in steps if step.turn.kind == "rung"]
    for load, group in _points(sound):
        for block in sorted({step.block for step in group}):
            own = [step for step in group if step.block == block]
            made.append(merged_step(own, load, objective))
    return made


def _points(steps: Sequence[Step]) -> Iterable[tuple[float, list[Step]]]:
    common = [step for step in steps if step.turn.kind == "common"]
    for load in sorted({step.offered_rps for step in common}):
        yield load, [step for step in common if step.offered_rps == load]
    rest = [step for step in steps if step.turn.kind != "common"]
    groups: list[list[Step]] = []
    for step in sorted(rest, key=lambda each: each.offered_rps):
        if not groups or math.log(step.offered_rps / groups[-1][0].offered_rps) > NEAR:
            groups.append([])
        groups[-1].append(step)
    for group in groups:
        mean = sum(step.offered_rps for step in group) / len(group)
        yield round(mean, 1 if mean < 100 else 0), group


def pace_steps(steps: Sequence[Step]) -> list[Step]:
    """Return one variant's turns at full speed as saturated steps, one per launch.

    What was short then is what holds the variant back; see :func:`diagnose`.
    """
    sound = [step for step in steps if step.valid and step.turn.kind == "pace"]
    if not sound:
        return []
    load = round(sum(step.achieved_rps for step in sound) / len(sound), 1)
    made = []
    for block in sorted({step.block for step in sound}):
        own = [step for step in sound if step.block == block]
        made.append(replace(merged_step(own, load, None), holds=False))
    return made


def merged_step(steps: Sequence[Step], load: float, objective: Objective | None) -> Step:
    """Return several turns of one variant in one block as one step.

    Parameters
    ----------
    steps : of the same kind or load; at least one.
    load : that the step says was offered, 1/s.
    objective : which the merged requests must hold; None: not asked.
    """
    first = steps[0]
    counts = histogram.merged(step.latency_counts for step in steps)
    lags = histogram.merged(step.lag_counts for step in steps)
    latency = histogram.summary(counts)
    held = sum(step.holds for step in steps) * 2 > len(steps)
    if objective is not None and len(steps) > 1 and latency.p99_ms is not None:
        held = held and latency.p99_ms < objective.p99_ms
    return replace(
        first,
        offered_rps=load,
        achieved_rps=_mean(step.achieved_rps for step in steps),
        arrivals_rps=_mean(step.arrivals_rps for step in steps),
        window_s=sum(step.window_s for step in steps),
        lasted_s=sum(step.lasted_s for step in steps),
        ledger=Ledger(
            **{f.name: sum(getattr(step.ledger, f.name) for step in steps) for f in fields(Ledger)}
        ),
        errors={reason: count for step in steps for reason, count in step.errors.items()},
        latency=latency,
        loop_lag=histogram.summary(lags),
        service=_averaged([step.service for step in steps]),
        send_lag=_averaged([step.send_lag for step in steps]),
        probe=_averaged([step.probe for step in steps]),
        closed_loop=_averaged([step.closed_loop for step in steps]),
        phases={
            name: _averaged([step.phases[name] for step in steps if name in step.phases])
            for name in dict.fromkeys(name for step in steps for name in step.phases)
        },
        usage={
            role: _added([step.usage[role] for step in steps if role in step.usage])
            for role in dict.fromkeys(role for step in steps for role in step.usage)
        },
        threads=_threads([step.threads for step in steps if step.threads is not None]),
        connections_peak=_most([step.connections_peak for step in steps]),
        connections_active_peak=_most([step.connections_active_peak for step in steps]),
        stolen=_mean(step.stolen for step in steps),
        holds=held,
        steady=True,
        drift=None,
        latency_counts=counts,
        lag_counts=lags,
    )


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)


def _most(values: Sequence[int | None]) -> int | None:
    return max((each for each in values if each is not None), default=None)


def _averaged(several: Sequence[Percentiles]) -> Percentiles:
    """Return the means of several distributions' figures, by their sizes.

    For figures that explain and are not compared: their counts are not kept.
    """
    known = [each for each in several if each.n]
    n = sum(each.n for each in known)
    if not n:
        return Percentiles(0)

    def mean(name: str) -> float | None:
        values = [(getattr(each, name), each.n) for each in known]
        if any(value is None for value, _ in values):
            return None
        return float(sum(value * count for value, count in values) / n)

    means = {name: mean(name) for name in ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "p999_ms")}
    most = max((each.max_ms for each in known if each.max_ms is not None), default=None)
    return Percentiles(n=n, max_ms=most, **means)


def _added(several: Sequence[Usage]) -> Usage:
    switches = [each.switches for each in several]
    return Usage(
        cpu_s=sum(each.cpu_s for each in several),
        rss_mb=max(each.rss_mb for each in several),
        pss_mb=max((each.pss_mb for each in several if each.pss_mb), default=None),
        processes=max(each.processes for each in several),
        switches=None if None in switches else sum(each or 0 for each in switches),
    )


def _threads(several: Sequence[Threads]) -> Threads | None:
    if not several:
        return None
    waits = [each.loop_waited_s for each in several]
    return Threads(
        sum(each.loop_cpu_s for each in several),
        sum(each.other_cpu_s for each in several),
        None if None in waits else sum(each or 0.0 for each in waits),
        max(each.count for each in several),
    )


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
