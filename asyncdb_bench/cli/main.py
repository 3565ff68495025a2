"""The verbs as commands of typer, whose options are grouped in `--help`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from asyncdb_bench.cli.entry import PURPOSE, VERBS
from asyncdb_bench.cli.options import HELP_ALL, flattened
from asyncdb_bench.extensions import loaded
from asyncdb_bench_attach import __version__


class GroupedCommand(TyperCommand):
    """Shows its usual options in `--help`, and those of named groups in `--help-all`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, by group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            if record := each.get_help_record(ctx):
                name = getattr(each, "rich_help_panel", None) or "Options"
                groups.setdefault(name, []).append(record)
        shown = groups if ctx.meta.get(HELP_ALL) else {"Options": groups["Options"]}
        for name, records in shown.items():
            with formatter.section(name):
                formatter.write_dl(records)
        if left := [name for name in groups if name not in shown]:
            formatter.write_paragraph()
            formatter.write_text(f"--help-all shows more options: {'; '.join(left)}.")


def make_app(names: Iterable[str]) -> typer.Typer:
    """Return the command line with some verbs, whose modules are imported.

    Parameters
    ----------
    names : of :data:`asyncdb_bench.cli.entry.VERBS`.
    """
    app = typer.Typer(
        no_args_is_help=True,
        invoke_without_command=True,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help=PURPOSE,
    )
    for name in names:
        app.command(name, cls=GroupedCommand)(flattened(loaded(VERBS[name])))
    app.callback()(common)
    return app


def common(
    version: Annotated[
        bool, typer.Option("--version", help="print the version and end", is_eager=True)
    ] = False,
) -> None:
    """Measure how a Tornado application should call its SQL database."""
    if version:
        print(f"asyncdb-bench {__version__}")
        raise typer.Exit
