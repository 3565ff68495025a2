"""One variant in one scenario, measured as a run does it: its ladder climbed, in real processes."""

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
from asyncdb_bench.measure.simulated import Silent
from asyncdb_bench.plan.cores import share_out, usable_cores
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Plan, Variant
from asyncdb_bench.records.run_folder import RunFolder, make_run_folder
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.trial.cleanup import Cleanup
from tests.factories import settings

PINNING = share_out("auto", usable_cores())


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it.

    Parameters
    ----------
    variant : that was measured.
    steps : its turns that stand; its rungs, unless others were asked for.
    end : how the last of its trials ended.
    folder : where all was written.
    """

    variant: Variant
    steps: list[Step]
    end: TrialEnd
    folder: RunFolder


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
    """Have one variant climb a ladder, or take other turns where ``ladder=()``.

    Parameters
    ----------
    request, scenario : as on the command line.
    services : that run.
    folder : where results go.
    ladder, budget : offered loads, 1/s, and database connections.
    on_step : told of each step as it ends.
    changes : of the settings.
    """
    (spec,), (wanted,) = parse_specs(request), parse_specs(scenario)
    variant, asked = make_variant(spec, budget), plan_scenario(wanted, {})
    asked = replace(asked, ladder=tuple(map(float, ladder)) or asked.ladder)
    usual: Mapping[str, Any] = {
        "ladder": bool(ladder),
        "warmup_s": 0.5,
        "window_s": 1.5,
        "window_max_s": 1.5,
        "min_arrivals": 0,
        "budget": budget,
    }
    how = settings(**(dict(usual) | changes))
    run = make_run_folder(folder / "results", f"r{time.time_ns()}")
    context = RunContext(run.run_id, 7, how, run, services, on_step, PINNING)
    plan = Plan(7, how, (variant,), (asked,), ())
    with Cleanup() as cleanup:
        loop = MeasureLoop(context, RunSchedule(plan, {}), cleanup, Silent(), math.inf)
        results = loop.run()
    steps = [step for step in results.steps if not ladder or step.turn.kind == "rung"]
    return Measured(variant, steps, results.ends[-1], run)


def lasting(step: Step) -> list[Doubt]:
    """Return why a step is not sound but for a client that was held up, which may be."""
    return [doubt for doubt in step.reasons if doubt.kind is not DoubtKind.SEND_LAG]
