"""The command line's entry: takes a token out of it before anything else is imported."""

from __future__ import annotations

import os
import sys

OPTION = "--token"
SHOWN = ("@", "fd:")
"""Starts of what is no token itself."""


def main() -> None:
    """Run the command line."""
    hide_token()
    from asyncdb_bench.cli.main import main as run

    run()


def hide_token() -> None:
    """Run this program anew where a token stands in its command line, which all accounts can read.

    It is handed over in a pipe.
    """
    for place, each in enumerate(sys.argv[1:], 1):
        name, equals, value = each.partition("=")
        if name != OPTION:
            continue
        token = value if equals else (sys.argv[place + 1 : place + 2] or [""])[0]
        if token and not token.startswith(SHOWN):
            _run_anew(token)


def _run_anew(token: str) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, token.encode())
    os.close(write_end)
    os.set_inheritable(read_end, True)
    shown = [each.replace(token, f"fd:{read_end}") for each in sys.orig_argv[1:]]
    os.execv(sys.executable, [sys.executable, *shown])  # noqa: S606 - itself
