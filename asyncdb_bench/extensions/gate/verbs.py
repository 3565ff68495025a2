"""`gate`: did something get worse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions, RequestOptions


def gate_verb(
    request: RequestOptions,
    folders: FolderOptions,
    base: Annotated[str, typer.Option(help="revision that this checkout is measured against")] = "",
    base_env: Annotated[
        str,
        typer.Option(
            help="this checkout with other versions as base: sqlalchemy==2.0.44", metavar="VERSIONS"
        ),
    ] = "",
    against: Annotated[str, typer.Option(help="a stored run to judge RUN against instead")] = "",
    run_id: Annotated[str, typer.Argument(metavar="[RUN]", help="with --against")] = "latest",
    junit: Annotated[Path | None, typer.Option(help="write JUnit XML")] = None,
    keep: Annotated[bool, typer.Option("--history", help="append the run to the history")] = False,
    summary: Annotated[
        Path | None,
        typer.Option(
            help="append Markdown (in a GitHub workflow: its summary)",
            envvar="GITHUB_STEP_SUMMARY",
            show_envvar=False,
        ),
    ] = None,
) -> None:
    """Decide whether something got worse; exit code 1 only if it did."""
    from dataclasses import replace
    from functools import partial

    from asyncdb_bench.cli.terminal import print_document, relative
    from asyncdb_bench.errors import UsageError
    from asyncdb_bench.extensions import added, loaded
    from asyncdb_bench.extensions.gate.decision import Rules
    from asyncdb_bench.extensions.gate.gate import (
        gate_against,
        run_gate,
        run_gate_of_versions,
        write_gate,
    )
    from asyncdb_bench.extensions.gate.page import gate_document

    if sum(map(bool, (base, base_env, against))) != 1:
        raise UsageError(
            "give one of --base REVISION and --base-env VERSIONS (which measure) and --against RUN"
            " (which does not)"
        )
    rules = Rules(launches=4 if request.blocks is None else request.blocks)
    if not 1 <= rules.launches <= 60:
        raise UsageError(f"--blocks {rules.launches} is outside 1..60")
    if request.vary:
        raise UsageError("--vary goes with run: a gate compares two revisions, not knob values")
    keepers = added("KEEP_RUN").values() if keep else ()
    if keep and not keepers:
        raise UsageError("--history needs asyncdb_bench/extensions/history, which is not installed")
    places = folders.places()
    if against:
        ended = gate_against(against, run_id, rules, places.results)
    else:
        profile = request.profile or "gate"
        choices = replace(request, profile=profile, deployment=False).choices()
        measure = run_gate if base else run_gate_of_versions
        ended = measure(choices, base or base_env, rules, places, partial(print, flush=True))
    page = write_gate(ended, places, junit, summary)
    for path in keepers if ended.folder is not None else ():
        print(loaded(path)(places.results, ended.folder))
    print_document(gate_document(ended.result))
    print(f"gate: {ended.result.said}")
    if ended.folder is not None:
        print(f"results: {relative(ended.folder.path)}", flush=True)
    print(f"report: {relative(page)}", flush=True)
    raise typer.Exit(ended.exit_code)
