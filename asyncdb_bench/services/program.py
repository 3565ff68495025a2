"""A program that is not ours, kept under a guard."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncdb_bench.errors import ServiceError


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


GUARD = Path(__file__).with_name("guard.py")
STOP_S = 15.0
"""How long a guard may take to end its program and itself."""


class Program:
    """Start a program under a guard.

    Parameters
    ----------
    name : what messages call it.
    command : the program and its arguments.
    log : file for what it prints.
    environment : the program's environment, else the harness's own.
    stop_signal, grace_s : how it is asked to end, and after how many seconds it is killed.
    options : the guard's other options, see :mod:`asyncdb_bench.services.guard`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        stop_signal: int = signal.SIGTERM,
        grace_s: float = 2,
        **options: Any,
    ) -> None:
        self.name = name
        self.log = log
        self.popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), "--", *command],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env=dict(environment) if environment is not None else None,
            cwd="/",
        )
        assert self.popen.stdin is not None
        with contextlib.suppress(OSError):
            told = {**options, "log": str(log), "stop_signal": stop_signal, "grace_s": grace_s}
            self.popen.stdin.write(json.dumps(told, default=str).encode() + b"\n")
            self.popen.stdin.flush()

    def part(self) -> Part:
        """Return it as a part whose life is watched."""
        return Part(self.name, self.popen.pid, self.popen.poll, self.log, service=True, shared=True)

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until the program answers; where it does not, it is stopped.

        Raises
        ------
        ServiceError : it ended or did not answer in time; with the last line of its log.
        """
        deadline = time.monotonic() + timeout_s
        with contextlib.ExitStack() as stack:
            stack.callback(self.stop)
            while not ready():
                if self.popen.poll() is not None:
                    raise ServiceError(f"{self.name} could not start: {self._last_words()}")
                if time.monotonic() > deadline:
                    raise ServiceError(
                        f"{self.name} did not get ready in {timeout_s:g} s: {self._last_words()}"
                    )
                time.sleep(0.03)
            stack.pop_all()

    def restart(self) -> None:
        """Have the guard kill the program and start it again, with the same command and data.

        Raises
        ------
        ServiceError : the guard has ended.
        """
        assert self.popen.stdin is not None
        try:
            self.popen.stdin.write(b"restart\n")
            self.popen.stdin.flush()
        except OSError as error:
            raise ServiceError(f"{self.name} has ended: {self._last_words()}") from error

    def stop(self) -> None:
        """Tell the guard to end the program and wait until both are gone."""
        assert self.popen.stdin is not None
        with contextlib.suppress(OSError):
            self.popen.stdin.close()
        # a guard that somebody has stopped would not hear of it
        with contextlib.suppress(ProcessLookupError):
            self.popen.send_signal(signal.SIGCONT)
        try:
            self.popen.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            # the guard's second process ends the program and removes its folders
            self.popen.kill()
            self.popen.wait()

    def _last_words(self) -> str:
        return f"{last_lines(self.log, 1, 300) or 'it printed nothing'} (log: {self.log})"


def program_version(program: Path) -> str:
    """Return the first line of what a program says of its version."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return answer.stdout.strip().partition("\n")[0] or "unknown version"


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def is_listening(port: int, timeout_s: float = 0.5) -> bool:
    """Return whether something listens on a port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout_s):
        return True
    return False


def unprivileged() -> dict[str, Any]:
    """Return as whom a program is started that does not run as root; empty: as ourselves."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise ServiceError("running as root, and there is neither a user 'postgres' nor 'nobody'")


def write_private(
    path: Path, content: str | bytes, identity: Mapping[str, Any] | None = None
) -> None:
    """Write a file that holds a secret: nobody else may read it, from the start.

    Parameters
    ----------
    path, content : of the file.
    identity : who reads it, as :func:`unprivileged` has it; None: we do.
    """
    path.touch(mode=0o600)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    hand_to(identity or {}, path)


def hand_to(identity: Mapping[str, Any], *paths: Path) -> None:
    """Make files and folders somebody's, as :func:`unprivileged` has it; empty: they stay ours."""
    for path in paths if identity else ():
        os.chown(path, identity["user"], identity["group"])
