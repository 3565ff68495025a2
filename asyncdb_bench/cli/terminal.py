"""What the verbs print: the plan before, the tables and the verdict after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asyncdb_bench.plan.load_workers import Workers
from asyncdb_bench.plan.planner import estimate_s
from asyncdb_bench.plan.profiles import climbs, rung_window_s
from asyncdb_bench.plan.reach import reach_of
from asyncdb_bench.records.plan import Plan, PlannedScenario, Settings, Variant
from asyncdb_bench.text import counted, duration, listed

if TYPE_CHECKING:
    from rich.console import Console

    from asyncdb_bench.report import Written
    from asyncdb_bench.report.document import Document


def wide_console() -> Console:
    """Return a console that does not squeeze tables where no terminal says how wide it is."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 140))


def relative(path: Path) -> Path:
    """Return a path as the user would write it from here."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def print_intention(plan: Plan) -> None:
    """Print one line on what will run and how long it takes."""
    settings = plan.settings
    scenarios = sum(not each.aside for each in plan.scenarios) or len(plan.scenarios)
    seconds = estimate_s(plan)
    until = f"until every answer is known within {settings.half_width:.0%}"
    print(
        f"profile {settings.profile}: {counted(len(plan.variants), 'variant')} in"
        f" {counted(scenarios, 'scenario')}, {until}"
        f"{f', at most about {duration(seconds)}' if seconds else ''}; {distance_words(plan)}",
        flush=True,
    )
    for each in plan.variants:
        if each.not_run:
            print(f"note: {variant_line(each)}", flush=True)


def distance_words(plan: Plan) -> str:
    """Say how far away the database is in what will be measured."""
    trips = {
        reach_of(scenario, variant).rtt_ms
        for scenario in plan.scenarios
        for variant in plan.variants
        if not scenario.beside
    }
    if all(each.target is not None for each in plan.variants):
        return "applications of your own"
    if trips == {0.0}:
        return "the database as near as it is (--rtt adds a round trip)"
    where = listed([f"{each:g}" for each in sorted(trips)])
    beside = sorted({each.reach.rtt_ms for each in plan.scenarios if each.beside})
    also = (
        f", and the pace at {listed([f'{each:g} ms' for each in beside])} beside" if beside else ""
    )
    return f"the database {where} ms away{also}"


def places(plan: Plan) -> list[str]:
    """Return which processes offer the load, and which hosts play a role; empty: all is here."""
    lines = [
        f"{each.name}: {listed(each.roles)}, by {each.via}"
        for each in plan.hosts.all
        if each.via != "local"
    ]
    if (processes := Workers.of(plan.settings, plan.hosts).count) > 1:
        lines.append(f"load from {processes} Locust workers")
    return lines


def print_plan(plan: Plan) -> None:
    """Print everything that would run."""
    print_intention(plan)
    settings = plan.settings
    print(f"seed {plan.seed}, budget {settings.budget} connections")
    lines = [*places(plan), *(variant_line(each) for each in plan.variants if not each.not_run)]
    lines += [scenario_line(settings, each) for each in plan.scenarios]
    if not all(climbs(settings, each) for each in plan.scenarios):
        rounds = f"{counted(settings.rounds, 'round')} at most" if settings.rounds else "rounds"
        lines.append(
            f"up to {counted(settings.blocks, 'launch', 'launches')} of all variants; in each"
            f" {rounds} of turns of {settings.turn_s:g} s or more, in random order, the pace with"
            f" {counted(settings.connections, 'connection')}"
        )
    for line in lines:
        print(f"  {line}")


def variant_line(variant: Variant) -> str:
    """Say what a variant has, or how somebody's application is started."""
    if variant.target is not None:
        by = " ".join(variant.target.command) or "runs already"
        return f"{variant.label}: {variant.target.url}; {by}"
    if variant.not_run:
        return f"{variant.label}: not run, because {variant.not_run}"
    knobs = ", ".join(f"{key}={value}" for key, value in variant.knobs.items())
    if variant.elsewhere is not None and variant.elsewhere.differs:
        knobs += f"; {listed(variant.elsewhere.differing({}))}"
    parts = "".join(f", {part.copies} x {part.role}" for part in variant.parts)
    return f"{variant.label}: {variant.budget} connections{parts}; {knobs}"


def scenario_line(settings: Settings, scenario: PlannedScenario) -> str:
    """Say how a scenario is measured."""
    begin = f"{scenario.label}: {scenario.objective}"
    if not climbs(settings, scenario):
        return f"{begin}; in turns"
    ladder = ", ".join(f"{load:g}" for load in scenario.ladder)
    windows = {round(rung_window_s(settings, scenario, load), 1) for load in scenario.ladder}
    return f"{begin}; ladder {ladder} requests/s; windows {min(windows):g} to {max(windows):g} s"


def print_result(written: Written) -> None:
    """Print the first layer of the report: the decision, a table for each scenario, doubts."""
    from asyncdb_bench.report.renderers import render_terminal

    console = wide_console()
    for each in render_terminal(written.document):
        console.print(each)


def print_document(document: Document) -> None:
    """Print a document that has no more layers than one: the tables of compare, gate, history."""
    from asyncdb_bench.report.renderers import render_whole

    console = wide_console()
    for each in render_whole(document):
        console.print(each)
