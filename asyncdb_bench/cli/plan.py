"""`plan`: what would run, how long it takes, and all that is wrong with the request."""

from __future__ import annotations

from asyncdb_bench.cli.options import RequestOptions


def plan_verb(request: RequestOptions) -> None:
    """Print what would run, how long it takes, and all that is wrong with the request."""
    from asyncdb_bench.cli import terminal
    from asyncdb_bench.plan.planner import make_plan
    from asyncdb_bench.plan.profiles import read_profiles

    terminal.print_plan(make_plan(request.choices(), read_profiles()))
