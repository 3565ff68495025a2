"""What users and other programs rely on, recorded: a change of it is a change of surface.txt.

``python -m tests.cli.test_surface > tests/cli/surface.txt`` records it anew; what goes from there
goes into CHANGELOG.md.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer.main

from asyncdb_bench import errors, public, report
from asyncdb_bench.cli.entry import VERBS, summary_of
from asyncdb_bench.cli.main import make_app
from asyncdb_bench.extensions import loaded
from asyncdb_bench.records.run_folder import FILES, make_run_folder
from tests.factories import manifest, step

RECORDED = Path(__file__).with_name("surface.txt")


def surface() -> str:
    """Return verbs with their options, exit codes, public names, and files of a run."""
    lines = ["verbs, arguments and options"]
    commands = typer.main.get_command(make_app(VERBS)).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        lines.append(f"  {name}")
        options = [
            "/".join([*each.opts, *each.secondary_opts])
            if each.param_type_name == "option"
            else f"[{each.name}]"
            for each in command.params
        ]
        lines += sorted(f"    {each}" for each in options)
    codes = {name: value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    lines += ["exit codes", *(f"  {value} {name}" for name, value in codes.items())]
    lines += ["asyncdb_bench.public", *(f"  {name}" for name in sorted(public.__all__))]
    lines += ["files of a run", *(f"  results/RUN/{name}" for name in FILES)]
    lines += [f"  reports/RUN/{name}" for name in report_files()]
    return "\n".join(lines) + "\n"


def report_files() -> list[str]:
    """Return the names of the files of a run's report."""
    made = manifest(("executor", "native"))
    with tempfile.TemporaryDirectory() as place:
        folder = make_run_folder(Path(place) / "results", made.run_id)
        folder.write_manifest(made)
        for name in ("executor", "native"):
            folder.append_step(step(name))
        written = report.write(folder, Path(place) / "reports")
        return sorted(each.name for each in written.path.parent.iterdir())


def test_the_surface_is_as_recorded() -> None:
    assert surface() == RECORDED.read_text()


def test_help_has_the_summaries_of_the_functions() -> None:
    for path in VERBS.values():
        assert summary_of(path) == (loaded(path).__doc__ or "").splitlines()[0]


if __name__ == "__main__":
    print(surface(), end="")
