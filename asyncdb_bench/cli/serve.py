"""`serve`: the application alone, with a strategy."""

from __future__ import annotations

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
    drain: Annotated[
        float,
        typer.Option(help="seconds in which SIGTERM has requests answered", min=0, max=600),
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

    serving = Serving(strategy, scenario, host, port, budget, attached, timeout, drain)
    serve_until_interrupted(serving, _say)


def _say(text: str) -> None:
    print(text, flush=True)


def load_worker_verb(
    master: Annotated[str, typer.Option(help="HOST:PORT of the run", metavar="ADDR")],
    token: Annotated[
        str,
        typer.Option(help="of the run, in a file (default: $ASYNCDB_BENCH_TOKEN)", metavar="@FILE"),
    ] = "",
    wait: Annotated[
        float, typer.Option(help="seconds to look for the run", min=1, max=86400)
    ] = 60.0,
    stay: Annotated[
        bool, typer.Option("--stay", help="wait for another run when one has ended")
    ] = False,
) -> None:
    """Offer load for a run of another machine, as a Locust worker."""
    from asyncdb_bench.processes.load_set import TOKEN, read_token, serve_master

    host, colon, port = master.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--master {master!r} should read HOST:PORT")
    if not (found := read_token(token)):
        raise UsageError(
            f"--token @FILE or {TOKEN}: the run's, which only its own load workers know"
        )
    serve_master(host.strip("[]"), int(port), found, wait_s=wait, stay=stay, say=_say)
