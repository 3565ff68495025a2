"""Child processes of the harness: started in a session of their own, spoken to in messages.

Every child ends when its standard input ends, so that none outlives a harness that was killed.
Programs that are not ours are run by :mod:`asyncdb_bench.services.guard`, which does it for them.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import queue
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from asyncdb_bench.errors import ServiceError, WriteError
from asyncdb_bench.plan.other_checkout import environment
from asyncdb_bench.processes.cleanup import end_group, wait_until_ended
from asyncdb_bench.processes.place import HERE, Place
from asyncdb_bench.records.messages import (
    PROTOCOL,
    Config,
    Heartbeats,
    Mark,
    Order,
    Ready,
    decoded_reply,
    encoded,
)
from asyncdb_bench.records.plan import Elsewhere
from asyncdb_bench.services.program import Part

STOP_S = 5.0
PATIENCE_S = 30.0
"""How long an answer may take beyond what was asked for."""


@functools.cache
def temporary_folder() -> Path:
    """Return this process's folder for all temporary files of its children; gone when it ends.

    A child that is killed, as Celery's workers are at their end, cannot remove its own.
    """
    folder = Path(tempfile.mkdtemp(prefix="asyncdb-bench-children-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def remove_temporary_folder() -> None:
    """Remove that folder, where no child is left; the next child gets another."""
    shutil.rmtree(temporary_folder(), ignore_errors=True)
    temporary_folder.cache_clear()


T = TypeVar("T", bound=msgspec.Struct)


class Child:
    """A Python module of ours run as a process.

    Parameters
    ----------
    module : run with ``-m``.
    config : sent as the first line of its standard input; None where it follows by :meth:`send`,
        so that the process can import meanwhile.
    log : file for its standard error.
    name : what messages call it.
    elsewhere : the checkout and interpreter to run it from; None: ours.
    place : where it runs; on another machine than this what is started here is the way to it.

    Attributes
    ----------
    pid_there : its process id where it runs; 0: it has not said it yet.
    """

    def __init__(
        self,
        module: str,
        config: Config | None,
        log: Path,
        name: str,
        elsewhere: Elsewhere | None = None,
        place: Place = HERE,
    ) -> None:
        self.name = name
        self.place = place
        self.protocol = elsewhere.protocol if elsewhere else PROTOCOL
        self.patience_s = PATIENCE_S
        self.log = log
        with _appended(log) as errors:
            self.popen = subprocess.Popen(
                _command_of(elsewhere, module) if elsewhere else place.command(module),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                env=_environment(elsewhere),
            )
        self.pid_there = self.pid if place is HERE else 0
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name=f"{name}-reader", daemon=True)
        self._reader.start()
        if config is not None:
            self.send(config)

    @property
    def pid(self) -> int:
        """The process id, also of its process group."""
        return self.popen.pid

    def part(self, *, shared: bool = False) -> Part:
        """Return it as a part whose life is watched."""
        return Part(self.name, self.pid, self.popen.poll, self.log, shared=shared)

    def send(self, message: Config | Order) -> None:
        """Write a message to its standard input.

        Raises
        ------
        ServiceError : it has ended.
        """
        assert self.popen.stdin is not None
        try:
            self.popen.stdin.write(encoded(message, self.protocol))
            self.popen.stdin.flush()
        except OSError as error:
            raise ServiceError(f"{self.name} has ended{self._last_words()}") from error

    def receive(self, kind: type[T], timeout_s: float) -> T:
        """Wait for a message from its standard output.

        Parameters
        ----------
        kind : the message that is due.
        timeout_s : how long to wait for each line.

        Raises
        ------
        ServiceError : it ended, stayed silent, said that it failed, or said something else.
        """
        message: T | None = None
        while message is None:
            try:
                line = self._lines.get(timeout=timeout_s)
            except queue.Empty:
                raise ServiceError(f"{self.name} did not answer within {timeout_s:g} s") from None
            if line is None:
                raise ServiceError(f"{self.name} has ended{self._last_words()}")
            message = decoded_reply(line, kind, self.name)
        if isinstance(message, Ready) and self.place is not HERE:
            self.pid_there = message.pid
        return message

    def beats(self, timeout_s: float) -> Heartbeats:
        """Return what an application's heartbeat noted since the last call."""
        return shifted(self.ask(Mark(), Heartbeats, timeout_s), self.place.offset_ns // 1000)

    def ask(self, order: Order, kind: type[T], timeout_s: float) -> T:
        """Send an order and wait for its answer."""
        self.send(order)
        return self.receive(kind, timeout_s)

    def stop(self, timeout_s: float = STOP_S) -> None:
        """End it: asked first, then killed with its whole process group."""
        with contextlib.suppress(OSError):
            assert self.popen.stdin is not None
            if timeout_s > 0:
                self.popen.terminate()
                wait_until_ended(self.popen, timeout_s)
            self.popen.stdin.close()
        end_group(self.popen)
        self._reader.join(timeout=1)
        if self.popen.stdout is not None:
            self.popen.stdout.close()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self.popen.stdout:
                self._lines.put(line)
        self._lines.put(None)

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout=1)
        code = self.popen.returncode
        lines = self.log.read_text(errors="replace").strip().splitlines()
        tail = f": {lines[-1][:300]}" if lines else ""
        return f" (exit code {code}; log: {self.log}){tail}"


def _appended(log: Path) -> IO[bytes]:
    try:
        return log.open("ab")
    except OSError as error:
        raise WriteError(
            f"cannot write {log}: {error.strerror or error}; what was measured before is kept"
        ) from error


def _environment(elsewhere: Elsewhere | None) -> dict[str, str]:
    found = environment(Path(elsewhere.code)) if elsewhere else environment()
    return found | {"TMPDIR": str(temporary_folder())}


def _command_of(elsewhere: Elsewhere, module: str) -> list[str]:
    # without -P the working directory, perhaps this checkout, would come before the other's code
    return [elsewhere.python, "-P", "-m", module]


def shifted(beats: Heartbeats, offset_us: int) -> Heartbeats:
    """Return heartbeats of another clock as on ours.

    Parameters
    ----------
    beats : as they were noted.
    offset_us : what that clock reads more than ours.
    """
    if not offset_us:
        return beats
    gauges = [{**row, "at_us": row["at_us"] - offset_us} for row in beats.gauges]
    return Heartbeats([at - offset_us for at in beats.at_us], beats.lag_us, gauges)
