"""One trial, measured as a run does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from asyncdb_bench import store
from asyncdb_bench.cores import share_out, usable_cores
from asyncdb_bench.model import Asked, Settings, Step, Trial, TrialEnd, Variant
from asyncdb_bench.plan import make_asked, make_variant
from asyncdb_bench.plugins import parse_specs
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.trial import Bench, run_trial
from tests.factories import settings

PINNING = share_out("auto", usable_cores())


class Measured:
    """What came of a trial; without the attempts that were repeated."""

    def __init__(
        self, variant: Variant, steps: list[Step], end: TrialEnd, folder: store.RunFolder
    ) -> None:
        self.variant = variant
        self.steps = steps
        self.end = end
        self.folder = folder


def measure(
    request: str,
    services: RunningServices,
    folder: Path,
    *,
    scenario: str = "read:rows=1000",
    ladder: tuple[float, ...] = (20,),
    budget: int = 4,
    on_step: Callable[[Step], None] = lambda _: None,
    **changes: Any,
) -> Measured:
    """Climb a ladder with one variant."""
    (spec,), (wanted,) = parse_specs(request), parse_specs(scenario)
    variant = make_variant(spec, budget)
    asked: Asked = replace(make_asked(wanted, {}), ladder=tuple(map(float, ladder)))
    values: dict[str, Any] = {"warmup_s": 0.5, "window_s": 1.5, "window_max_s": 1.5}
    how: Settings = settings(**(values | {"min_arrivals": 0, "budget": budget} | changes))
    run_id = f"r{time.time_ns()}"
    run = store.make_run_folder(folder / "results", run_id)
    bench = Bench(run_id, 7, how, run, services, on_step, PINNING)
    trial = Trial(f"t{time.time_ns()}", 0, variant.label, asked.label)
    end = run_trial(bench, trial, variant, asked, 0, 120)
    return Measured(variant, [step for step in run.steps() if not step.repeated], end, run)


def lasting(step: Step) -> list[str]:
    """Return why a step is invalid but for a load generator that was held up, which may be."""
    held_up = ("the load generator", "arrivals at")
    return [reason for reason in step.reasons if not reason.startswith(held_up)]
