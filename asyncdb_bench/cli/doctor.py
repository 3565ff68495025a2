"""`doctor`: what was found on this machine, what will be used and why, and what is missing."""

from __future__ import annotations

import os

import typer


def doctor_verb() -> None:
    """Say what was found on this machine, what will be used, and what is missing."""
    # SQLAlchemy and the services: every other verb would wait for them
    from asyncdb_bench.cli.findings import print_findings

    raise typer.Exit(print_findings(os.environ))
