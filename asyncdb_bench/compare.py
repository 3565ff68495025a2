"""`compare`: two runs, or two variants of a run: read, compare, print, write a page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from asyncdb_bench import store
from asyncdb_bench.console import wide_console
from asyncdb_bench.effects import Cell
from asyncdb_bench.errors import StoreError, UsageError
from asyncdb_bench.report.compare_page import percent, probability, write_page
from asyncdb_bench.sides import Duel, Side, compare_sides
from asyncdb_bench.tables import steps_table
from asyncdb_bench.wording import number

STYLES = {"faster": "green", "slower": "red", "invalid": "red", "inconclusive": "yellow"}


def compare(base: str, head: str, run: str, results: Path, reports: Path) -> Duel:
    """Compare, print the tables, and write the page.

    Parameters
    ----------
    base, head : a run's id or folder, ``RUN/VARIANT``, or a variant of `run`.
    run : where variants are looked up that name no run.
    results, reports : folders.

    Raises
    ------
    UsageError : no such run or variant, or nothing in common.
    StoreError : a run cannot be read.
    """
    one, other = (find_side(name, run, results) for name in (base, head))
    if one.title == other.title:
        raise UsageError(f"{one.title} is compared with itself; name two runs or variants")
    duel = compare_sides(one, other)
    if not duel.cells:
        why = "; ".join(duel.left_out) or "no scenario and variant is in both"
        raise UsageError(f"{duel.base} and {duel.head} have nothing to compare: {why}")
    path = write_page(duel, reports)
    print_duel(duel)
    print(f"comparison: {path}")  # noqa: T201 - a verb's last line
    return duel


def find_side(name: str, run: str, results: Path) -> Side:
    """Return what a name stands for: a run, ``RUN/VARIANT``, or a variant of the default run.

    Raises
    ------
    UsageError : it stands for nothing.
    StoreError : the run cannot be read.
    """
    if (folder := _run(name, results)) is not None:
        return _side(folder, "")
    for place in [i for i, letter in enumerate(name) if letter == "/"]:
        folder = _run(name[:place], results)
        if folder is not None:
            return _side(folder, name[place + 1 :])
    nothing = f"{name!r} is neither a run under {results} nor a variant of"
    try:
        folder = store.open_run(results, run)
        known = [each.label for each in folder.manifest().plan.variants]
    except StoreError as error:
        raise UsageError(f"{nothing} {run!r}, which cannot be read: {error}") from error
    if name not in known:
        raise UsageError(f"{nothing} {folder.run_id}; its variants: {', '.join(known)}")
    return _side(folder, name)


def _run(name: str, results: Path) -> store.RunFolder | None:
    for path in (results / name, Path(name)):
        if (path / "manifest.json").is_file():
            return store.RunFolder(path.resolve())
    return None


def _side(folder: store.RunFolder, variant: str) -> Side:
    manifest = folder.manifest()
    known = [each.label for each in manifest.plan.variants]
    if variant and variant not in known:
        raise UsageError(f"{folder.run_id} has no variant {variant!r}; it has {', '.join(known)}")
    return Side(manifest, read_steps(folder), variant)


def read_steps(folder: store.RunFolder) -> pd.DataFrame:
    """Return a run's table of steps, without those that were offered again."""
    records = [step for step in folder.steps() if not step.repeated]
    return steps_table(records, folder.trials())


def print_duel(duel: Duel) -> None:
    """Print the warnings and a table for each scenario."""
    console = wide_console()
    for place, warning in enumerate(duel.warnings):
        loud = place < duel.loud
        console.print(Text(f"{'WARNING' if loud else 'note'}: {warning}", "red" if loud else "dim"))
    for scenario, cells in duel.cells.items():
        console.print(_table(scenario, duel, cells))
    for line in duel.left_out:
        console.print(Text(f"left out: {line}", "dim"))


def _table(scenario: str, duel: Duel, cells: list[Cell]) -> Table:
    table = Table(
        title=f"{scenario}: {duel.head} against {duel.base}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("figure", no_wrap=True)
    for name in ("base", "head", "ratio", "95 % interval", "MDE", "p (Holm)"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    variants = len({(cell.base, cell.head) for cell in cells}) > 1
    for cell in cells:
        at = f" at {cell.offered_rps:g}/s" if cell.offered_rps else ""
        name = f"{cell.head} · " if variants else ""
        effect = cell.effect
        table.add_row(
            Text(f"{name}{cell.figure.title}{at}"),
            number(cell.base_mean),
            number(cell.head_mean),
            number(effect.ratio if effect else None),
            f"{number(effect.low)} to {number(effect.high)}" if effect and effect.low else "–",
            percent(effect.mde - 1 if effect and effect.mde else None),
            probability(cell.p_adjusted),
            Text(cell.words, STYLES.get(cell.verdict, "")),
        )
    return table
