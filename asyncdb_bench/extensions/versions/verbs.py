"""`versions`: which release of a package changed the answer."""

from __future__ import annotations

from typing import Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions, RequestOptions


def versions_verb(
    request: RequestOptions,
    folders: FolderOptions,
    package: Annotated[str, typer.Argument(help="its name, with extras perhaps: psycopg[c]")],
    last: Annotated[int, typer.Option(help="the newest N releases", metavar="N", min=0)] = 0,
    first: Annotated[str, typer.Option("--from", help="oldest release", metavar="VERSION")] = "",
    final: Annotated[str, typer.Option("--to", help="newest release", metavar="VERSION")] = "",
    minor: Annotated[
        bool, typer.Option("--minor", help="the newest of each minor release alone")
    ] = False,
    since: Annotated[
        str, typer.Option(help="what was released after 2024-01-31", metavar="DATE")
    ] = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="no network: what uv has kept alone")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="measure anew what was measured before")
    ] = False,
    runs: Annotated[int, typer.Option(help="so many runs at most", metavar="N", min=1, max=40)] = 6,
) -> None:
    """Find which release of a package changed the answer."""
    import os
    from dataclasses import replace
    from functools import partial

    from asyncdb_bench.cli.terminal import print_document, relative
    from asyncdb_bench.errors import UsageError
    from asyncdb_bench.extensions.versions.page import walk_document, write_walk
    from asyncdb_bench.extensions.versions.releases import LEFT_OUT, Range
    from asyncdb_bench.extensions.versions.walking import Asked, walk_through

    if request.target or request.inject or request.vary or request.hosts:
        raise UsageError("versions takes strategies alone: no --target, --inject, --vary, --hosts")
    if not (last or first or since):
        raise UsageError("say which releases: --last 8, --from 0.27 or --since 2024-01-31")
    if offline:
        os.environ["UV_OFFLINE"] = "1"
    profile = request.profile or "versions"
    choices = replace(request, profile=profile, deployment=False).choices()
    wanted = Range(last, first, final, minor, since)
    places = folders.places()
    print(f"note: {LEFT_OUT}", flush=True)
    asked = Asked(package, wanted, runs, again)
    walked = walk_through(asked, choices, places, partial(print, flush=True))
    page = write_walk(walked, places.reports)
    print_document(walk_document(walked))
    print(f"report: {relative(page)}", flush=True)
    raise typer.Exit(walked.exit_code)
