"""The verb `report`: reports again, from what is on disk; several runs side by side."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from asyncdb_bench import console
from asyncdb_bench.beside import Told
from asyncdb_bench.report import write
from asyncdb_bench.store import open_run


def rebuild(
    names: Sequence[str], results: Path, reports: Path, *, show: bool, figures: bool
) -> Path:
    """Write the reports of some runs and return the page to look at.

    Parameters
    ----------
    names : of the runs; of two or more a page shows them side by side.
    results, reports : folders.
    show : whether to open the page in the browser.
    figures : whether to write each figure as PNG and SVG, too.

    Raises
    ------
    StoreError : a run cannot be read, or a page not be written.
    """
    folders = {folder.path: folder for folder in (open_run(results, name) for name in names)}
    runs = []
    for folder in folders.values():
        folder.merge_parts()
        written = write(folder, reports, figure_files=figures)
        console.print_result(written)
        print(f"report: {written.path}")  # noqa: T201
        runs.append(Told(written.manifest, written.comparisons, written.verdicts))
        page = written.path
    if len(runs) > 1:
        from asyncdb_bench.report.beside_page import write_beside

        page = write_beside(runs, reports)
        print(f"side by side: {page}")  # noqa: T201
    if show and not webbrowser.open(page.as_uri()):
        print(f"no browser was found; open {page}")  # noqa: T201
    return page
