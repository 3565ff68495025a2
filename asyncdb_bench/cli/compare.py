"""`compare`: runs, or variants of a run, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions

if TYPE_CHECKING:
    from rich.table import Table

    from asyncdb_bench.regression.effects import FigureEffect
    from asyncdb_bench.regression.sides import Contrast

STYLES = {"faster": "green", "slower": "red", "invalid": "red", "inconclusive": "yellow"}


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
    for scenario, effects in contrast.effects.items():
        console.print(_table(scenario, contrast, effects))
    for line in contrast.left_out:
        console.print(Text(f"left out: {line}", "dim"))


def _table(scenario: str, contrast: Contrast, effects: list[FigureEffect]) -> Table:
    from rich.text import Text

    from asyncdb_bench.cli.terminal import table
    from asyncdb_bench.regression.wording import effect_words
    from asyncdb_bench.text import number, percent, probability

    several = len({(each.base, each.head) for each in effects}) > 1
    rows = []
    for each in effects:
        at = f" at {each.offered_rps:g}/s" if each.offered_rps else ""
        effect = each.effect
        rows.append(
            (
                f"{each.head} · " * several + f"{each.figure.title}{at}",
                number(each.base_mean),
                number(each.head_mean),
                number(effect.ratio if effect else None),
                f"{number(effect.low)} to {number(effect.high)}" if effect and effect.low else "–",
                percent(effect.mde - 1 if effect and effect.mde else None),
                probability(each.p_adjusted),
                Text(effect_words(each), STYLES.get(each.verdict, "")),
            )
        )
    numbers = ("base>", "head>", "ratio>", "95 % interval>", "MDE>", "p (Holm)>")
    title = f"{scenario}: {contrast.head} against {contrast.base}"
    return table(title, ("figure", *numbers, "verdict…"), rows)
