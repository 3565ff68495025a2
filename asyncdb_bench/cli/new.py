"""`new`: a commented file to start a strategy or a scenario from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asyncdb_bench.text import PROGRAM

FOLDERS = {"strategy": "strategies", "scenario": "scenarios"}


def new_verb(
    kind: Annotated[str, typer.Argument(help="strategy or scenario")],
    name: Annotated[str, typer.Argument(help="lower case, as it will be asked for")],
) -> None:
    """Write a commented file to start a strategy or a scenario from."""
    from string import Template

    from asyncdb_bench.errors import UsageError
    from asyncdb_bench.plan.registry import names
    from asyncdb_bench.records.atomic_files import write_new

    if kind not in FOLDERS:
        raise UsageError(f"new {kind!r}: write `new strategy NAME` or `new scenario NAME`")
    if not (name.isidentifier() and name == name.lower() and name[0] != "_"):
        raise UsageError(f"{name!r} is no name: lower-case letters, digits and _, a letter first")
    folder = Path(FOLDERS[kind])
    path = (folder if folder.is_dir() else Path()) / f"{name}.py"
    if path.exists():
        raise UsageError(f"{path} exists already; choose another name")
    if name in names(FOLDERS[kind]):
        raise UsageError(f"a {kind} {name!r} exists already; choose another name")
    cls = "".join(part.capitalize() for part in name.split("_"))
    source = Path(__file__).with_name("starting_files") / f"{kind}.txt"
    write_new(path, Template(source.read_text()).substitute(name=name, cls=cls))
    asked = name if path.parent == folder else f"{path}:{cls}"
    print(f"wrote {path}; it conforms as it stands. Next:")
    print(f"  {PROGRAM} check {asked}")
    print(f"  {PROGRAM} run --profile smoke --{kind} {asked}")
