"""`check`, `new` and `init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asyncdb_bench.text import PROGRAM


def _go_apart(name: str, asked: str) -> None:
    """Go on in the environment of a strategy whose packages exclude ours, where it has one."""
    import os

    from asyncdb_bench.plan.apart import environment_of
    from asyncdb_bench.plan.registry import CHECKOUT, strategy_class

    if at := environment_of(strategy_class(name)):
        python = str(Path(at) / "bin" / "python")
        paths = [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]
        code = os.pathsep.join(filter(None, paths))
        arguments = [python, "-m", "asyncdb_bench", "check", asked]
        os.execve(python, arguments, os.environ | {"PYTHONPATH": code})  # noqa: S606 - ourselves


def check_verb(
    name: Annotated[str, typer.Argument(help="a strategy or a scenario, with knobs if you like")],
    strategies: Annotated[
        str, typer.Option(help="under which a scenario is tried: a,b or none (default: all)")
    ] = "all",
) -> None:
    """Run the conformance suite on a strategy or a scenario."""
    from asyncdb_bench.errors import EXIT_DONE, EXIT_USAGE, UsageError, masked
    from asyncdb_bench.extensions.check.conformance import check_strategy
    from asyncdb_bench.extensions.check.scenario_check import check_scenario
    from asyncdb_bench.plan.registry import is_scenario
    from asyncdb_bench.plan.request import parse_specs
    from asyncdb_bench.text import counted

    specs = parse_specs(name)
    if len(specs) != 1:
        raise UsageError(f"check takes one name, e.g. `{PROGRAM} check executor:threads=4`")
    if is_scenario(specs[0].name):
        under = None if strategies == "all" else [s for s in strategies.split(",") if s != "none"]
        findings = check_scenario(specs[0], under)
    else:
        _go_apart(specs[0].name, name)
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


FOLDERS = {"strategy": "strategies", "scenario": "scenarios"}


def new_verb(
    kind: Annotated[str, typer.Argument(help="strategy or scenario")],
    name: Annotated[str, typer.Argument(help="lower case, as it will be asked for")],
) -> None:
    """Write a file to start a strategy or a scenario from."""
    from string import Template

    from asyncdb_bench.errors import UsageError
    from asyncdb_bench.plan.registry import known
    from asyncdb_bench.records.files import write_new

    if kind not in FOLDERS:
        raise UsageError(f"new {kind!r}: write `new strategy NAME` or `new scenario NAME`")
    if not (name.isidentifier() and name == name.lower() and name[0] != "_"):
        raise UsageError(f"{name!r} is no name: lower-case letters, digits and _, a letter first")
    folder = Path(FOLDERS[kind])
    path = (folder if folder.is_dir() else Path()) / f"{name}.py"
    if path.exists():
        raise UsageError(f"{path} exists already; choose another name")
    if name in known(FOLDERS[kind]):
        raise UsageError(f"a {kind} {name!r} exists already; choose another name")
    cls = "".join(part.capitalize() for part in name.split("_"))
    source = Path(__file__).with_name("starting_files") / f"{kind}.txt"
    write_new(path, Template(source.read_text()).substitute(name=name, cls=cls))
    asked = name if path.parent == folder else f"{path}:{cls}"
    print(f"wrote {path}; it conforms as it stands. Next:")
    print(f"  {PROGRAM} check {asked}")
    print(f"  {PROGRAM} run --profile smoke --{kind} {asked}")


FILES = {
    "bench.toml": "bench.toml.txt",
    "Makefile": "Makefile.txt",
    ".gitignore": "gitignore.txt",
    ".github/workflows/performance.yml": "performance.yml.txt",
}
EXAMPLE = "scenarios/example.py"


def init_verb(
    folder: Annotated[Path, typer.Argument(help="made where it is not there yet")] = Path(),
) -> None:
    """Lay out a folder: bench.toml, Makefile, workflow, example scenario."""
    import shlex
    import sys
    from string import Template

    from asyncdb_bench.errors import UsageError
    from asyncdb_bench.plan.registry import CHECKOUT
    from asyncdb_bench.records.files import write_new

    starting = Path(__file__).with_name("starting_files")
    wanted = {
        folder / name: (starting / "folder" / source).read_text() for name, source in FILES.items()
    }
    example = Template((starting / "scenario.txt").read_text())
    wanted[folder / EXAMPLE] = example.substitute(name="example", cls="Example")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name one, or one that is made")
    if there := [str(path) for path in wanted if path.exists()]:
        raise UsageError(f"{', '.join(there)} exist already; nothing was written")
    checkout = CHECKOUT / "bench.py"
    started = [str(checkout)] if checkout.is_file() else ["-m", "asyncdb_bench"]
    program = shlex.join([sys.executable, *started]).replace("$", "$$")
    for path, content in wanted.items():
        write_new(path, content.replace("@PROGRAM@", program))
        print(f"wrote {path}")
    print("Next, in that folder:")
    print("  make check                      (right under every strategy?)")
    print("  make bench                      (measure, and write the report)")
