"""`gate`: did something get worse."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions, RequestOptions

if TYPE_CHECKING:
    from asyncdb_bench.regression.gate import Gated

STYLES = {"worse": "red", "not sound": "red", "not known": "yellow", "better": "green"}


def gate_verb(
    request: RequestOptions,
    folders: FolderOptions,
    base: Annotated[str, typer.Option(help="revision that this checkout is measured against")] = "",
    against: Annotated[str, typer.Option(help="a stored run to judge RUN against instead")] = "",
    run_id: Annotated[str, typer.Argument(metavar="[RUN]", help="with --against")] = "latest",
    junit: Annotated[Path | None, typer.Option(help="write JUnit XML")] = None,
    keep: Annotated[bool, typer.Option("--history", help="append the run to the history")] = False,
    summary: Annotated[
        Path | None, typer.Option(help="append Markdown (in a GitHub workflow: its summary)")
    ] = None,
) -> None:
    """Decide whether something got worse; exit code 1 only if it did."""
    from dataclasses import replace

    from asyncdb_bench.cli.progress import make_progress
    from asyncdb_bench.errors import UsageError
    from asyncdb_bench.regression import gate as gating
    from asyncdb_bench.regression.decision import Rules
    from asyncdb_bench.regression.history import keep_run

    if bool(base) == bool(against):
        raise UsageError("give either --base REVISION (measures) or --against RUN (does not)")
    rules = Rules(launches=4 if request.blocks is None else request.blocks)
    if not 1 <= rules.launches <= 60:
        raise UsageError(f"--blocks {rules.launches} is outside 1..60")
    if request.vary:
        raise UsageError("--vary goes with run: a gate compares two revisions, not knob values")
    places = folders.places()
    outputs = gating.Outputs(junit, summary or _workflow_summary())
    if against:
        ended = gating.gate_against(against, run_id, rules, places, outputs)
    else:
        profile = request.profile or "gate"
        choices = replace(request, profile=profile, deployment=False).choices()
        ended = gating.run_gate(
            choices,
            base,
            rules,
            places,
            outputs,
            make_progress,
            lambda text: print(text, flush=True),
            sys.argv[1:],
        )
    if keep and ended.folder is not None:
        print(keep_run(places.results, ended.folder))
    _print(ended)
    raise typer.Exit(ended.exit_code)


def _workflow_summary() -> Path | None:
    """Return where a GitHub workflow collects its job's summary, if this is one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY", "")
    return Path(path) if path else None


def _print(ended: Gated) -> None:
    """Print the decisions, where they are written, and the verdict."""
    from rich.text import Text

    from asyncdb_bench.cli.terminal import relative, table, wide_console
    from asyncdb_bench.regression.wording import decision_words

    console, result = wide_console(), ended.result
    rows = [
        (
            each.scenario,
            each.strategy,
            each.metric.title,
            "–" if each.change is None else f"{each.change:+.1%}",
            str(each.judged.rounds),
            Text(decision_words(each), STYLES.get(each.said, "")),
        )
        for each in result.decisions
    ]
    columns = ("scenario", "strategy", "figure", "change>", "rounds>", "said…")
    console.print(table(f"{result.head} against {result.base}", columns, rows))
    for note in result.notes:
        console.print(Text(note, "dim"))
    console.print(Text(f"gate: {result.said}", "bold"))
    if ended.folder is not None:
        print(f"results: {relative(ended.folder.path)}", flush=True)
    print(f"report: {relative(ended.page)}", flush=True)
