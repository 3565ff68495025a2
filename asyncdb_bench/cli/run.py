"""`run`: measure, and write the report."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions, RequestOptions


def run_verb(
    request: RequestOptions,
    folders: FolderOptions,
    web: Annotated[
        bool, typer.Option("--web", help="show the run as a page on loopback, too")
    ] = False,
    web_port: Annotated[
        int,
        typer.Option(help="the page's port; 0: any that is free", metavar="PORT", min=0, max=65535),
    ] = 0,
) -> None:
    """Measure, and write the report."""
    from asyncdb_bench.cli import terminal
    from asyncdb_bench.cli.progress import Progress, make_progress
    from asyncdb_bench.cli.web_view import with_page
    from asyncdb_bench.plan.planner import make_plan
    from asyncdb_bench.plan.profiles import read_profiles
    from asyncdb_bench.processes.kernel import own_start_s
    from asyncdb_bench.whole_run import measure_plan

    plan = make_plan(request.choices(), read_profiles())
    terminal.print_intention(plan)
    progress = make_progress(plan)
    display: AbstractContextManager[Progress] = progress
    if web or web_port:
        display = with_page(progress, web_port, show=sys.stdout.isatty())
    finished = measure_plan(plan, folders.places(), display, sys.argv[1:], own_start_s())
    terminal.print_result(finished.report)
    if finished.failure:
        print(f"error: {finished.failure}", file=sys.stderr)
    sys.stdout.flush()
    print(f"took: {finished.times.in_words()}")
    print(f"results: {terminal.relative(finished.folder.path)}")
    print(f"report: {terminal.relative(finished.report.path)}")
    raise typer.Exit(finished.exit_code)


def plan_verb(request: RequestOptions) -> None:
    """Print what would run and how long it takes, or all that is wrong."""
    from asyncdb_bench.cli import terminal
    from asyncdb_bench.plan.planner import make_plan
    from asyncdb_bench.plan.profiles import read_profiles

    terminal.print_plan(make_plan(request.choices(), read_profiles()))
