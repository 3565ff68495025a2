"""Whose CLOCK_MONOTONIC a process reads: times of two processes compare only where it is the same.

The clock begins with the machine (clock_gettime(2)), and a time namespace sets it off
(time_namespaces(7)): the boot's random number and the namespace tell both.
"""

from __future__ import annotations

import functools
import socket
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
NAMESPACE = Path("/proc/self/ns/time")
UNKNOWN = "unknown"
"""The clock of a process that cannot be asked; it is no one's own."""


@functools.cache
def identity() -> str:
    """Return what is equal for two processes just where their clocks are."""
    try:
        boot = BOOT.read_text().strip()
    except OSError:
        return socket.gethostname()
    try:
        return f"{boot} {NAMESPACE.readlink()}"
    except OSError:
        return boot


def same(one: str, other: str) -> bool:
    """Return whether two processes read the same clock; not where one is not known."""
    return one == other != UNKNOWN
