"""Ending processes that were started in a group of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess


def wait_until_ended(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for a process; return whether it ended in time."""
    try:
        process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process group and reap its leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
