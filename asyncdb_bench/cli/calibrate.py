"""`calibrate`: what the load generator and this machine can do."""

from __future__ import annotations

from typing import Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions


def calibrate_verb(
    folders: FolderOptions,
    cpus: Annotated[str, typer.Option(help="auto, off, or cores as 0-1/2/3")] = "auto",
    load_processes: Annotated[
        int, typer.Option(help="Locust workers that offer the load", min=1, max=64)
    ] = 1,
) -> None:
    """Measure what the load generator and this machine can do, in about a minute."""
    from asyncdb_bench.records.run_folder import see_writable, write_calibration
    from asyncdb_bench.trial.client_calibration import measure_client

    results = folders.places().results
    see_writable(results)
    calibration = measure_client(
        lambda text: print(text, flush=True), cpus, processes=load_processes
    )
    print(f"calibration: {write_calibration(results, calibration)}")
