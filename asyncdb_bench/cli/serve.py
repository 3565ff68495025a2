"""`serve`: the application alone, with a strategy."""

from __future__ import annotations

from typing import Annotated

import typer


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
    from asyncdb_bench.trial.serving import Serving, serve_until_interrupted

    serving = Serving(strategy, scenario, host, port, budget, attached, timeout)
    serve_until_interrupted(serving, lambda text: print(text, flush=True))
