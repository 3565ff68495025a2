"""The command line's entry: the verbs, and the one place that catches our errors."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from asyncdb_bench.cli import listing, report, run, serve
from asyncdb_bench.cli.options import flattened
from asyncdb_bench.errors import EXIT_INTERRUPTED, BenchError, masked
from asyncdb_bench.extensions import added, loaded
from asyncdb_bench_attach import __version__

app = typer.Typer(
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Measure how a Tornado application should call its SQL database.",
)
VERBS: dict[str, Callable[..., None]] = {
    "run": run.run_verb,
    "plan": run.plan_verb,
    "list": listing.list_all,
    "doctor": listing.doctor_verb,
    "calibrate": listing.calibrate_verb,
    "serve": serve.serve_verb,
    "load-worker": serve.load_worker_verb,
    "compare": report.compare_verb,
    "report": report.report_verb,
    "advise": report.advise_verb,
}
VERBS |= {name: loaded(path) for name, path in added("VERBS").items()}
for name, verb in VERBS.items():
    app.command(name)(flattened(verb))


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="print the version and end", is_eager=True)
    ] = False,
) -> None:
    """Measure how a Tornado application should call its SQL database."""
    if version:
        print(f"asyncdb-bench {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; turn our errors into a line and an exit code."""
    # to be told to end is to be interrupted: what was measured is kept; a script's background jobs
    # begin with SIGINT ignored
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    debug = "--debug" in sys.argv
    try:
        app(standalone_mode=True)
    except BenchError as error:
        if debug:
            raise
        for line in masked(str(error)).splitlines():
            print(f"error: {line}", file=sys.stderr)
        _leave(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        _leave(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave(0)


def _leave(code: int) -> None:
    raise SystemExit(code)
