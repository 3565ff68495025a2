"""The story of a run: plan, services, trials, records, analysis, report."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from asyncdb_bench import report
from asyncdb_bench.analysis.standing import not_measured
from asyncdb_bench.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_INVALID,
    EXIT_SERVICE,
    BenchError,
    ServiceError,
    StoreError,
    WriteError,
)
from asyncdb_bench.plan.cores import on_cores, permitted, share_out, usable_cores
from asyncdb_bench.plan.git import revision_and_changes
from asyncdb_bench.plan.hosts import shown
from asyncdb_bench.plan.load_workers import count
from asyncdb_bench.plan.reach import reach_of, reaches_of
from asyncdb_bench.plan.refusals import refusing
from asyncdb_bench.plan.registry import CHECKOUT
from asyncdb_bench.records.plan import Pinning, Plan
from asyncdb_bench.records.run import SCHEMA_VERSION, Calibration, Manifest
from asyncdb_bench.records.run_folder import RunFolder, make_run_folder, read_calibration
from asyncdb_bench.services.absent import NoServices
from asyncdb_bench.services.pooler import MISSING, find_pooler
from asyncdb_bench.services.reaching import Between
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.text import PROGRAM
from asyncdb_bench.trial.canary import machine_pace
from asyncdb_bench.trial.deployment import example, measure_deployment
from asyncdb_bench.trial.host import describe_machine, fingerprint, versions
from asyncdb_bench.trial.hosts.reached_hosts import ReachedHosts
from asyncdb_bench.trial.load_of_run import several_loads
from asyncdb_bench.trial.lock import MachineLock
from asyncdb_bench.trial.one_trial import TrialRunner
from asyncdb_bench.trial.run_context import RunContext
from asyncdb_bench.trial.schedule_loop import Display, Results, Schedule, ScheduleLoop
from asyncdb_bench.trial.turns.one_block import BlockRunner
from asyncdb_bench.trial.turns.warden import Warden

HESITATE_S = 3

S = TypeVar("S", bound=Schedule)


@dataclass(frozen=True, slots=True)
class Places:
    """Where results and reports go."""

    results: Path
    reports: Path


@dataclass(frozen=True, slots=True)
class Finished(Generic[S]):
    """How a run ended: its folder, schedule, results and report, and the exit code.

    `failure` is what ended it early, and did not keep the report from being written.
    """

    folder: RunFolder
    schedule: S
    results: Results
    report: report.Written
    exit_code: int
    failure: str = ""


def run_schedule(
    plan: Plan,
    places: Places,
    display: AbstractContextManager[Display],
    make_schedule: Callable[[Plan], S],
    command: Sequence[str] = (),
) -> Finished[S]:
    """Measure what a schedule asks for and write the report.

    Parameters
    ----------
    plan : variants, scenarios and settings.
    places : where to write.
    display : what is shown meanwhile.
    make_schedule : makes it of the plan, once it is known which variants can be run here.
    command : how it was asked for, for the manifest.

    Raises
    ------
    StoreError : nothing can be written.
    ServiceError : PostgreSQL did not start, or the services did not come back and nothing had been
        measured.
    """
    folder = make_run_folder(places.results, new_run_id(plan))
    loop: ScheduleLoop[S] | None = None
    interrupted, failure = False, None
    try:
        with MachineLock(command) as lock, display as shown, Warden() as warden:
            warn_of(lock, shown)
            with prepared(plan, folder, shown, command, lock) as (possible, context, left_s):
                if left := context.sweep():
                    warden.sweep(left)
                loop = ScheduleLoop(
                    make_schedule(possible),
                    TrialRunner(context),
                    shown,
                    left_s,
                    block_runner=BlockRunner(context, warden),
                )
                try:
                    loop.run()
                finally:
                    # where nothing can be written any more, that has been said
                    with suppress(StoreError):
                        note_schedule(folder, loop.schedule)
                if possible.settings.deployment:
                    measure_deployments(context, possible, shown)
    except KeyboardInterrupt:
        interrupted = True
    except (ServiceError, WriteError) as error:
        if loop is None or not loop.results.steps:
            raise
        failure = error
    if loop is None:
        folder.discard()
        raise KeyboardInterrupt
    written = concluded(folder, places, failure)
    code = exit_code(written, loop.results, interrupted=interrupted)
    if failure is not None:
        code = failure.exit_code
    return Finished(folder, loop.schedule, loop.results, written, code, str(failure or ""))


def concluded(
    folder: RunFolder, places: Places, failure: BenchError | None = None
) -> report.Written:
    """Close a run's files and write its report.

    Parameters
    ----------
    folder, places : of the run.
    failure : what ended it early; the same may keep its report from being written: then it is
        raised again, and what was written stays.
    """
    try:
        folder.note_event("report")
        folder.merge_parts()
        return report.write(folder, places.reports)
    except StoreError as error:
        raise failure or error from error


def warn_of(lock: MachineLock, display: Display) -> None:
    """Say who holds the machine, and leave time to cancel."""
    if lock.holder is not None:
        display.say(
            f"another run holds this machine ({lock.holder}): the steps of both would be invalid;"
            f" starting in {HESITATE_S} s, Ctrl-C cancels"
        )
        time.sleep(HESITATE_S)


@contextmanager
def prepared(
    plan: Plan, folder: RunFolder, display: Display, command: Sequence[str], lock: MachineLock
) -> Iterator[tuple[Plan, RunContext, float]]:
    """Start the services and write the manifest; stop the services afterwards.

    Returns
    -------
    The plan with the variants that cannot be run here, what all trials share, and the seconds that
    are left of the time budget (0: no limit).
    """
    deadline = time.monotonic() + plan.settings.time_budget_s
    # before this process goes to its own cores
    here, pace = describe_machine(), machine_pace()
    pinning = permitted(share_out(plan.settings.cpus, usable_cores()))
    plan = without_missing(plan)
    alone = all(each.target is not None for each in plan.variants)
    between = Between(
        tuple(reaches_of(plan)),
        max((each.budget for each in plan.variants), default=1),
        pinning.of("app"),
    )
    with (
        contextlib.ExitStack() as stack,
        on_cores(pinning.of("postgresql")),
        NoServices()
        if alone
        else RunningServices(
            folder.logs,
            f"asyncdb_bench_{folder.run_id.replace('-', '_').lower()}",
            with_broker=any(each.brokers for each in plan.variants),
            with_store=any(each.needs_store for each in plan.variants),
            on_start=display.service,
            between=between,
        ) as services,
    ):
        hosts = None
        if any(each.via != "local" for each in plan.hosts.all):
            display.service("what the hosts need")
            hosts = stack.enter_context(ReachedHosts(plan.hosts, folder.logs).reached())
        # how they are reached is their owner's affair
        plan = replace(with_refusals(plan, services), hosts=shown(plan.hosts))
        pinning = as_started(pinning, services)
        calibration, notes = usable_calibration(folder.path.parent, plan, pinning, here)
        notes += hosts.notes() if hosts is not None else ()
        for note in notes:
            display.say(f"note: {note}")
        load_set = stack.enter_context(
            several_loads(plan, pinning, folder.logs, display.say, hosts)
        )
        manifest = make_manifest(plan, folder.run_id, services, command, here)
        folder.write_manifest(
            replace(
                manifest,
                pinning=pinning,
                calibration=calibration,
                notes=notes,
                canary=pace,
                hosts=hosts.machines() if hosts is not None else {},
            )
        )
        context = RunContext(
            folder.run_id,
            plan.seed,
            plan.settings,
            folder,
            services,
            display.step,
            pinning,
            calibration,
            lock.other_run,
            load_set,
            hosts,
        )
        left_s = max(deadline - time.monotonic(), 1e-3) if plan.settings.time_budget_s else 0.0
        yield plan, context, left_s


def note_schedule(folder: RunFolder, schedule: Schedule) -> None:
    """Write into the manifest what the schedule has come to: its variants and trials."""
    manifest = folder.manifest()
    if manifest.plan != schedule.plan:
        folder.write_manifest(replace(manifest, plan=schedule.plan))


def measure_deployments(context: RunContext, plan: Plan, display: Display) -> None:
    """Measure what each variant takes to deploy; one that does not start is left out, and told."""
    scenario = example(plan.scenarios)
    if scenario is None:
        return
    for variant in plan.variants:
        if variant.not_run:
            continue
        display.say(f"deployment of {variant.label}: cold start, memory, and each part killed")
        try:
            deployment = measure_deployment(
                variant,
                scenario,
                context.services,
                context.folder.logs,
                context.settings,
                context.pinning,
            )
        except ServiceError as error:
            display.say(f"deployment of {variant.label} was not measured: {error}")
        else:
            context.folder.append_deployment(deployment)


def without_missing(plan: Plan) -> Plan:
    """Return the plan without what needs a pooler, where there is none, with the reason."""
    if find_pooler() is not None:
        return plan
    refused = {
        scenario.label: {
            variant.label: MISSING
            for variant in plan.variants
            if reach_of(scenario, variant).via == "pgbouncer"
        }
        for scenario in plan.scenarios
    }
    return refusing(plan, refused)


def with_refusals(plan: Plan, services: RunningServices | NoServices) -> Plan:
    """Return the plan without the trials of variants that cannot run here, with the reasons."""
    variants = tuple(
        replace(each, not_run=services.refusal(each.brokers, needs_store=each.needs_store))
        for each in plan.variants
    )
    refused = {each.label for each in variants if each.not_run}
    trials = tuple(trial for trial in plan.trials if trial.variant not in refused)
    return replace(plan, variants=variants, trials=trials)


def as_started(pinning: Pinning, services: RunningServices | NoServices) -> Pinning:
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
    calibration = read_calibration(results)
    if calibration is None:
        return None, (f"not calibrated: `{PROGRAM} calibrate` takes a minute",)
    if calibration.machine != fingerprint(here):
        return None, (
            f"results/calibration.json is of another machine; run `{PROGRAM} calibrate` here",
        )
    processes = count(plan.settings, plan.hosts)
    if calibration.load_processes != processes:
        return None, (
            f"not calibrated with {processes} load processes (but {calibration.load_processes}):"
            f" `{PROGRAM} calibrate --load-processes {processes}`",
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


def make_manifest(
    plan: Plan,
    run_id: str,
    services: RunningServices | NoServices,
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
        git=revision_and_changes(CHECKOUT),
        machine=here,
        versions=versions(),
        services=services.info(),
        plan=plan,
    )


def new_run_id(plan: Plan) -> str:
    """Return a run's id: time (UTC), profile, and the seed's end to tell two apart."""
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"{now}-{plan.settings.profile}-{plan.seed % 4096:03x}"


def exit_code(written: report.Written, results: Results, *, interrupted: bool) -> int:
    """Return the run's exit code."""
    if interrupted:
        return EXIT_INTERRUPTED
    if any(end.failure and not end.lost for end in results.ends) or not results.ends:
        return EXIT_SERVICE
    if not_measured(results.ends) or not written.sound:
        return EXIT_INVALID
    return EXIT_DONE


class _Story(ModuleType):
    """The module itself, which is also what ``asyncdb_bench.run(plan)`` calls.

    The import system makes a module an attribute of its package, in the place of the public
    function of the same name.
    """

    def __call__(self, *given: Any, **options: Any) -> Any:
        """Call :func:`asyncdb_bench.scripting.run`."""
        from asyncdb_bench.scripting import run

        return run(*given, **options)


sys.modules[__name__].__class__ = _Story
