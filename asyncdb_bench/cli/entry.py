"""The command line's entry: finds the verb, imports what that verb needs, and catches our errors.

Nothing is imported here that `--help` and `list` can do without.
"""

from __future__ import annotations

import os
import sys

from asyncdb_bench.extensions import added, loaded

VERBS = {
    "run": "asyncdb_bench.cli.run:run_verb",
    "plan": "asyncdb_bench.cli.run:plan_verb",
    "list": "asyncdb_bench.cli.listing:list_all",
    "doctor": "asyncdb_bench.cli.doctor:doctor_verb",
    "calibrate": "asyncdb_bench.cli.doctor:calibrate_verb",
    "clean": "asyncdb_bench.cli.doctor:clean_verb",
    "serve": "asyncdb_bench.cli.serve:serve_verb",
    "load-worker": "asyncdb_bench.cli.serve:load_worker_verb",
    "compare": "asyncdb_bench.cli.report:compare_verb",
    "report": "asyncdb_bench.cli.report:report_verb",
    "advise": "asyncdb_bench.cli.report:advise_verb",
} | added("VERBS")
PURPOSE = "Measure how a Tornado application should call its SQL database."
HELP = """Usage: {program} [OPTIONS] COMMAND [ARGS]...

  {purpose}

Options:
  --version             print the version and end
  --install-completion  install completion for the current shell
  --show-completion     show completion for the current shell, to copy it
  --help                show this message and end

Commands:
{verbs}

`{program} COMMAND --help` has a command's options."""


def main() -> None:
    """Run the command line; turn our errors into a line and an exit code."""
    if sys.argv[1:] == ["--help"]:
        print_help()
        return
    import signal

    # to be told to end is to be interrupted: what was measured is kept; a script's background jobs
    # begin with SIGINT ignored
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    try:
        call_verb(sys.argv[1:])
    except KeyboardInterrupt:
        from asyncdb_bench.errors import EXIT_INTERRUPTED

        print("interrupted", file=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except Exception as error:
        from asyncdb_bench.errors import BenchError, masked

        if not isinstance(error, BenchError) or "--debug" in sys.argv:
            raise
        for line in masked(str(error)).splitlines():
            print(f"error: {line}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def call_verb(arguments: list[str]) -> None:
    """Call the verb that the arguments name, with the rest of them as its options."""
    name = next((each for each in arguments if not each.startswith("-")), "")
    if arguments == [name]:
        verb = loaded(VERBS[name]) if name in VERBS else None
        if verb is not None and not verb.__code__.co_argcount:
            # without options there is nothing to parse
            verb()
            return
    from asyncdb_bench.cli.main import make_app

    # completion and what is no verb need all of them
    make_app([name] if name in VERBS else VERBS)(standalone_mode=True)


def print_help() -> None:
    """Print the verbs, each with the first line of its docstring, and import none of them."""
    program = os.path.basename(sys.argv[0])
    if program == "__main__.py":
        program = "python -m asyncdb_bench"
    width = max(map(len, VERBS)) + 2
    verbs = "\n".join(f"  {name:<{width}}{summary_of(path)}" for name, path in VERBS.items())
    print(HELP.format(program=program, purpose=PURPOSE, verbs=verbs))


def summary_of(path: str) -> str:
    """Return the first line of a function's docstring, from its module's source.

    Parameters
    ----------
    path : ``"asyncdb_bench.module:function"``.
    """
    module, function = path.split(":")
    parts = module.split(".")[1:]
    root = os.path.dirname(os.path.dirname(__file__))
    with open(f"{os.path.join(root, *parts)}.py", encoding="utf-8") as source:
        _, _, body = source.read().partition(f"def {function}(")
    return body.split('"""', 2)[1].split("\n", 1)[0]
