"""`calibrate --gate`: how often the gate errs here, with nothing and with known faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from asyncdb_bench.analysis.comparison import command_of
from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.plan.schedule import order
from asyncdb_bench.records.plan import Plan
from asyncdb_bench.records.run_folder import RunFolder, write_text
from asyncdb_bench.regression.decision import Rules
from asyncdb_bench.regression.effects import GATED, at_load
from asyncdb_bench.regression.error_rate_schedule import (
    COPIES,
    SIZES,
    ErrorRateSchedule,
    copies_of,
    fault_words,
)
from asyncdb_bench.regression.error_rates import Rate, false_alarms, power, rates_markdown
from asyncdb_bench.run import Places, run_schedule
from asyncdb_bench.trial.schedule_loop import Display

DECIDED = ("p50_ms", "p95_ms", "cpu_ms_per_request")
BEGIN, END = "<!-- gate calibration: begin -->", "<!-- gate calibration: end -->"

MakeDisplay = Callable[[Plan], AbstractContextManager[Display]]


def calibrate_gate(
    choices: Choices, places: Places, make_display: MakeDisplay, command: Sequence[str]
) -> RunFolder:
    """Measure what the gate's error rates follow from.

    Parameters
    ----------
    choices : one strategy with a pool, one scenario, and the blocks: a decision takes up to 12, and
        as many to confirm.
    places, command : as :func:`asyncdb_bench.run.run`.
    make_display : of a plan.

    Raises
    ------
    UsageError : not one strategy and one scenario, or the strategy has no pool.
    """
    plan = make_plan(choices, read_profiles())
    (variant, *others), (_, *more) = plan.variants, plan.scenarios
    if others or more or "pool" not in variant.knobs:
        raise UsageError("calibrate --gate takes one strategy with a pool, and one scenario")
    blocks = plan.settings.blocks
    # six copies and nine faults in each block, for the estimate
    likely = tuple(replace(variant, label=f"v{n}") for n in range(COPIES + 3 * len(SIZES)))
    settings = replace(plan.settings, warmup_s=0.5, window_s=2.0, window_max_s=2.0)
    plan = replace(
        plan,
        variants=tuple(copies_of(variant)),
        settings=settings,
        trials=order(likely, plan.scenarios, blocks, plan.seed),
    )
    display = make_display(plan)
    return run_schedule(
        plan, places, display, lambda p: ErrorRateSchedule(p, blocks), command
    ).folder


def rates_of(folder: RunFolder, rules: Rules) -> list[Rate]:
    """Return the gate's error rates from a stored calibration."""
    manifest = folder.manifest()
    measured = [step for step in folder.steps() if not step.repeated and step.purpose == "measure"]
    steps = steps_table(measured, folder.trials())
    load = max(step.offered_rps for step in measured)

    def values(label: str, figure: str) -> dict[int, float]:
        return at_load(steps[steps.variant == label], load, figure)

    copies = [each for each in manifest.plan.variants if each.fault is None]
    found = [
        false_alarms([values(each.label, figure.name) for each in copies], figure, rules)
        for figure in GATED
        if figure.name in DECIDED
    ]
    (p50,) = (each for each in GATED if each.name == "p50_ms")
    bases = [values(each.label, p50.name) for each in copies]
    for variant in manifest.plan.variants:
        faulty = values(variant.label, p50.name)
        if variant.fault is not None and faulty:
            words = fault_words(variant.fault, copies[0].knobs.get("pool"))
            found.append(power(words, faulty, bases, p50, rules))
    return found


def measured_on(folder: RunFolder) -> str:
    """Return what a calibration was measured on, in a sentence."""
    manifest = folder.manifest()
    steps = [step for step in folder.steps() if step.purpose == "measure"]
    scenario = manifest.plan.scenarios[0].label
    blocks = len({step.block for step in steps})
    strategy = manifest.plan.variants[0].strategy
    load = max(step.offered_rps for step in steps)
    return (
        f"`{command_of(manifest)}` on {manifest.machine['cpu']},"
        f" {manifest.machine['usable_cores']} cores: {strategy} in {scenario} at {load:g}/s,"
        f" {blocks} blocks of {COPIES} copies and {3 * len(SIZES)} faults, each in fresh processes."
    )


def write_into(path: Path, folder: RunFolder, rates: Sequence[Rate]) -> None:
    """Put the rates into a page between its two markers.

    Raises
    ------
    UsageError : the page lacks them.
    """
    text = path.read_text()
    if BEGIN not in text or END not in text:
        raise UsageError(f"{path} lacks the lines {BEGIN} and {END}")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    table = rates_markdown(rates, measured_on(folder))
    write_text(path, f"{before}{BEGIN}\n{table}{END}{after}")


def rate_lines(rates: Sequence[Rate]) -> list[str]:
    """Return the rates as text, a line each."""
    lines = []
    for each in rates:
        low, high = each.interval
        lines.append(
            f"{each.what}: {each.figure} x {each.ratio:.3f}; red in {each.red} of {each.decisions}"
            f" ({low:.0%} to {high:.0%}), after {each.blocks:g} blocks"
        )
    return lines
