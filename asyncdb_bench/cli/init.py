"""`init`: a folder to measure from, with an example, a Makefile and a workflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    """Lay out a folder: bench.toml, a Makefile, a workflow and an example scenario."""
    import shlex
    import sys
    from string import Template

    from asyncdb_bench.errors import UsageError
    from asyncdb_bench.plan.registry import CHECKOUT
    from asyncdb_bench.records.atomic_files import write_new

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
