"""The story of a run: plan, services, turns, records, analysis, report."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import psutil

from asyncdb_bench import report
from asyncdb_bench.analysis.launch_spread import launch_spreads
from asyncdb_bench.analysis.values import not_measured
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
from asyncdb_bench.extensions import added, loaded
from asyncdb_bench.measure.launching import groups_that_fit
from asyncdb_bench.measure.loop import Display, MeasureLoop, Results
from asyncdb_bench.measure.run_context import RunContext
from asyncdb_bench.measure.schedule import RunSchedule
from asyncdb_bench.measure.turns import Schedule
from asyncdb_bench.plan.cores import on_cores, permitted, share_out, sharing_groups, usable_cores
from asyncdb_bench.plan.load_workers import Workers
from asyncdb_bench.plan.other_checkout import revision_and_changes
from asyncdb_bench.plan.planner import refusing
from asyncdb_bench.plan.reach import reach_of, reaches_of
from asyncdb_bench.plan.registry import CHECKOUT
from asyncdb_bench.processes.cleanup import Cleanup
from asyncdb_bench.processes.host import describe_machine, fingerprint, machine_pace, versions
from asyncdb_bench.processes.load_set import LoadSet, read_token
from asyncdb_bench.processes.lock import MachineLock
from asyncdb_bench.processes.place import placed
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.files import append_launches, read_launches
from asyncdb_bench.records.plan import Pinning, Plan
from asyncdb_bench.records.run import SCHEMA_VERSION, Calibration, Manifest
from asyncdb_bench.records.run_folder import RunFolder, make_run_folder, read_calibration
from asyncdb_bench.services.reaching import MISSING, Between, find_pooler
from asyncdb_bench.services.running import RunningServices, Services, needs_broker
from asyncdb_bench.text import PROGRAM, listed

HESITATE_S = 3
LEAST_S = 8.0
"""That is measured even where set-up has taken the time: less would be no answer."""

S = TypeVar("S", bound=Schedule)
MakeSchedule = Callable[[Plan, Manifest], S]
"""Makes a run's schedule of its plan and manifest, once it is known which variants can be run."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where results and reports go."""

    results: Path
    reports: Path


@dataclass(frozen=True, slots=True)
class Finished(Generic[S]):
    """How a run ended: its folder, schedule, results and report, and the exit code.

    `failure` is what ended it early, and did not keep the report from being written; `times` says
    how long set-up, measuring and the end took, seconds.
    """

    folder: RunFolder
    schedule: S
    results: Results
    report: report.Written
    exit_code: int
    times: Times
    failure: str = ""


@dataclass(slots=True)
class Times:
    """When the parts of a run began, monotonic seconds."""

    began: float
    measuring: float = 0.0
    ending: float = 0.0
    ended: float = 0.0

    def in_words(self) -> str:
        """Say how long each part took."""
        parts = {
            "set-up": self.measuring - self.began,
            "measuring": self.ending - self.measuring,
            "end and report": self.ended - self.ending,
        }
        return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in parts.items())


def measure_plan(
    plan: Plan,
    places: Places,
    display: AbstractContextManager[Display],
    command: Sequence[str] = (),
    began_s: float | None = None,
) -> Finished[RunSchedule]:
    """Measure a plan as sharply as its time permits, and write the report.

    Parameters, raises: as :func:`run_schedule`. How launches strayed is kept for later runs on
    this machine.
    """
    finished = run_schedule(plan, places, display, make_run_schedule, command, began_s)
    manifest = finished.report.manifest
    append_launches(
        places.results,
        manifest.run_id,
        fingerprint(manifest.machine),
        launch_spreads([each.findings for each in finished.report.comparisons]),
    )
    return finished


def make_run_schedule(plan: Plan, manifest: Manifest) -> RunSchedule:
    """Return the schedule of a run: all variants at once, or as many as fit into memory."""
    copies = len(sharing_groups(plan.scenarios))
    available_mb = psutil.virtual_memory().available / 2**20
    variants = [each for each in plan.variants if not each.not_run]
    groups = groups_that_fit(variants, copies, available_mb)
    labels = [frozenset(each.label for each in group) for group in groups]
    notes: tuple[Doubt, ...] = ()
    if len(groups) > 1:
        named = "; ".join(listed(sorted(group)) for group in labels)
        notes = (Doubt(DoubtKind.GROUPED, subject=named),)
    return RunSchedule(plan, manifest.launches, labels, notes)


def run_schedule(
    plan: Plan,
    places: Places,
    display: AbstractContextManager[Display],
    make_schedule: MakeSchedule[S],
    command: Sequence[str] = (),
    began_s: float | None = None,
) -> Finished[S]:
    """Measure what a schedule asks for and write the report.

    Parameters
    ----------
    plan : variants, scenarios and settings.
    places : where to write.
    display : what is shown meanwhile.
    make_schedule : see :data:`MakeSchedule`.
    command : how it was asked for, for the manifest.
    began_s : from when on the time budget counts, monotonic; None: from now on.

    Raises
    ------
    StoreError : nothing can be written.
    ServiceError : PostgreSQL did not start, or the services did not come back and nothing had been
        measured.
    """
    times = Times(time.monotonic() if began_s is None else began_s)
    folder = make_run_folder(places.results, new_run_id(plan))
    loop: MeasureLoop[S] | None = None
    interrupted, failure = False, None
    # held until the report is written: that takes a core, too
    with MachineLock(command) as lock:
        try:
            with display as shown_to, Cleanup() as cleanup:
                warn_of(lock, shown_to)
                with prepared(plan, folder, shown_to, command, lock) as (possible, context):
                    if left := context.sweep():
                        cleanup.sweep(left)
                    times.measuring = time.monotonic()
                    manifest = folder.manifest()
                    loop = MeasureLoop(
                        context,
                        make_schedule(possible, manifest),
                        cleanup,
                        shown_to,
                        time_left_s(manifest, times),
                    )
                    try:
                        loop.run()
                    finally:
                        times.ending = time.monotonic()
                        # where nothing can be written any more, that has been said
                        with suppress(StoreError):
                            note_schedule(folder, loop.schedule)
                    for setting, path in added("AFTER_TURNS").items():
                        if getattr(possible.settings, setting):
                            loaded(path)(context, possible, shown_to)
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
    times.ended = time.monotonic()
    code = exit_code(written, loop.results, interrupted=interrupted)
    if failure is not None:
        code = failure.exit_code
    return Finished(folder, loop.schedule, loop.results, written, code, times, str(failure or ""))


def time_left_s(manifest: Manifest, times: Times) -> float:
    """Return the seconds that measuring may take, so that the run ends when it was asked to.

    What the end takes (stopping processes and services, reading all back, the report) is set aside.
    """
    budget_s = manifest.plan.settings.time_budget_s
    if not budget_s:
        return math.inf
    setup_s = times.measuring - times.began
    return max(budget_s - setup_s - ending_s(manifest), LEAST_S)


def ending_s(manifest: Manifest) -> float:
    """Estimate what the end of a run takes on this machine, seconds."""
    plan = manifest.plan
    slower = max(manifest.canary[name] / usual for name, usual in USUAL_PACE.items())
    with_broker = any(each.brokers for each in plan.variants)
    shown_scenarios = sum(not each.aside for each in plan.scenarios)
    usual_s = ENDING_S[with_broker] + 0.15 * len(plan.variants) + 0.3 * shown_scenarios
    return usual_s * min(max(slower, 1.0), 5.0)


USUAL_PACE = {"cpu_ms": 2.1, "loopback_us": 13.0}
"""Of the machine that the estimate was made on, see :func:`machine_pace`."""
ENDING_S = {False: 0.9, True: 1.9}
"""What the end takes there, without and with a broker, besides each variant and scenario."""


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
) -> Iterator[tuple[Plan, RunContext]]:
    """Start the services and write the manifest; stop the services afterwards.

    Returns
    -------
    The plan with the variants that cannot be run here, and what all launches share.
    """
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
        Services()
        if alone
        else RunningServices(
            folder.logs,
            f"asyncdb_bench_{folder.run_id.replace('-', '_').lower()}",
            with_broker=needs_broker(plan.variants),
            with_store=any(each.needs_store for each in plan.variants),
            on_start=display.service,
            between=between,
        ) as services,
    ):
        if plan.hosts.all:
            display.service("what the hosts need")
        placement = stack.enter_context(placed(plan.hosts, folder.logs))
        # how they are reached is their owner's affair
        plan = replace(with_refusals(plan, services), hosts=plan.hosts.shown())
        pinning = as_started(pinning, services)
        calibration, notes = usable_calibration(folder.path.parent, plan, pinning, here)
        notes += placement.notes()
        for note in notes:
            display.say(f"note: {note}")
        load_set, workers, token = None, Workers.of(plan.settings, plan.hosts), read_token()
        if workers.several:
            cores, say, places = pinning.of("load"), display.say, placement.loads()
            load_set = LoadSet(workers, cores, folder.logs, say, token, places)
            stack.enter_context(load_set)
        if services.taken_out:
            notes += (f"set, and not passed on to processes of ours: {listed(services.taken_out)}",)
            display.say(f"note: {notes[-1]}")
        launches = read_launches(folder.path.parent, fingerprint(here))
        display.recall(launches)
        manifest = make_manifest(plan, folder.run_id, services, command, here)
        folder.write_manifest(
            replace(
                manifest,
                pinning=pinning,
                calibration=calibration,
                notes=notes,
                canary=pace,
                launches=launches,
                hosts=placement.machines(),
            )
        )
        yield (
            plan,
            RunContext(
                folder.run_id,
                plan.seed,
                plan.settings,
                folder,
                services,
                display.step,
                pinning,
                lock.other_run,
                load_set,
                placement,
            ),
        )


def note_schedule(folder: RunFolder, schedule: Schedule) -> None:
    """Write into the manifest what the schedule has come to: its variants and trials."""
    manifest = folder.manifest()
    if manifest.plan != schedule.plan:
        folder.write_manifest(replace(manifest, plan=schedule.plan))


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


def with_refusals(plan: Plan, services: Services) -> Plan:
    """Return the plan with the reasons why variants cannot run here."""
    variants = tuple(
        replace(
            each,
            not_run=each.not_run or services.refusal(each.brokers, needs_store=each.needs_store),
        )
        for each in plan.variants
    )
    return replace(plan, variants=variants)


def as_started(pinning: Pinning, services: Services) -> Pinning:
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
    processes = Workers.of(plan.settings, plan.hosts).count
    if calibration.load_processes != processes:
        return None, (
            f"not calibrated with {processes} load processes (but {calibration.load_processes}):"
            f" `{PROGRAM} calibrate --load-processes {processes}`",
        )
    if calibration.cpus.get("load", ()) != pinning.of("load"):
        return calibration, (
            f"calibrated with the load on cores {calibration.cpus.get('load', 'any')}, now"
            f" {pinning.of('load') or 'any'}",
        )
    return calibration, ()


def make_manifest(
    plan: Plan,
    run_id: str,
    services: Services,
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


def not_had(written: report.Written) -> set[str]:
    """Return the variants that were named and cannot run here, or whose answers are no figure."""
    plan = written.manifest.plan
    refused = {
        each.label
        for each in plan.variants
        if each.not_run or all(each.label in asked.refused for asked in plan.scenarios)
    }
    unsound = {name for each in written.comparisons for name in each.not_run if name in each.lost}
    return (refused if plan.named else set()) | unsound


def exit_code(written: report.Written, results: Results, *, interrupted: bool) -> int:
    """Return the run's exit code."""
    if interrupted:
        return EXIT_INTERRUPTED
    if any(end.failure and not end.lost for end in results.ends) or not results.ends:
        return EXIT_SERVICE
    unwatched = any(note.kind is DoubtKind.UNWATCHED for end in results.ends for note in end.notes)
    if not_measured(results.ends) or not written.sound or not_had(written) or unwatched:
        return EXIT_INVALID
    return EXIT_DONE
