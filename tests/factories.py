"""Records made by hand, for tests of pure logic."""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import (
    Objective,
    Plan,
    PlannedScenario,
    Settings,
    Trial,
    TurnKind,
    Variant,
)
from asyncdb_bench.records.run import SCHEMA_VERSION, Manifest, ServiceInfo
from asyncdb_bench.records.step import Ledger, Percentiles, Step, TrialEnd, Turn, Usage

LATE = Doubt(DoubtKind.SEND_LAG, 9, 2, subject="p50")
"""A load generator that sent late."""


def scratch_folder(kind: str) -> Path:
    """Make a folder for a service that removes it, which an account without rights may be given."""
    return Path(tempfile.mkdtemp(prefix=f"asyncdb-bench-{kind}-"))


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "profile": "quick",
        "blocks": 1,
        "warmup_s": 1.0,
        "window_s": 2.0,
        "window_max_s": 4.0,
        "min_arrivals": 80,
        "drain_s": 3.0,
        "timeout_s": 5.0,
        "time_budget_s": 0.0,
        "budget": 8,
    }
    return Settings(**(values | changes))


def step(variant: str = "native", offered: float = 100, **changes: Any) -> Step:
    """Return a rung of a ladder, or another turn; what is not said is sound and usual."""
    p99 = float(changes.pop("p99", 20))
    failed = changes.pop("failed", 0)
    count = round(offered * 2)
    holds = changes.pop("holds", p99 < 100 and not failed)
    block = changes.get("block", 0)
    values: dict[str, Any] = {
        "run_id": "r",
        "trial": f"{variant}-{block}",
        "block": block,
        "scenario": "read",
        "variant": variant,
        "strategy": variant.partition(":")[0],
        "step": round(offered),
        "offered_rps": float(offered),
        "achieved_rps": float(offered),
        "window_s": 2.0,
        "started_at": "2026-01-01T00:00:00+00:00",
        "ledger": Ledger(count, count - failed, failed, 0, 0, 0),
        "latency": Percentiles(count, p99 / 2, p99 / 2, p99 * 0.9, p99, p99 * 1.5, p99 * 2),
        "latency_bounds": {"p50_ms": (p99 * 0.45, p99 * 0.55)},
        "service": Percentiles(count, p99 / 2, p99 / 2, p99 * 0.9, p99, p99 * 1.5, p99 * 2),
        "send_lag": Percentiles(count, 0.1, 0.1, 0.2, 0.3, 0.5, 1.0),
        "loop_lag": Percentiles(2000, 0.5, 0.4, 1.0, 2.0, 3.0, 5.0),
        "usage": {"app": Usage(0.5, 60.0, 50.0, 1), "load": Usage(0.2, 90.0, None, 1)},
        "connections_peak": 8,
        "connections_active_peak": 4,
        "gauges": {"pool_in_use": 4.0},
        "errors": {},
        "holds": holds,
        "misses": () if holds else (Doubt(DoubtKind.P99, p99, 100),),
        "valid": True,
        "reasons": (),
        "turn": Turn("rung", 0),
    }
    return Step(**(values | changes))


def turn(
    variant: str = "native",
    rps: float = 100,
    kind: TurnKind = "pace",
    *,
    launch: int = 0,
    number: int = 0,
    cpu_ms: float = 2.0,
    **changes: Any,
) -> Step:
    """Return a turn of 1 s: what was completed, or what was offered, and its CPU per request."""
    count = 0 if kind == "idle" else round(rps)
    values: dict[str, Any] = {
        "block": launch,
        "achieved_rps": float(rps),
        "ledger": Ledger(count, count, 0, 0, 0, 0),
        "usage": {"app": Usage(cpu_ms / 1000 * count, 60.0, 50.0, 1)},
        "window_s": 1.0,
        "lasted_s": 1.0,
        "turn": Turn(kind, number, connections=32 if kind == "pace" else 0),
    }
    return step(variant, rps, **(values | changes))


def paces(
    values: Mapping[str, float],
    *,
    rounds: int = 12,
    launches: int = 1,
    stray: float = 0.01,
    **changes: Any,
) -> list[Step]:
    """Return turns at full speed whose rates, 1/s, stray from round to round by a share."""
    chance = random.Random(7)
    return [
        turn(name, rps * math.exp(chance.gauss(0, stray)), launch=each, number=number, **changes)
        for each in range(launches)
        for number in range(rounds)
        for name, rps in values.items()
    ]


def end(variant: str = "native", **changes: Any) -> TrialEnd:
    values: dict[str, Any] = {
        "trial": "t",
        "block": 0,
        "scenario": "read",
        "variant": variant,
        "seconds": 10.0,
    }
    return TrialEnd(**(values | changes))


def manifest(
    variants: tuple[str, ...] = ("native", "executor"),
    scenarios: tuple[str, ...] = ("read",),
    **changes: Any,
) -> Manifest:
    made = tuple(Variant(name, name, {"uvloop": False}, 8) for name in variants)
    asked = tuple(
        PlannedScenario(name, "read", {"rows": 10}, Objective(100), (100.0, 200.0), {"read": 1.0})
        for name in scenarios
    )
    trials = tuple(Trial(f"t{n}", 0, v.label, a.label) for n, v in enumerate(made) for a in asked)
    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run_id": "20260101-000000-quick-abc",
        "started_at": "2026-01-01T00:00:00+00:00",
        "seed": 7,
        "command": ("run",),
        "git": {"revision": "abc", "dirty": False},
        "machine": {
            "cpu": "a CPU",
            "cores": 4,
            "usable_cores": 4,
            "governor": "unknown",
            "memory_mb": 8000,
            "kernel": "Linux",
            "load_before": 0.1,
        },
        "versions": {"python": "3.11"},
        "services": (ServiceInfo("postgresql", "postgresql", "18", "wheel", {"fsync": "on"}),),
        "plan": Plan(7, settings(), made, asked, trials),
    }
    return Manifest(**(values | changes))
