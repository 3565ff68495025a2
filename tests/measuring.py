"""Variants measured as a run does it, in real processes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asyncdb_bench.measure.loop import MeasureLoop
from asyncdb_bench.measure.run_context import RunContext
from asyncdb_bench.measure.schedule import RunSchedule
from asyncdb_bench.plan.cores import share_out, usable_cores
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario, unique_labels
from asyncdb_bench.processes.cleanup import Cleanup
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Objective, Plan, PlannedScenario, Variant
from asyncdb_bench.records.run_folder import RunFolder, make_run_folder
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.services.running import RunningServices
from benchmarks.simulated import Silent
from tests.factories import settings

PINNING = share_out("auto", usable_cores())


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a run.

    Parameters
    ----------
    plan : what was measured.
    steps : the turns that stand.
    ends : how all trials ended.
    folder : where all was written.
    """

    plan: Plan
    steps: list[Step]
    ends: list[TrialEnd]
    folder: RunFolder

    def of(self, variant: str, kind: str) -> list[Step]:
        """Return a variant's turns of a kind."""
        return [e for e in self.steps if e.variant == variant and e.turn.kind == kind]

    def end(self, variant: str) -> TrialEnd:
        """Return how the last of a variant's trials ended."""
        return [each for each in self.ends if each.variant == variant][-1]


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one variant: its rungs, or all turns, and how the last of its trials ended."""

    variant: Variant
    steps: list[Step]
    end: TrialEnd
    folder: RunFolder


def run(
    requests: str,
    services: RunningServices,
    folder: Path,
    *,
    scenarios: str = "read:rows=1000",
    ladder: tuple[float, ...] = (),
    objective_ms: float = 5000.0,
    budget: int = 4,
    on_step: Callable[[Step], None] = lambda _: None,
    schedule: Callable[[Plan], RunSchedule] = lambda plan: RunSchedule(plan, {}),
    **changes: Any,
) -> Ran:
    """Measure variants beside one another in one launch.

    Parameters
    ----------
    requests, scenarios : as on the command line.
    services : that run.
    folder : where results go.
    ladder : offered loads that each climbs, 1/s; none: they take turns, ``rounds=2`` of them.
    objective_ms : for the p99; so generous that a machine that is busy does not end a climb.
    budget : database connections of each.
    on_step : told of each step as it ends.
    schedule : makes the schedule.
    changes : of the settings.
    """
    usual: Mapping[str, Any] = {
        "ladder": bool(ladder),
        "rounds": 2,
        "warmup_s": 0.5,
        "window_s": 1.5,
        "window_max_s": 1.5,
        "min_arrivals": 0,
        "budget": budget,
        "connections": 8,
    }
    how = settings(**(dict(usual) | changes))
    variants = unique_labels([make_variant(spec, budget) for spec in parse_specs(requests)])
    asked: tuple[PlannedScenario, ...] = tuple(
        plan_scenario(each, {}) for each in parse_specs(scenarios)
    )
    if ladder:
        rates, objective = tuple(map(float, ladder)), Objective(objective_ms)
        asked = tuple(replace(each, ladder=rates, objective=objective) for each in asked)
    place = make_run_folder(folder / "results", f"r{time.time_ns()}")
    context = RunContext(place.run_id, 7, how, place, services, on_step, PINNING)
    plan = Plan(7, how, variants, asked, ())
    with Cleanup() as cleanup:
        loop = MeasureLoop(context, schedule(plan), cleanup, Silent(), math.inf)
        results = loop.run()
    return Ran(plan, list(results.steps), list(results.ends), place)


def measure(
    request: str,
    services: RunningServices,
    folder: Path,
    *,
    scenario: str = "read:rows=1000",
    ladder: tuple[float, ...] = (20,),
    **how: Any,
) -> Measured:
    """Have one variant climb a ladder, or take turns where there is none; see :func:`run`."""
    ran = run(request, services, folder, scenarios=scenario, ladder=ladder, **how)
    steps = [step for step in ran.steps if not ladder or step.turn.kind == "rung"]
    return Measured(ran.plan.variants[0], steps, ran.ends[-1], ran.folder)


def lasting(step: Step) -> list[Doubt]:
    """Return why a step is not sound but for a client that was held up, which may be."""
    return [doubt for doubt in step.reasons if doubt.kind is not DoubtKind.SEND_LAG]
