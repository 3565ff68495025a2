"""The story of a run: plan, services, trials, store, analysis, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncdb_bench import plan as planning
from asyncdb_bench import report, store
from asyncdb_bench.canary import canary
from asyncdb_bench.cores import on_cores, permitted, share_out, usable_cores
from asyncdb_bench.deployment import example, measure_deployment
from asyncdb_bench.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_INVALID,
    EXIT_SERVICE,
    ServiceError,
)
from asyncdb_bench.lock import MachineLock
from asyncdb_bench.machine import fingerprint, git, machine, versions
from asyncdb_bench.model import SCHEMA_VERSION, Calibration, Manifest, Pinning, Plan, TrialEnd
from asyncdb_bench.plugins import CHECKOUT
from asyncdb_bench.progress import Progress, make_progress
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.trial import Bench, run_trial

HESITATE_S = 3

Trials = Callable[[Bench, Plan, Progress, float], list[TrialEnd]]


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


def run(
    plan: Plan, places: Places, command: Sequence[str] = (), trials: Trials | None = None
) -> Outcome:
    """Measure what the plan says and write the report.

    Parameters
    ----------
    plan : what to measure.
    places : where to write.
    command : how it was asked for, for the manifest.
    trials : runs the trials, until a moment on the monotonic clock; default: the plan's, in order.

    Raises
    ------
    StoreError : nothing can be written.
    ServiceError : PostgreSQL did not start.
    """
    folder = store.make_run_folder(places.results, new_run_id(plan))
    interrupted, ends = False, []
    try:
        with (
            MachineLock(command) as lock,
            make_progress(plan, planning.estimate_s(plan)) as progress,
        ):
            warn_of(lock, progress)
            ends = measure(plan, folder, progress, command, lock, trials or run_trials)
    except KeyboardInterrupt:
        interrupted = True
    if not folder.has_manifest:
        folder.discard()
        raise KeyboardInterrupt
    folder.merge_parts()
    written = report.write(folder, places.reports)
    return Outcome(folder, written, exit_code(written, ends, interrupted=interrupted))


def warn_of(lock: MachineLock, progress: Progress) -> None:
    """Say who holds the machine, and leave the time to think better of it."""
    if lock.holder is not None:
        progress.say(
            f"another run holds this machine ({lock.holder}): the steps of both would be invalid;"
            f" starting in {HESITATE_S} s, Ctrl-C leaves it in peace"
        )
        time.sleep(HESITATE_S)


def measure(
    plan: Plan,
    folder: store.RunFolder,
    progress: Progress,
    command: Sequence[str],
    lock: MachineLock,
    trials: Trials,
) -> list[TrialEnd]:
    """Start the services, run the trials in order, stop the services."""
    with_broker = any(each.brokers for each in plan.variants)
    with_store = any(each.needs_store for each in plan.variants)
    deadline = time.monotonic() + plan.settings.time_budget_s
    prefix = f"asyncdb_bench_{folder.run_id.replace('-', '_').lower()}"
    # before this process goes to its own cores
    here, pace = machine(), canary()
    pinning = permitted(share_out(plan.settings.cpus, usable_cores()))
    with (
        on_cores(pinning.of("postgresql")),
        RunningServices(
            folder.logs,
            prefix,
            with_broker=with_broker,
            with_store=with_store,
            on_start=progress.service,
        ) as services,
    ):
        plan = without_refused(plan, services)
        pinning = as_started(pinning, services)
        calibration, notes = usable_calibration(folder.path.parent, plan, pinning, here)
        for note in notes:
            progress.say(f"note: {note}")
        manifest = make_manifest(plan, folder.run_id, services, command, here)
        folder.write_manifest(
            replace(manifest, pinning=pinning, calibration=calibration, notes=notes, canary=pace)
        )
        bench = Bench(
            folder.run_id,
            plan.seed,
            plan.settings,
            folder,
            services,
            progress.step,
            pinning,
            calibration,
            lock.intruder,
        )
        ends = trials(bench, plan, progress, deadline)
        if plan.settings.deployment:
            measure_deployments(bench, plan, progress)
        return ends


def measure_deployments(bench: Bench, plan: Plan, progress: Progress) -> None:
    """Measure what each variant takes to deploy; one that does not start is left out, and told."""
    asked = example(plan.scenarios)
    if asked is None:
        return
    for variant in plan.variants:
        if variant.not_run:
            continue
        progress.say(f"deployment of {variant.label}: cold start, memory, and each part killed")
        try:
            found = measure_deployment(
                variant,
                asked,
                bench.services,
                bench.folder.logs,
                bench.settings,
                bench.pinning,
            )
        except ServiceError as error:
            progress.say(f"deployment of {variant.label} was not measured: {error}")
        else:
            bench.folder.append_deployment(found)


def as_started(pinning: Pinning, services: RunningServices) -> Pinning:
    """Take out of a pinning the services that are not ours to pin."""
    foreign = {"postgresql", "broker"} - services.roles().keys()
    kept = {role: cores for role, cores in pinning.cores.items() if role not in foreign}
    named = [service.name for service in services.info() if service.name in foreign]
    problem = pinning.problem
    if pinning.cores and named:
        problem = f"{' and '.join(named)} not pinned: not started by this run"
    return Pinning(kept, problem)


def usable_calibration(
    results: Path, plan: Plan, pinning: Pinning, here: Mapping[str, Any]
) -> tuple[Calibration | None, tuple[str, ...]]:
    """Return this machine's calibration where there is one, and what to say of it."""
    calibration = store.read_calibration(results)
    if calibration is None:
        return None, ("not calibrated: `bench.py calibrate` takes a minute",)
    if calibration.machine != fingerprint(here):
        return None, (
            "results/calibration.json is of another machine; run `bench.py calibrate` here",
        )
    notes = []
    if calibration.cpus.get("load", ()) != pinning.of("load"):
        notes.append(
            f"calibrated with the load on cores {calibration.cpus.get('load', 'any')}, now"
            f" {pinning.of('load') or 'any'}"
        )
    notes += [
        f"the ladder of {each.label} goes up to {max(each.ladder):,.0f}/s, beyond half of what the"
        f" load generator can offer here ({calibration.max_rps:,.0f}/s)"
        for each in plan.scenarios
        if max(each.ladder) > calibration.max_rps / 2
    ]
    return calibration, tuple(notes)


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
        replace(each, not_run=services.refusal(each.brokers, needs_store=each.needs_store))
        for each in plan.variants
    )
    refused = {each.label for each in variants if each.not_run}
    trials = tuple(trial for trial in plan.trials if trial.variant not in refused)
    return replace(plan, variants=variants, trials=trials)


def make_manifest(
    plan: Plan,
    run_id: str,
    services: RunningServices,
    command: Sequence[str],
    here: Mapping[str, Any],
) -> Manifest:
    """Say what this run is, and on which machine."""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=plan.seed,
        command=tuple(command),
        git=git(CHECKOUT),
        machine=here,
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
    if not written.sound:
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
