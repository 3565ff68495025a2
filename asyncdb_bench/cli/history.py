"""`history`: how figures changed over many runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions

if TYPE_CHECKING:
    from asyncdb_bench.whole_run import Places


def history_verb(
    folders: FolderOptions,
    action: Annotated[str, typer.Argument(help="show, or import")] = "show",
    folder: Annotated[
        Path | None, typer.Argument(help="to import: runs (default: --results)")
    ] = None,
) -> None:
    """Show how figures changed over many runs, or import runs into the history."""
    from asyncdb_bench.errors import UsageError
    from asyncdb_bench.regression.history import import_folder
    from asyncdb_bench.text import counted

    places = folders.places()
    if action == "import":
        done, skipped = import_folder((folder or places.results).resolve(), places.results)
        for line in skipped:
            print(line)
        print(f"imported {counted(done, 'run')} into {places.results / 'history.sqlite'}")
    elif action == "show":
        _show(places)
    else:
        raise UsageError(f"history {action!r}: it knows show and import")


def _show(places: Places) -> None:
    """Look for changes in the whole history, print them, and write the page."""
    from rich.text import Text

    from asyncdb_bench.cli.terminal import table, wide_console
    from asyncdb_bench.regression.change_points import why
    from asyncdb_bench.regression.history import read_history
    from asyncdb_bench.regression.pages import write_history
    from asyncdb_bench.text import counted

    runs, series, warnings = read_history(places.results)
    console = wide_console()
    for warning in warnings:
        console.print(Text(f"note: {warning}", "dim"))
    changes = [
        (
            each.title,
            f"{change.ratio - 1:+.0%}",
            f"{change.before.started_at[:10]} {change.before.revision[:9]}",
            f"{change.after.started_at[:10]} {change.after.revision[:9]}",
            why(each, change),
        )
        for each in series
        for change in each.changes
    ]
    machines = len({run.machine for run in runs})
    console.print(
        f"{counted(len(runs), 'run')}, {len(series)} series, {counted(machines, 'machine')};"
        f" {len(changes)} changes"
    )
    if changes:
        console.print(table("", ("series…", "change…", "from…", "to…", "why…"), changes))
    print(f"history: {write_history(runs, series, warnings, places.reports)}")
