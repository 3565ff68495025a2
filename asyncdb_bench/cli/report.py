"""`report`: the report of a run again, from what is on disk."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions
from asyncdb_bench.text import PROGRAM


def report_verb(
    folders: FolderOptions,
    runs: Annotated[list[str] | None, typer.Argument(help="run ids (default: latest)")] = None,
    show: Annotated[bool, typer.Option("--open", help="open it in the browser")] = False,
    figures: Annotated[
        bool, typer.Option("--figures", help="write each figure as PNG and SVG, too")
    ] = False,
) -> None:
    """Write the reports of some runs again, from what is on disk."""
    from asyncdb_bench.cli import terminal
    from asyncdb_bench.records.run_folder import open_run
    from asyncdb_bench.report import write

    places = folders.places()
    opened = [open_run(places.results, name) for name in runs or ["latest"]]
    for folder in {each.path: each for each in opened}.values():
        folder.merge_parts()
        written = write(folder, places.reports, figure_files=figures)
        terminal.print_result(written)
        print(f"report: {written.path}")
        page = written.path
    if len(opened) > 1:
        print(f"side by side: {PROGRAM} compare {' '.join(runs or ())}")
    if show and not webbrowser.open(page.as_uri()):
        print(f"no browser was found; open {page}")
