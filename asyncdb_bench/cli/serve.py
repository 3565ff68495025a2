"""`serve`: the application alone, with a strategy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from asyncdb_bench.errors import UsageError


def serve_verb(
    strategy: Annotated[str, typer.Argument(help="a strategy, with knobs if you like")],
    scenario: Annotated[
        str, typer.Option(help="whose operations to serve; several with commas")
    ] = "mixed",
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one", min=0, max=65535)] = 8888,
    budget: Annotated[int, typer.Option(help="database connections", min=1, max=350)] = 8,
    timeout: Annotated[
        float, typer.Option(help="seconds after which a request is given up", min=0.1, max=600)
    ] = 10.0,
    attached: Annotated[
        str,
        typer.Option(
            metavar="QUEUE",
            help="use DATABASE_URL's database itself, and workers that run elsewhere on this queue",
        ),
    ] = "",
) -> None:
    """Serve the application alone, with a strategy, until Ctrl-C."""
    from asyncdb_bench.processes.serving import Serving, serve_until_interrupted

    serving = Serving(strategy, scenario, host, port, budget, attached, timeout)
    serve_until_interrupted(serving, lambda text: print(text, flush=True))


def load_worker_verb(
    master: Annotated[str, typer.Option(help="HOST:PORT of the run", metavar="ADDR")],
    token: Annotated[
        str,
        typer.Option(help="of the run, or @FILE with it (default: $ASYNCDB_BENCH_TOKEN)"),
    ] = "",
    wait: Annotated[
        float, typer.Option(help="seconds to look for the run", min=1, max=86400)
    ] = 60.0,
    stay: Annotated[
        bool, typer.Option("--stay", help="wait for another run when one has ended")
    ] = False,
) -> None:
    """Offer load for a run of another machine, as a Locust worker, until that ends."""
    from asyncdb_bench.processes.load_set import serve_master

    host, colon, port = master.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--master {master!r} should read HOST:PORT")
    code = serve_master(host.strip("[]"), int(port), read_token(token), wait_s=wait, stay=stay)
    raise typer.Exit(code)


def read_token(given: str) -> str:
    """Return the token.

    Parameters
    ----------
    given : ``@FILE``, ``fd:NUMBER`` of an open file (see :mod:`asyncdb_bench.cli.entry`), or empty
        for the environment's.

    Raises
    ------
    UsageError : there is none.
    """
    from asyncdb_bench.processes.load_set import TOKEN

    if given.startswith("@"):
        try:
            found = Path(given[1:]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--token {given}: {error}") from None
    elif given.startswith("fd:"):
        with os.fdopen(int(given[3:])) as source:
            found = source.read().strip()
    else:
        found = os.environ.pop(TOKEN, "").strip()
    if not found:
        raise UsageError(
            f"--token @FILE or {TOKEN}: the run's, which only its own load workers know"
        )
    return found
