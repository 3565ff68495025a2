"""`compare`: runs, or variants of a run, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions

if TYPE_CHECKING:
    from rich.table import Table

    from asyncdb_bench.regression.sides import Compared, Contrast

STYLES = {"better": "green", "worse": "red", "not sound": "red", "not known": "yellow"}


def compare_verb(
    folders: FolderOptions,
    base: Annotated[str, typer.Argument(help="a run, RUN/VARIANT, or a variant of --run")],
    heads: Annotated[list[str], typer.Argument(help="likewise; each is judged against the first")],
    of_run: Annotated[str, typer.Option("--run", help="where variants are looked up")] = "latest",
) -> None:
    """Compare runs, or variants of a run, from what is on disk."""
    from asyncdb_bench.regression.pages import write_comparison
    from asyncdb_bench.regression.sides import contrasts

    places = folders.places()
    compared = contrasts(base, heads, of_run, places.results)
    path = write_comparison(compared, places.reports)
    for contrast in compared:
        _print(contrast)
    print(f"comparison: {path}")


def _print(contrast: Contrast) -> None:
    """Print the warnings and a table for each scenario."""
    from rich.text import Text

    from asyncdb_bench.cli.terminal import wide_console

    console = wide_console()
    for warning in contrast.invalidating:
        console.print(Text(f"WARNING: {warning}", "red"))
    for warning in contrast.warnings:
        console.print(Text(f"note: {warning}", "dim"))
    for scenario, compared in contrast.compared.items():
        console.print(_table(scenario, contrast, compared))
    for line in contrast.left_out:
        console.print(Text(f"left out: {line}", "dim"))


def _table(scenario: str, contrast: Contrast, compared: list[Compared]) -> Table:
    from rich.text import Text

    from asyncdb_bench.cli.terminal import table
    from asyncdb_bench.regression.wording import compared_words
    from asyncdb_bench.text import number

    several = len({(each.base, each.head) for each in compared}) > 1
    rows = []
    for each in compared:
        at = f" at {each.offered_rps:g}/s" if each.offered_rps else ""
        ratio = each.answer.ratio
        bounds = ratio.bounds if ratio is not None else None
        rows.append(
            (
                f"{each.head} · " * several + f"{each.answer.metric.title}{at}",
                number(each.base_value),
                number(each.head_value),
                number(ratio.ratio if ratio is not None else None),
                f"{number(bounds[0])} to {number(bounds[1])}" if bounds else "–",
                f"{ratio.launches}, {ratio.rounds}" if ratio is not None else "–",
                Text(compared_words(each), STYLES.get(each.answer.said, "")),
            )
        )
    numbers = ("base>", "head>", "ratio>", "95 % interval>", "launches, rounds>")
    title = f"{scenario}: {contrast.head} against {contrast.base}"
    return table(title, ("figure", *numbers, "said…"), rows)
