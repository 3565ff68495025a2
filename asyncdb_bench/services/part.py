"""A process whose life matters to what is measured: who it is, and how it is seen to end."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Part:
    """The root of a tree of processes.

    Parameters
    ----------
    who : what messages call it.
    pid : of the root.
    exit_code : how the root ended, as :attr:`subprocess.Popen.returncode`; None: it lives, or it
        is not our child.
    log : what it prints goes there; None: nowhere that we can read.
    service : whether it is a service that all variants need, run under a guard: its root is the
        guard, and its further processes come and go.
    shared : whether all variants of a block need it.
    """

    who: str
    pid: int
    exit_code: Callable[[], int | None]
    log: Path | None = None
    service: bool = False
    shared: bool = False


TELLING = (
    re.compile(r"by signal \d+|'signal \d+|PANIC|alarm|No space|MemoryError"),
    re.compile(r"\b(FATAL|ERROR|CRITICAL)\b|^\w+Error:"),
)
"""What says more, first."""
RECENT = 1000
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def telling_lines(log: Path | None, count: int = 2) -> str:
    """Return of the last lines of a log the first that say what went wrong, else the last ones.

    Parameters
    ----------
    log : the file.
    count : lines at most.
    """
    recent = last_lines(log, RECENT).split(" | ")
    for telling in TELLING:
        if told := [line for line in recent if telling.search(line)]:
            return " | ".join(told[:count])
    return " | ".join(recent[-count:])


def last_lines(log: Path | None, count: int = 2, most: int = 200) -> str:
    """Return the last lines of a log in one line; empty where there are none.

    Parameters
    ----------
    log : the file.
    count : lines at most.
    most : characters of each at most.
    """
    try:
        lines = log.read_text(errors="replace").strip().splitlines() if log else []
    except OSError:
        return ""
    return " | ".join(COLOURS.sub("", line).strip()[:most] for line in lines[-count:])
