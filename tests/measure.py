"""One trial, measured as a run does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from asyncdb_bench.plan.cores import share_out, usable_cores
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.records import run_folder as store
from asyncdb_bench.records.doubts import Doubt
from asyncdb_bench.records.plan import PlannedScenario, Settings, Trial, Variant
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.trial.one_trial import TrialRunner
from asyncdb_bench.measure.run_context import RunContext
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
    asked: PlannedScenario = replace(plan_scenario(wanted, {}), ladder=tuple(map(float, ladder)))
    values: dict[str, Any] = {"warmup_s": 0.5, "window_s": 1.5, "window_max_s": 1.5}
    how: Settings = settings(**(values | {"min_arrivals": 0, "budget": budget} | changes))
    run_id = f"r{time.time_ns()}"
    run = store.make_run_folder(folder / "results", run_id)
    bench = RunContext(run_id, 7, how, run, services, on_step, PINNING)
    trial = Trial(f"t{time.time_ns()}", 0, variant.label, asked.label, limit_s=120)
    _, ends = TrialRunner(bench)(trial, variant, asked, 0)
    end = ends[-1]
    return Measured(variant, [step for step in run.steps() if not step.repeated], end, run)


def lasting(step: Step) -> list[Doubt]:
    """Return why a step is invalid but for a load generator that was held up, which may be."""
    return [doubt for doubt in step.reasons if not doubt.passing]
