"""A program that is not ours, kept under a guard."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncdb_bench.errors import ServiceError

GUARD = Path(__file__).with_name("guard.py")


class Program:
    """Start a program under a guard.

    Parameters
    ----------
    name : what messages call it.
    command : the program and its arguments.
    log : file for what it prints.
    options : the guard's options beside the log, see :mod:`asyncdb_bench.services.guard`.
    environment : the program's environment, else the harness's own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        options: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        guard_options = json.dumps({**options, "log": str(log)})
        self.popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), guard_options, "--", *command],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env=dict(environment) if environment is not None else None,
            cwd="/",
        )

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until the program answers.

        Raises
        ------
        ServiceError : it ended or did not answer in time; with the last line of its log.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.popen.poll() is not None:
                raise ServiceError(f"{self.name} could not start: {self._last_words()}")
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"{self.name} did not get ready in {timeout_s:g} s: {self._last_words()}"
                )
            time.sleep(0.03)

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
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout=15)

    def _last_words(self) -> str:
        lines = (
            self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        )
        return f"{lines[-1][:300] if lines else 'it printed nothing'} (log: {self.log})"


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


def unprivileged() -> pwd.struct_passwd | None:
    """Return the account to run PostgreSQL as when we are root, which it refuses; else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServiceError("running as root, and there is neither a user 'postgres' nor 'nobody'")
