"""`report`, `compare` and `advise`: what the runs on disk say."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions
from asyncdb_bench.text import PROGRAM


def report_verb(
    folders: FolderOptions,
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="run ids (default: latest)")
    ] = None,
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


def compare_verb(
    folders: FolderOptions,
    base: Annotated[
        str, typer.Argument(metavar="BASE", help="a run, RUN/VARIANT, or a variant of --run")
    ],
    heads: Annotated[
        list[str], typer.Argument(metavar="HEAD", help="runs or variants to compare with BASE")
    ],
    of_run: Annotated[str, typer.Option("--run", help="where variants are looked up")] = "latest",
) -> None:
    """Compare runs, or variants of a run, from what is on disk."""
    from asyncdb_bench.cli.terminal import print_document
    from asyncdb_bench.report.sides import contrasts
    from asyncdb_bench.report.sides_page import comparison_document, write_comparison

    places = folders.places()
    compared = contrasts(base, heads, of_run, places.results)
    print_document(comparison_document(compared))
    print(f"comparison: {write_comparison(compared, places.reports)}")


def advise_verb(
    folders: FolderOptions,
    run: Annotated[str, typer.Argument(help="a run's id")] = "latest",
    rtt: Annotated[float, typer.Option(help="ms to the database", min=0)] = 0.5,
    query_ms: Annotated[float, typer.Option(help="ms that a query takes there", min=0)] = 5,
    queries: Annotated[float, typer.Option(help="queries of a request", min=1)] = 1,
    rows: Annotated[float, typer.Option(help="rows that each returns", min=1)] = 1,
    rps: Annotated[float, typer.Option(help="requests a second", min=0.001)] = 100,
    cores: Annotated[int, typer.Option(help="cores of the application", min=1)] = 1,
    processes: Annotated[int, typer.Option(help="processes of the application", min=1)] = 1,
    websockets: Annotated[
        bool, typer.Option("--websockets", help="WebSockets, or other work, on the same loop")
    ] = False,
    celery: Annotated[bool, typer.Option("--celery", help="a Celery is there already")] = False,
    patience: Annotated[float, typer.Option(help="ms that clients wait; 0: not told", min=0)] = 0,
) -> None:
    """Say what to use for requests of yours, from what a run measured.

    A model is fitted to it for what was not measured.
    """
    from asyncdb_bench.analysis.advice import Ask, advise
    from asyncdb_bench.analysis.decision import Sure
    from asyncdb_bench.errors import EXIT_DONE, EXIT_INVALID
    from asyncdb_bench.records.run_folder import open_run
    from asyncdb_bench.report.write import known_cases

    folder = open_run(folders.places().results, run)
    ask = Ask(
        rtt_ms=rtt, queries=queries, ms=query_ms, rows=rows, rps=rps, cores=cores,
        processes=processes, websockets=websockets, celery=celery, patience_ms=patience,
    )  # fmt: skip
    found = advise(known_cases(folder), ask)
    if found.use:
        print(f"use {' or '.join(found.use)}: {found.because}")
        print(f"{found.how_sure}; it costs {found.costs}")
    else:
        print(f"no answer from {folder.run_id}: {found.because}")
    for note in found.notes:
        print(f"- {note}")
    print(f"to measure it: {found.measure}")
    # what cannot be told is no failure, and no answer either
    told = found.use or found.sure is Sure.KNOWN
    raise typer.Exit(EXIT_DONE if told else EXIT_INVALID)
