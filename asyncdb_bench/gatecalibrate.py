"""`calibrate --gate`: how often the gate errs on this machine, with nothing and with known faults.

In every block six copies of the same variant and each fault run once, in random order, in fresh
processes, at half of the capacity. The gate's decision is then replayed on them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from asyncdb_bench import store
from asyncdb_bench.analysis import command_of
from asyncdb_bench.effects import GATED, at_load
from asyncdb_bench.errors import MeasurementError, UsageError
from asyncdb_bench.gate import Rules
from asyncdb_bench.model import Fault, Plan, Trial, TrialEnd, Variant
from asyncdb_bench.night import pilot_capacity
from asyncdb_bench.plan import Choices, make_plan, make_variant, order, read_profiles
from asyncdb_bench.plugins import parse_specs
from asyncdb_bench.progress import Progress
from asyncdb_bench.rates import Rate, false_alarms, markdown, power
from asyncdb_bench.run import Places
from asyncdb_bench.run import run as run_plan
from asyncdb_bench.tables import steps_table
from asyncdb_bench.trial import Bench, run_trial

COPIES = 6
SIZES = (0.05, 0.10, 0.20)
POOLS = (7, 6, 5)
DECIDED = ("p50_ms", "p95_ms", "cpu_ms_per_request")
STEPS = 2
BEGIN, END = "<!-- gate calibration: begin -->", "<!-- gate calibration: end -->"


class Rounds:
    """Runs the blocks; handed to :func:`asyncdb_bench.run.run`.

    Parameters
    ----------
    copies, blocks : of the variant, and how many rounds.
    """

    def __init__(self, copies: Sequence[Variant], blocks: int) -> None:
        self.copies = list(copies)
        self.blocks = blocks
        self.faults: list[Variant] = []
        self.load = 0.0
        self.trials: list[Trial] = []
        self.ends: list[TrialEnd] = []

    def __call__(
        self, bench: Bench, plan: Plan, progress: Progress, deadline: float
    ) -> list[TrialEnd]:
        """Find half of the capacity and the faults' sizes, then run the blocks."""
        self.bench, self.plan, self.progress = bench, plan, progress
        (asked,) = plan.scenarios
        first = self.copies[0]
        self._trial(first, 0, (), gallop=True)
        carried = pilot_capacity(self._steps())
        if not carried:
            raise MeasurementError(f"{first.label} did not carry even {asked.ladder[0]:g}/s")
        self.load = round(carried / 2)
        ladder = (self.load,) * STEPS
        self._size_faults(first, ladder)
        variants = [*self.copies, *self.faults]
        self._note([*variants, self.delayed])
        shuffler = random.Random(plan.seed)
        for block in range(1, self.blocks + 1):
            began = time.monotonic()
            for variant in shuffler.sample(variants, len(variants)):
                self._trial(variant, block, ladder)
            took = time.monotonic() - began
            progress.say(f"block {block} of {self.blocks} took {took:.0f} s")
            if plan.settings.time_budget_s and time.monotonic() + took > deadline:
                break
        self._note([*variants, self.delayed])
        return self.ends

    def _size_faults(self, variant: Variant, ladder: tuple[float, ...]) -> None:
        """Choose faults that make the p50 worse by about 5, 10 and 20 %.

        A delay costs a round trip besides: it is measured, and taken off.
        """
        self.delayed = self._faulty(variant, Fault(delay_ms=0.01), "a round trip more")
        self._trial(variant, 0, ladder)
        self._trial(self.delayed, 0, ladder)
        steps = self._steps()
        found = [
            at_load(steps[steps.variant == each.label], self.load, "p50_ms").get(0)
            for each in (variant, self.delayed)
        ]
        plain, with_trip = found
        if plain is None or with_trip is None:
            raise MeasurementError(
                f"no sound step at {self.load:g}/s to size the faults by: is the machine busy?"
            )
        trip = max(with_trip - plain, 0.0)
        for size in SIZES:
            delay = max(round(size * plain - trip, 2), 0.01)
            name = f"{delay:g} ms of delay in the operation"
            self.faults.append(self._faulty(variant, Fault(delay_ms=delay), name))
        for size in SIZES:
            burn = round(size * plain, 2)
            name = f"{burn:g} ms of CPU burned in the handler"
            self.faults.append(self._faulty(variant, Fault(cpu_ms=burn), name))
        for pool in POOLS:
            name = f"a pool of {pool} instead of {variant.knobs['pool']}"
            made = self._faulty(variant, Fault(pool=pool), name)
            self.faults.append(replace(made, knobs={**variant.knobs, "pool": pool}))

    def _faulty(self, variant: Variant, fault: Fault, name: str) -> Variant:
        return replace(variant, label=f"{variant.strategy}!{name}", fault=fault)

    def _note(self, variants: Sequence[Variant]) -> None:
        """Write what has run into the manifest."""
        folder = self.bench.folder
        manifest = folder.manifest()
        plan = replace(manifest.plan, variants=tuple(variants), trials=tuple(self.trials))
        folder.write_manifest(replace(manifest, plan=plan))

    def _steps(self) -> pd.DataFrame:
        records = [step for step in self.bench.folder.steps() if not step.repeated]
        return steps_table(records, self.ends)

    def _trial(
        self, variant: Variant, block: int, ladder: tuple[float, ...], *, gallop: bool = False
    ) -> None:
        (asked,) = self.plan.scenarios
        trial = Trial(f"t{len(self.trials):03d}", block, variant.label, asked.label, ladder)
        self.trials.append(trial)
        self.progress.trial(trial)
        wanted = replace(asked, gallop=gallop)
        end = run_trial(self.bench, trial, variant, wanted, 0, float("inf"))
        self.progress.end(end)
        self.ends.append(end)


def calibrate_gate(
    request: str,
    scenario: str,
    blocks: int,
    time_budget_s: float,
    places: Places,
    command: Sequence[str],
) -> tuple[store.RunFolder, list[Rate]]:
    """Measure the gate's error rates.

    Parameters
    ----------
    request, scenario : the variant and the scenario to measure with.
    blocks : rounds; a decision takes up to 12, and as many to confirm.
    time_budget_s : after which no round is begun.
    places, command : as :func:`asyncdb_bench.run.run`.

    Raises
    ------
    UsageError : not one variant and one scenario, or the variant has no pool.
    """
    specs = parse_specs(request)
    overrides = {"blocks": blocks, "time_budget_s": time_budget_s}
    plan = make_plan(Choices("gate", request, scenario, None, overrides), read_profiles())
    if len(specs) != 1 or len(plan.scenarios) != 1 or "pool" not in plan.variants[0].knobs:
        raise UsageError("calibrate --gate takes one strategy with a pool, and one scenario")
    variant = make_variant(specs[0], plan.settings.budget)
    copies = [replace(variant, label=f"{variant.strategy}#{n + 1}") for n in range(COPIES)]
    settings = replace(plan.settings, warmup_s=0.5, window_s=2.0, window_max_s=2.0)
    # six copies and nine faults in each block, for the estimate
    likely = tuple(replace(variant, label=f"v{n}") for n in range(COPIES + 3 * len(SIZES)))
    trials = order(likely, plan.scenarios, blocks, plan.seed)
    rounds = Rounds(copies, blocks)
    plan = replace(plan, variants=tuple(copies), settings=settings, trials=trials)
    outcome = run_plan(plan, places, command, rounds)
    return outcome.folder, rates_of(outcome.folder, Rules())


def rates_of(folder: store.RunFolder, rules: Rules) -> list[Rate]:
    """Return the gate's error rates from a stored calibration."""
    manifest = folder.manifest()
    records = [step for step in folder.steps() if not step.repeated and step.block > 0]
    steps = steps_table(records, folder.trials())
    load = max(step.offered_rps for step in records)

    def values(label: str, figure: str) -> dict[int, float]:
        return at_load(steps[steps.variant == label], load, figure)

    variants = manifest.plan.variants
    copies = [each.label for each in variants if each.fault is None]
    found = []
    for figure in GATED:
        if figure.name in DECIDED:
            measured = [values(label, figure.name) for label in copies]
            found.append(false_alarms(measured, figure, rules))
    (p50,) = (each for each in GATED if each.name == "p50_ms")
    bases = [values(label, p50.name) for label in copies]
    for variant in variants:
        faulty = values(variant.label, p50.name)
        if variant.fault is not None and faulty:
            what = variant.label.partition("!")[2]
            found.append(power(what, faulty, bases, p50, rules))
    return found


def sentence(folder: store.RunFolder) -> str:
    """Return what a calibration was measured on."""
    manifest = folder.manifest()
    steps = [step for step in folder.steps() if step.block > 0]
    asked = manifest.plan.scenarios[0].label
    blocks = len({step.block for step in steps})
    strategy = manifest.plan.variants[0].strategy
    load = max(step.offered_rps for step in steps)
    return (
        f"`{command_of(manifest)}` on {manifest.machine['cpu']},"
        f" {manifest.machine['usable_cores']} cores: {strategy} in {asked} at {load:g}/s,"
        f" {blocks} blocks of {COPIES} copies and {3 * len(SIZES)} faults, each in fresh processes."
    )


def write_into(path: Path, folder: store.RunFolder, rates: Sequence[Rate]) -> None:
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
    table = markdown(rates, sentence(folder))
    store.write_text(path, f"{before}{BEGIN}\n{table}{END}{after}")


def say(rates: Sequence[Rate], out: Callable[[str], None]) -> None:
    """Print the rates, a line each."""
    for each in rates:
        low, high = each.interval
        out(
            f"{each.what}: {each.figure} x {each.ratio:.3f}; red in {each.red} of {each.decisions}"
            f" ({low:.0%} to {high:.0%}), after {each.blocks:g} blocks"
        )
