"""The story of a run: plan, services, trials, store, analysis, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from asyncdb_bench import plan as planning
from asyncdb_bench import report, store
from asyncdb_bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_INVALID, EXIT_SERVICE
from asyncdb_bench.machine import git, machine, versions
from asyncdb_bench.model import SCHEMA_VERSION, Manifest, Plan, TrialEnd
from asyncdb_bench.plugins import CHECKOUT, strategy_class
from asyncdb_bench.progress import Progress, make_progress
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.trial import Bench, run_trial


@dataclass(frozen=True, slots=True)
class Places:
    """Where results and reports go."""

    results: Path
    reports: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: its folder, its report, and the exit code."""

    folder: store.RunFolder
    report: report.Written
    exit_code: int


def run(plan: Plan, places: Places, command: Sequence[str] = ()) -> Outcome:
    """Measure what the plan says and write the report.

    Parameters
    ----------
    plan : what to measure.
    places : where to write.
    command : how it was asked for, for the manifest.

    Raises
    ------
    StoreError : nothing can be written.
    ServiceError : PostgreSQL did not start.
    """
    folder = store.make_run_folder(places.results, new_run_id(plan))
    interrupted, ends = False, []
    try:
        with make_progress(plan, planning.estimate_s(plan)) as progress:
            ends = measure(plan, folder, progress, command)
    except KeyboardInterrupt:
        interrupted = True
    if not folder.has_manifest:
        folder.discard()
        raise KeyboardInterrupt
    folder.merge_parts()
    written = report.write(folder, places.reports)
    return Outcome(folder, written, exit_code(written, ends, interrupted=interrupted))


def measure(
    plan: Plan, folder: store.RunFolder, progress: Progress, command: Sequence[str]
) -> list[TrialEnd]:
    """Start the services, run the trials in order, stop the services."""
    with_broker = any(strategy_class(each.strategy).brokers for each in plan.variants)
    deadline = time.monotonic() + plan.settings.time_budget_s
    prefix = f"asyncdb_bench_{folder.run_id.replace('-', '_').lower()}"
    with RunningServices(
        folder.logs, prefix, with_broker=with_broker, on_start=progress.service
    ) as services:
        plan = without_refused(plan, services)
        folder.write_manifest(make_manifest(plan, folder.run_id, services, command))
        bench = Bench(folder.run_id, plan.seed, plan.settings, folder, services, progress.step)
        return run_trials(bench, plan, progress, deadline)


def run_trials(bench: Bench, plan: Plan, progress: Progress, deadline: float) -> list[TrialEnd]:
    """Run the trials in the plan's order, each within its share of the time."""
    variants = {each.label: each for each in plan.variants}
    asked = {each.label: (place, each) for place, each in enumerate(plan.scenarios)}
    ends = []
    for done, trial in enumerate(plan.trials):
        seconds = float("inf")
        if plan.settings.time_budget_s:
            left_s = deadline - time.monotonic()
            seconds = planning.trial_share_s(left_s, len(plan.trials) - done)
        progress.trial(trial)
        place, scenario = asked[trial.scenario]
        end = run_trial(bench, trial, variants[trial.variant], scenario, place, seconds)
        progress.end(end)
        ends.append(end)
    return ends


def without_refused(plan: Plan, services: RunningServices) -> Plan:
    """Take out the trials of variants that cannot run here; they are reported with the reason."""
    variants = tuple(
        replace(each, not_run=services.refusal(strategy_class(each.strategy).brokers))
        for each in plan.variants
    )
    refused = {each.label for each in variants if each.not_run}
    trials = tuple(trial for trial in plan.trials if trial.variant not in refused)
    return replace(plan, variants=variants, trials=trials)


def make_manifest(
    plan: Plan, run_id: str, services: RunningServices, command: Sequence[str]
) -> Manifest:
    """Say what this run is."""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=plan.seed,
        command=tuple(command),
        git=git(CHECKOUT),
        machine=machine(),
        versions=versions(),
        services=services.info(),
        plan=plan,
    )


def new_run_id(plan: Plan) -> str:
    """Return a run's id: time (UTC), profile, and the seed's end to tell two apart."""
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"{now}-{plan.settings.profile}-{plan.seed % 4096:03x}"


def exit_code(written: report.Written, ends: Sequence[TrialEnd], *, interrupted: bool) -> int:
    """Return the run's exit code."""
    if interrupted:
        return EXIT_INTERRUPTED
    if any(end.failure for end in ends) or not ends:
        return EXIT_SERVICE
    if not all(verdict.sound for verdict in written.verdicts):
        return EXIT_INVALID
    return EXIT_DONE


def relative(path: Path) -> Path:
    """Return a path as the user would write it from here."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def print_last_lines(outcome: Outcome) -> None:
    """Print where results and report are: the last two lines that a run prints."""
    sys.stdout.flush()
    print(f"results: {relative(outcome.folder.path)}")  # noqa: T201 - the contract's last lines
    print(f"report: {relative(outcome.report.path)}")  # noqa: T201
