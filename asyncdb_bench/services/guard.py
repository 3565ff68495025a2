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
    threading.Thread(target=_end_with_parent, args=(program, options), daemon=True).start()
    code = program.wait()
    _kill_group(program.pid)
    for folder in options.get("remove", []):
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else 128 - code


def _end_with_parent(program: subprocess.Popen[bytes], options: dict[str, Any]) -> None:
    while os.read(0, 4096):
        pass
    with contextlib.suppress(ProcessLookupError):
        program.send_signal(options["stop_signal"])
    threading.Event().wait(options["grace_s"])
    _kill_group(program.pid)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
