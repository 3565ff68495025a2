"""`calibrate`: what the load generator and this machine can do, and how often the gate errs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions


def calibrate_verb(
    folders: FolderOptions,
    cpus: Annotated[str, typer.Option(help="auto, off, or cores as 0-1/2/3")] = "auto",
    load_processes: Annotated[
        int, typer.Option(help="Locust workers that offer the load", min=1, max=64)
    ] = 1,
    gate: Annotated[bool, typer.Option("--gate", help="measure how often the gate errs")] = False,
    strategy: Annotated[str, typer.Option(help="with --gate")] = "native",
    scenario: Annotated[str, typer.Option(help="with --gate")] = "slow",
    blocks: Annotated[int, typer.Option(help="with --gate", min=4, max=500)] = 130,
    time_budget: Annotated[float, typer.Option(help="with --gate: seconds", min=0)] = 7200,
    of: Annotated[str, typer.Option(help="with --gate: evaluate this run, measure nothing")] = "",
    write: Annotated[Path | None, typer.Option(help="with --gate: page to put it into")] = None,
) -> None:
    """Measure what the load generator and this machine can do, in about a minute."""
    from asyncdb_bench.plan.request import Choices
    from asyncdb_bench.records.run_folder import write_calibration
    from asyncdb_bench.trial.client_calibration import measure_client

    if gate:
        overrides = {"blocks": blocks, "time_budget_s": time_budget}
        _gate(Choices("gate", strategy, scenario, None, overrides), of, write, folders)
        return
    calibration = measure_client(
        lambda text: print(text, flush=True), cpus, processes=load_processes
    )
    print(f"calibration: {write_calibration(folders.places().results, calibration)}")


def _gate(choices: object, of: str, write: Path | None, folders: FolderOptions) -> None:
    from asyncdb_bench.cli.progress import make_progress
    from asyncdb_bench.cli.terminal import relative
    from asyncdb_bench.plan.request import Choices
    from asyncdb_bench.records.run_folder import open_run
    from asyncdb_bench.regression.decision import Rules
    from asyncdb_bench.regression.gate_calibration import (
        calibrate_gate,
        rate_lines,
        rates_of,
        write_into,
    )

    assert isinstance(choices, Choices)
    places = folders.places()
    if of:
        folder = open_run(places.results, of)
    else:
        folder = calibrate_gate(choices, places, make_progress, sys.argv[1:])
    rates = rates_of(folder, Rules())
    print("\n".join(rate_lines(rates)))
    if write is not None:
        write_into(write, folder, rates)
        print(f"written into {write}")
    print(f"results: {relative(folder.path)}")
