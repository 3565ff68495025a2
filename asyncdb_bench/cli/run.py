"""`run`: measure, and write the report."""

from __future__ import annotations

import sys

import typer

from asyncdb_bench.cli.options import FolderOptions, RequestOptions


def run_verb(request: RequestOptions, folders: FolderOptions) -> None:
    """Measure, and write the report."""
    from asyncdb_bench.cli import terminal
    from asyncdb_bench.cli.progress import make_progress
    from asyncdb_bench.plan.planner import make_plan
    from asyncdb_bench.plan.profiles import read_profiles
    from asyncdb_bench.run import run_schedule
    from asyncdb_bench.trial.turns.turn_schedule import TurnSchedule

    plan = make_plan(request.choices(), read_profiles())
    terminal.print_intention(plan)
    display = make_progress(plan)
    finished = run_schedule(plan, folders.places(), display, TurnSchedule, sys.argv[1:])
    terminal.print_result(finished.report)
    if finished.failure:
        print(f"error: {finished.failure}", file=sys.stderr)
    sys.stdout.flush()
    print(f"results: {terminal.relative(finished.folder.path)}")
    print(f"report: {terminal.relative(finished.report.path)}")
    raise typer.Exit(finished.exit_code)
