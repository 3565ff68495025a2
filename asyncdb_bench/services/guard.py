"""Runs a program that is not ours and ends it when the harness is gone.

``python guard.py OPTIONS_JSON -- program arguments…``. Standard library only, so that it starts
in a few milliseconds. Standard input is a pipe that the harness holds: when it ends, the harness
is gone (or asks for the end), and the program is told to stop, then killed with its group, and
its folders are removed.

Options: ``stop_signal`` (number), ``grace_s``, ``user`` (uid) and ``group`` (gid) to run as,
``log`` (file), ``remove`` (folders).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any


def main() -> int:
    """Run the program until it ends by itself or standard input does."""
    options: dict[str, Any] = json.loads(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    identity: dict[str, Any] = {}
    if "user" in options:
        identity = {"user": options["user"], "group": options["group"], "extra_groups": []}
    guarded = Guarded()
    threading.Thread(target=_listen_to_parent, args=(guarded, options), daemon=True).start()
    while True:
        with open(options["log"], "ab") as log:  # noqa: PTH123 - pathlib would slow the start
            program = subprocess.Popen(
                sys.argv[3:],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                restore_signals=True,
                **identity,
            )
        guarded.program = program
        guarded.started.set()
        code = program.wait()
        _kill_group(program.pid)
        if not guarded.restart:
            break
        guarded.restart = False
    for folder in options.get("remove", []):
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else 128 - code


class Guarded:
    """The program that runs now, and whether it shall run again when it ends."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.restart = False
        self.program: Any = None


def _listen_to_parent(guarded: Guarded, options: dict[str, Any]) -> None:
    """Kill and start again on a line from the parent; end when it has gone."""
    guarded.started.wait()
    while os.read(0, 4096):
        guarded.restart = True
        _kill_group(guarded.program.pid)
    guarded.restart = False
    program = guarded.program
    with contextlib.suppress(ProcessLookupError):
        program.send_signal(options["stop_signal"])
    threading.Event().wait(options["grace_s"])
    _kill_group(program.pid)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
