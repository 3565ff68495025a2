"""The command line: verbs only. Parses, calls, prints; the one place that catches our errors."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from asyncdb_bench.errors import EXIT_INTERRUPTED, BenchError, UsageError
from asyncdb_bench.plan import Choices

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Measure how a Tornado application should call its SQL database.",
)

StrategyOption = Annotated[
    str | None, typer.Option(help="a,b:knob=value,… (default: the profile's)")
]
ScenarioOption = Annotated[
    str | None, typer.Option(help="x,y:knob=value,… (default: the profile's)")
]
ProfileOption = Annotated[
    str,
    typer.Option(
        help="smoke, quick, standard, nightly, blog, sweep (default: quick; sweep for a sweep)"
    ),
]
SeedOption = Annotated[int | None, typer.Option(help="repeat the arrivals of another run", min=0)]
VaryOption = Annotated[
    list[str] | None,
    typer.Option(help="strategy:knob=1,2,4: a curve over one knob (app:processes=1,2: of all)"),
]
BlocksOption = Annotated[int | None, typer.Option(help="rounds of trials over all variants")]
BudgetOption = Annotated[int | None, typer.Option(help="database connections per strategy")]
TimeOption = Annotated[
    float | None, typer.Option(help="seconds that the whole run may take; 0: no limit")
]
CpusOption = Annotated[
    str | None, typer.Option(help="auto, off, or cores as 0-1/2/3: system/services/load")
]
DeploymentOption = Annotated[
    bool | None,
    typer.Option(help="measure what each variant takes to deploy, too (default: the profile's)"),
]
InjectOption = Annotated[
    str, typer.Option(help="a fault beside each variant: delay_ms=2, cpu_ms=1, pool=6")
]
ResultsOption = Annotated[Path, typer.Option(help="folder of results")]
ReportsOption = Annotated[Path, typer.Option(help="folder of reports")]
DebugOption = Annotated[bool, typer.Option("--debug", help="show a traceback with an error")]


def _choices(
    *,
    profile: str,
    strategy: str | None,
    scenario: str | None,
    seed: int | None,
    blocks: int | None,
    budget: int | None,
    time_budget: float | None,
    cpus: str | None,
    vary: list[str] | None,
    deployment: bool | None,
    inject: str = "",
) -> Choices:
    overrides = {
        "blocks": blocks,
        "budget": budget,
        "time_budget_s": time_budget,
        "cpus": cpus,
        "deployment": deployment,
    }
    usual = "sweep" if (scenario or "").startswith("sweep") else "quick"
    return Choices(
        profile or usual, strategy or None, scenario or None, seed, overrides, vary or (), inject
    )


@app.command()
def run(
    strategy: StrategyOption = None,
    scenario: ScenarioOption = None,
    vary: VaryOption = None,
    profile: ProfileOption = "",
    seed: SeedOption = None,
    blocks: BlocksOption = None,
    budget: BudgetOption = None,
    time_budget: TimeOption = None,
    cpus: CpusOption = None,
    deployment: DeploymentOption = None,
    inject: InjectOption = "",
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
    debug: DebugOption = False,
) -> None:
    """Measure, and write the report."""
    from asyncdb_bench import console
    from asyncdb_bench.plan import make_plan, read_profiles
    from asyncdb_bench.run import Places, print_last_lines
    from asyncdb_bench.run import run as run_plan

    choices = _choices(
        profile=profile,
        strategy=strategy,
        scenario=scenario,
        seed=seed,
        blocks=blocks,
        budget=budget,
        time_budget=time_budget,
        cpus=cpus,
        vary=vary,
        deployment=deployment,
        inject=inject,
    )
    plan = make_plan(choices, read_profiles())
    console.print_intention(plan)
    places = Places(results.resolve(), reports.resolve())
    outcome = run_plan(plan, places, sys.argv[1:])
    console.print_result(outcome.report)
    print_last_lines(outcome)
    raise typer.Exit(outcome.exit_code)


@app.command()
def plan(
    strategy: StrategyOption = None,
    scenario: ScenarioOption = None,
    vary: VaryOption = None,
    profile: ProfileOption = "",
    seed: SeedOption = None,
    blocks: BlocksOption = None,
    budget: BudgetOption = None,
    time_budget: TimeOption = None,
    cpus: CpusOption = None,
    deployment: DeploymentOption = None,
    inject: InjectOption = "",
    debug: DebugOption = False,
) -> None:
    """Print what would run, how long it takes, and all that is wrong with the request."""
    from asyncdb_bench import console
    from asyncdb_bench.plan import make_plan, read_profiles

    choices = _choices(
        profile=profile,
        strategy=strategy,
        scenario=scenario,
        seed=seed,
        blocks=blocks,
        budget=budget,
        time_budget=time_budget,
        cpus=cpus,
        vary=vary,
        deployment=deployment,
        inject=inject,
    )
    console.print_plan(make_plan(choices, read_profiles()))


@app.command(name="list")
def list_(debug: DebugOption = False) -> None:
    """List strategies, scenarios and profiles with their knobs."""
    from asyncdb_bench.listing import print_all

    print_all()


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="a strategy, with knobs if you like")],
    debug: DebugOption = False,
) -> None:
    """Run the conformance suite on a strategy."""
    from asyncdb_bench.conformance import check_strategy

    raise typer.Exit(check_strategy(name))


@app.command()
def doctor(debug: DebugOption = False) -> None:
    """Say what was found on this machine, what will be used, and what is missing."""
    from asyncdb_bench.doctor import examine

    raise typer.Exit(examine())


@app.command()
def calibrate(
    cpus: CpusOption = None,
    gate: Annotated[bool, typer.Option("--gate", help="measure how often the gate errs")] = False,
    strategy: Annotated[str, typer.Option(help="with --gate")] = "native",
    scenario: Annotated[str, typer.Option(help="with --gate")] = "slow",
    blocks: Annotated[int, typer.Option(help="with --gate", min=4, max=500)] = 24,
    time_budget: Annotated[float, typer.Option(help="with --gate: seconds", min=0)] = 0,
    of: Annotated[str, typer.Option(help="with --gate: evaluate this run, measure nothing")] = "",
    write: Annotated[Path | None, typer.Option(help="with --gate: page to put it into")] = None,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
    debug: DebugOption = False,
) -> None:
    """Measure what the load generator and this machine can do, in about a minute."""
    if gate:
        _calibrate_gate(
            strategy, scenario, blocks, time_budget, of, write, results.resolve(), reports.resolve()
        )
        return
    from asyncdb_bench.calibrate import calibrate as measure
    from asyncdb_bench.store import write_calibration

    found = measure(lambda text: print(text, flush=True), cpus or "auto")
    print(f"calibration: {write_calibration(results.resolve(), found)}")


def _calibrate_gate(
    strategy: str,
    scenario: str,
    blocks: int,
    time_budget: float,
    of: str,
    write: Path | None,
    results: Path,
    reports: Path,
) -> None:
    from asyncdb_bench import gatecalibrate as calibration
    from asyncdb_bench.gate import Rules
    from asyncdb_bench.run import Places, relative
    from asyncdb_bench.store import open_run

    if of:
        folder = open_run(results, of)
        rates = calibration.rates_of(folder, Rules())
    else:
        places = Places(results, reports)
        folder, rates = calibration.calibrate_gate(
            strategy, scenario, blocks, time_budget, places, sys.argv[1:]
        )
    calibration.say(rates, print)
    if write is not None:
        calibration.write_into(write, folder, rates)
        print(f"written into {write}")
    print(f"results: {relative(folder.path)}")


@app.command()
def serve(
    strategy: Annotated[str, typer.Argument(help="a strategy, with knobs if you like")],
    scenario: Annotated[str, typer.Option(help="whose operations to serve")] = "mixed",
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one", min=0, max=65535)] = 8888,
    budget: Annotated[int, typer.Option(help="database connections", min=1, max=350)] = 8,
    attached: Annotated[
        str,
        typer.Option(
            metavar="QUEUE",
            help="use DATABASE_URL's database itself, and workers that run elsewhere on this queue",
        ),
    ] = "",
    debug: DebugOption = False,
) -> None:
    """Serve the application alone, with a strategy, until Ctrl-C."""
    from asyncdb_bench.serve import Serving, serve_alone

    serve_alone(Serving(strategy, scenario, host, port, budget, attached))


@app.command()
def gate(
    base: Annotated[str, typer.Option(help="revision that this checkout is measured against")] = "",
    against: Annotated[str, typer.Option(help="a stored run to judge RUN against instead")] = "",
    run_id: Annotated[str, typer.Argument(metavar="[RUN]", help="with --against")] = "latest",
    strategy: StrategyOption = None,
    scenario: ScenarioOption = None,
    profile: ProfileOption = "gate",
    seed: SeedOption = None,
    blocks: Annotated[int, typer.Option(help="blocks at most", min=4, max=60)] = 12,
    budget: BudgetOption = None,
    time_budget: TimeOption = None,
    cpus: CpusOption = None,
    inject: Annotated[
        str, typer.Option(help="a fault for head: delay_ms=2, cpu_ms=1, pool=6")
    ] = "",
    junit: Annotated[Path | None, typer.Option(help="write JUnit XML")] = None,
    keep: Annotated[bool, typer.Option("--history", help="append the run to the history")] = False,
    summary: Annotated[
        Path | None, typer.Option(help="append Markdown (in a GitHub workflow: its summary)")
    ] = None,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
    debug: DebugOption = False,
) -> None:
    """Decide whether something got worse; exit code 1 only if it did."""
    from asyncdb_bench import gating
    from asyncdb_bench.gate import Rules
    from asyncdb_bench.run import Places

    if bool(base) == bool(against):
        raise UsageError("give either --base REVISION (measures) or --against RUN (does not)")
    places = Places(results.resolve(), reports.resolve())
    outputs = gating.Outputs(junit, summary or gating.default_summary())
    rules = Rules(most=blocks)
    if against:
        ended = gating.gate_against(against, run_id, rules, places, outputs)
    else:
        choices = _choices(
            profile=profile,
            strategy=strategy,
            scenario=scenario,
            seed=seed,
            blocks=blocks,
            budget=budget,
            time_budget=time_budget,
            cpus=cpus,
            vary=None,
            deployment=False,
            inject=inject,
        )
        ended = gating.gate(choices, base, rules, places, outputs, sys.argv[1:])
    if keep and ended.folder is not None:
        from asyncdb_bench.history import keep_run

        print(keep_run(places.results, ended.folder))
    gating.print_gated(ended)
    raise typer.Exit(ended.exit_code)


@app.command()
def compare(
    base: Annotated[str, typer.Argument(help="a run, RUN/VARIANT, or a variant of --run")],
    head: Annotated[str, typer.Argument(help="likewise; it is judged against the first")],
    of_run: Annotated[str, typer.Option("--run", help="where variants are looked up")] = "latest",
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
    debug: DebugOption = False,
) -> None:
    """Compare two runs, or two variants of a run, from what is on disk."""
    from asyncdb_bench.compare import compare as compare_two

    compare_two(base, head, of_run, results.resolve(), reports.resolve())


@app.command()
def history(
    action: Annotated[str, typer.Argument(help="show, or import")] = "show",
    folder: Annotated[
        Path | None, typer.Argument(help="to import: runs (default: --results)")
    ] = None,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
    debug: DebugOption = False,
) -> None:
    """Show how figures changed over many runs, or import runs into the history."""
    from asyncdb_bench import history as nights

    root = results.resolve()
    if action == "import":
        done, skipped = nights.import_folder((folder or root).resolve(), root)
        for line in skipped:
            print(line)
        print(f"imported {done} run{'' if done == 1 else 's'} into {root / 'history.sqlite'}")
    elif action == "show":
        nights.show(root, reports.resolve())
    else:
        raise UsageError(f"history {action!r}: it knows show and import")


@app.command()
def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="run ids (default: latest); several: side by side"),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="open it in the browser")] = False,
    figures: Annotated[
        bool, typer.Option("--figures", help="write each figure as PNG and SVG, too")
    ] = False,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
    debug: DebugOption = False,
) -> None:
    """Write the report of a run again, from what is on disk; of several, side by side, too."""
    from asyncdb_bench.rebuild import rebuild

    rebuild(runs or ["latest"], results.resolve(), reports.resolve(), show=show, figures=figures)


def main() -> None:
    """Run the command line; turn our errors into a line and an exit code."""
    # to be told to end is to be interrupted: what was measured is kept
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    debug = "--debug" in sys.argv
    try:
        app(standalone_mode=True)
    except BenchError as error:
        if debug:
            raise
        for line in str(error).splitlines():
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
