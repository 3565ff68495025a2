"""`check`: does a strategy or a scenario keep the contract."""

from __future__ import annotations

from typing import Annotated

import typer

from asyncdb_bench.text import PROGRAM


def check_verb(
    name: Annotated[str, typer.Argument(help="a strategy or a scenario, with knobs if you like")],
    strategies: Annotated[
        str, typer.Option(help="under which a scenario is tried: a,b or none (default: all)")
    ] = "all",
) -> None:
    """Run the conformance suite on a strategy or a scenario."""
    from asyncdb_bench.errors import EXIT_DONE, EXIT_USAGE, UsageError
    from asyncdb_bench.masking import masked
    from asyncdb_bench.plan.registry import is_scenario
    from asyncdb_bench.plan.request import parse_specs
    from asyncdb_bench.text import counted
    from asyncdb_bench.trial.conformance import check_strategy
    from asyncdb_bench.trial.scenario_check import check_scenario

    specs = parse_specs(name)
    if len(specs) != 1:
        raise UsageError(f"check takes one name, e.g. `{PROGRAM} check executor:threads=4`")
    if is_scenario(specs[0].name):
        under = None if strategies == "all" else [s for s in strategies.split(",") if s != "none"]
        findings = check_scenario(specs[0], under)
    else:
        findings = check_strategy(specs[0])
    failed = untried = 0
    for finding in findings:
        failed += bool(finding.problem)
        untried += bool(finding.untried)
        how = "FAIL" if finding.problem else "skip" if finding.untried else "ok  "
        print(f"{how}  {finding.check}", flush=True)
        if why := finding.problem or finding.untried:
            print(f"      {masked(why)}", flush=True)
    said = f"{counted(failed, 'check')} failed" if failed else "conforms"
    beside = f"; {counted(untried, 'check')} not made here" if untried else ""
    print(f"{specs[0].label}: {said}{beside}")
    raise typer.Exit(EXIT_USAGE if failed else EXIT_DONE)
