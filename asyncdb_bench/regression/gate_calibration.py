"""`calibrate --gate`: how often the gate errs here, with nothing and with known faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from asyncdb_bench.analysis.comparison import command_of
from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.plan.schedule import order, takes_turns
from asyncdb_bench.records.atomic_files import write_text
from asyncdb_bench.records.plan import Fault, Plan
from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.regression.decision import Rules
from asyncdb_bench.regression.effects import NET_CPU, P50, PACE, by_block
from asyncdb_bench.regression.error_rate_schedule import (
    COPIES,
    FAULTY,
    ErrorRateSchedule,
    copies_of,
    fault_words,
)
from asyncdb_bench.regression.error_rates import Rate, false_alarms, power, rates_markdown
from asyncdb_bench.regression.rows import comparison_rows
from asyncdb_bench.run import Places, run_schedule
from asyncdb_bench.trial.schedule_loop import Display

DECIDED = (PACE, P50, NET_CPU)
BEGIN, END = "<!-- gate calibration {}: begin -->", "<!-- gate calibration {}: end -->"
"""Around the table of a scenario."""

MakeDisplay = Callable[[Plan], AbstractContextManager[Display]]


def calibrate_gate(
    choices: Choices, places: Places, make_display: MakeDisplay, command: Sequence[str]
) -> RunFolder:
    """Measure what the gate's error rates follow from.

    Parameters
    ----------
    choices : one strategy, one scenario, and the blocks: a decision takes up to 12, and as many to
        confirm.
    places, command : as :func:`asyncdb_bench.run.run`.
    make_display : of a plan.

    Raises
    ------
    UsageError : not one strategy and one scenario that is measured in turns.
    """
    plan = make_plan(choices, read_profiles())
    (variant, *others), (scenario, *more) = plan.variants, plan.scenarios
    if others or more or not takes_turns(plan.settings, scenario):
        raise UsageError(
            "calibrate --gate takes one strategy, and one scenario that is measured in turns"
        )
    blocks = plan.settings.blocks
    # the copies and two faults twice in each block, for the estimate
    likely = tuple(replace(variant, label=f"v{n}") for n in range(COPIES + 2 * FAULTY))
    plan = replace(
        plan,
        variants=tuple(copies_of(variant)),
        trials=order(likely, plan.scenarios, blocks, plan.seed),
    )
    display = make_display(plan)
    return run_schedule(
        plan, places, display, lambda p: ErrorRateSchedule(p, blocks), command
    ).folder


def rates_of(folder: RunFolder, rules: Rules) -> list[Rate]:
    """Return the gate's error rates from a stored calibration.

    Raises
    ------
    UsageError : the run is no calibration in turns.
    """
    manifest = folder.manifest()
    measured = [step for step in folder.steps() if not step.repeated and step.purpose == "measure"]
    if not any(step.turn for step in measured):
        raise UsageError(f"{folder.run_id} is no calibration in turns: measure it anew")
    rows = comparison_rows(measured, folder.trials())
    load = max(step.offered_rps for step in measured if step.turn and step.turn.kind == "common")
    copies = [each.label for each in manifest.plan.variants if each.fault is None]
    faults: dict[Fault, list[str]] = {}
    for variant in manifest.plan.variants:
        if variant.fault is not None:
            faults.setdefault(variant.fault, []).append(variant.label)
    found = []
    for figure in DECIDED:
        by_label = {
            each.label: by_block(rows[rows.variant == each.label], figure, load, 0.0)
            for each in manifest.plan.variants
        }
        plain = [by_label[label] for label in copies]
        found.append(false_alarms(plain, figure, rules))
        found += [
            power(fault_words(fault), [by_label[label] for label in labels], plain, figure, rules)
            for fault, labels in faults.items()
        ]
    return found


def measured_on(folder: RunFolder) -> str:
    """Return what a calibration was measured on, in a sentence."""
    manifest = folder.manifest()
    steps = [step for step in folder.steps() if step.purpose == "measure"]
    scenario = manifest.plan.scenarios[0].label
    blocks = len({step.block for step in steps})
    strategy = manifest.plan.variants[0].strategy
    load = max(step.offered_rps for step in steps if step.turn and step.turn.kind == "common")
    return (
        f"`{command_of(manifest)}` on {manifest.machine['cpu']},"
        f" {manifest.machine['usable_cores']} cores: {strategy} in {scenario} at {load:g}/s,"
        f" {blocks} blocks in which {COPIES} copies and {2 * FAULTY} with a fault took turns, each"
        " in fresh processes."
    )


def write_into(path: Path, folder: RunFolder, rates: Sequence[Rate]) -> None:
    """Put the rates into a page between its two markers.

    Raises
    ------
    UsageError : the page lacks them.
    """
    text = path.read_text()
    scenario = folder.manifest().plan.scenarios[0].label
    begin, end = BEGIN.format(scenario), END.format(scenario)
    if begin not in text or end not in text:
        raise UsageError(f"{path} lacks the lines {begin} and {end}")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    table = rates_markdown(rates, measured_on(folder))
    write_text(path, f"{before}{begin}\n{table}{end}{after}")


def rate_lines(rates: Sequence[Rate]) -> list[str]:
    """Return the rates as text, a line each."""
    lines = []
    for each in rates:
        low, high = each.interval if each.decisions else (0.0, 1.0)
        lines.append(
            f"{each.what}: {each.figure} x {each.ratio:.3f}; red in {each.red} of {each.decisions}"
            f" ({low:.0%} to {high:.0%}), after {each.blocks:g} blocks"
        )
    return lines
