"""`history`: how figures changed over many runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions


def history_verb(
    folders: FolderOptions,
    action: Annotated[str, typer.Argument(help="show, or import")] = "show",
    folder: Annotated[
        Path | None, typer.Argument(help="to import: runs (default: --results)")
    ] = None,
) -> None:
    """Show how figures changed over many runs, or import runs."""
    from asyncdb_bench.cli.terminal import print_document
    from asyncdb_bench.errors import UsageError
    from asyncdb_bench.extensions.history.keeping import import_folder, read_history
    from asyncdb_bench.extensions.history.page import history_document, write_history
    from asyncdb_bench.text import counted

    places = folders.places()
    if action == "import":
        done, skipped = import_folder((folder or places.results).resolve(), places.results)
        for line in skipped:
            print(line)
        print(f"imported {counted(done, 'run')} into {places.results / 'history.sqlite'}")
    elif action == "show":
        runs, series, warnings = read_history(places.results)
        print_document(history_document(runs, series, warnings))
        print(f"history: {write_history(runs, series, warnings, places.reports)}")
    else:
        raise UsageError(f"history {action!r}: it knows show and import")
