"""The story of a walk: releases, runs until nothing is left to tell, what was kept of each."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from asyncdb_bench.cli.progress import make_progress
from asyncdb_bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_INVALID, StoreError, UsageError
from asyncdb_bench.extensions.versions.evidence import Line, label_of, labels_not_run
from asyncdb_bench.extensions.versions.releases import Range, releases
from asyncdb_bench.extensions.versions.schedule import WalkSchedule
from asyncdb_bench.extensions.versions.walk import Between
from asyncdb_bench.plan.planner import make_plan, wanted_specs
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices, parse_specs
from asyncdb_bench.records.files import write_bytes
from asyncdb_bench.records.plan import Plan
from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.report.write import analysed
from asyncdb_bench.text import counted
from asyncdb_bench.whole_run import Places, note_schedule, run_schedule


@dataclass(frozen=True, slots=True)
class Asked:
    """What to walk through.

    Parameters
    ----------
    package : its name, with extras perhaps.
    wanted : which releases.
    most_runs : before what is left stays not known.
    again : measure anew what was measured before.
    """

    package: str
    wanted: Range
    most_runs: int
    again: bool = False


@dataclass
class Kept:
    """What is kept of a walk, so that it can be gone on with: written after each run.

    Parameters
    ----------
    package, releases : the oldest first.
    not_run : why releases cannot be had, by variant.
    runs : ids of those that measured.
    """

    package: str
    releases: list[str]
    not_run: dict[str, str] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Walked:
    """How a walk ended; `name` is that of its files."""

    name: str
    kept: Kept
    lines: tuple[Line, ...]
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 only where nothing is left to tell."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        told = all(
            line.walk.between(*pair) is not Between.OPEN
            for line in self.lines
            for pair in line.walk.neighbours()
        )
        known = all(line.walk.measured for line in self.lines)
        return EXIT_DONE if told and known else EXIT_INVALID


def walk_through(
    asked: Asked, choices: Choices, places: Places, say: Callable[[str], None]
) -> Walked:
    """Walk through a package's releases until nothing is left to tell.

    Parameters
    ----------
    asked : the package and its releases.
    choices : strategies, scenarios, time of each run.
    places : where results and reports go.
    say : told what is done.

    Raises
    ------
    UsageError : no such package, release, strategy or scenario.
    ServiceError : PostgreSQL did not start.
    """
    specs = [spec.request for spec in wanted_specs(choices, read_profiles())]
    if taken := [each for each in specs if "@" in each]:
        raise UsageError(f"{taken[0]}: a walk puts the versions behind the @ itself")
    scenarios = [each.label for each in make_plan(choices, read_profiles()).scenarios]
    name = _name(asked, specs, scenarios)
    path = places.results / "versions" / f"{name}.json"
    kept = None if asked.again else _read(path)
    if kept is None:
        kept = Kept(asked.package, releases(asked.package, asked.wanted))
    say(f"{asked.package}: {counted(len(kept.releases), 'release')}: {', '.join(kept.releases)}")
    lines = [_line(each, scenario, kept) for each in specs for scenario in scenarios]
    for number, run in enumerate(kept.runs):
        _add(lines, number, places.results / run)
    interrupted = False
    while len(kept.runs) < asked.most_runs and not interrupted:
        plan = _next_plan(lines, kept, choices)
        if plan is None:
            break
        write_bytes(path, msgspec.json.encode(kept))
        count = counted(len(plan.variants), "variant")
        say(f"run {len(kept.runs) + 1} of {asked.most_runs} at most: {count}")
        done = run_schedule(
            plan,
            places,
            make_progress(plan),
            lambda plan, manifest: WalkSchedule(plan, manifest.launches),
            sys.argv[1:],
        )
        note_schedule(done.folder, done.schedule)
        interrupted = done.exit_code == EXIT_INTERRUPTED
        if done.results.steps:
            kept.runs.append(done.folder.run_id)
            _add(lines, len(kept.runs) - 1, done.folder.path)
        elif not interrupted:
            break
        write_bytes(path, msgspec.json.encode(kept))
    write_bytes(path, msgspec.json.encode(kept))
    return Walked(name, kept, tuple(lines), interrupted)


def _name(asked: Asked, specs: list[str], scenarios: list[str]) -> str:
    """Return what a walk's files are called: the same for the same request."""
    import hashlib

    whole = repr((asked.package, asked.wanted, specs, scenarios))
    plain = re.sub(r"[^A-Za-z0-9]+", "-", asked.package).strip("-")
    return f"versions-{plain}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def _read(path: Path) -> Kept | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(f"{path}: {error}; --again begins anew") from error


def _line(strategy: str, scenario: str, kept: Kept) -> Line:
    requests = [label_of(strategy, kept.package, release) for release in kept.releases]
    line = Line(strategy, scenario, [parse_specs(each)[0].label for each in requests])
    line.leave_out({p: kept.not_run[n] for p, n in enumerate(line.labels) if n in kept.not_run})
    return line


def _add(lines: list[Line], number: int, folder: Path) -> None:
    found = {each.scenario: each for each in analysed(RunFolder(folder)).comparisons}
    for line in lines:
        line.add(number, found[line.scenario])


def _next_plan(lines: list[Line], kept: Kept, choices: Choices) -> Plan | None:
    """Return what the next run measures; None: nothing is left that could be told.

    What cannot be had is left out before anything is measured, and others take its place.
    """
    while True:
        requests = dict.fromkeys(
            label_of(line.strategy, kept.package, kept.releases[place])
            for line in lines
            for place in line.walk.wanted()
        )
        if len(requests) < 2:
            return None
        plan = make_plan(replace(choices, strategies=",".join(requests)), read_profiles())
        missing = labels_not_run(plan.variants)
        if not missing:
            return plan
        kept.not_run |= missing
        for line in lines:
            own = {p: missing[name] for p, name in enumerate(line.labels) if name in missing}
            line.leave_out(own)
