"""The load of a run from several processes: here, on its hosts, or started by hand elsewhere.

It lives as long as the run: workers that came from elsewhere stay for all blocks.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from pathlib import Path

import msgspec

from asyncdb_bench.errors import ServiceError, UsageError
from asyncdb_bench.measure.launch import READY_S
from asyncdb_bench.plan.cores import on_cores
from asyncdb_bench.plan.load_workers import ANYWHERE, LOOPBACK, Workers
from asyncdb_bench.plan.other_checkout import environment
from asyncdb_bench.processes.child import Child
from asyncdb_bench.processes.life import ending
from asyncdb_bench.processes.place import HERE, Place
from asyncdb_bench.records.messages import (
    Failed,
    Gather,
    Gathered,
    LoadConfig,
    LoadSetConfig,
    LoadWorkerConfig,
    Ready,
    encoded,
)
from asyncdb_bench.services.program import Part
from asyncdb_bench.text import PROGRAM

WORKER = "asyncdb_bench.load.worker"
THIS_MACHINE = "this machine"
"""What the master's own is called: its name stands in no result."""
ASK_AGAIN_S = 1.0
TOKEN = "ASYNCDB_BENCH_TOKEN"  # noqa: S105 - its name
WAIT_S = 60.0
AGAIN_S = 20.0
"""How long one that was lost may take to come back, before the others go on without it."""
LOOK_S = 0.1
PATIENCE_S = 240.0


def serve_master(
    host: str, port: int, token: str, *, wait_s: float, stay: bool, say: Callable[[str], None]
) -> None:
    """Offer load for a master until it ends.

    Parameters
    ----------
    host, port : of the master.
    token : of the run.
    wait_s : how long it is looked for.
    stay : look for another when it has ended.
    say : told when it has been let in.

    Raises
    ------
    ServiceError : no master was there, or it refused.
    """
    config = LoadWorkerConfig(host=host, port=port, token=token, wait_s=wait_s)
    _serve_once(config, say)
    while stay:
        time.sleep(ASK_AGAIN_S)
        _serve_once(config, say)


def _serve_once(config: LoadWorkerConfig, say: Callable[[str], None]) -> None:
    command = HERE.command(WORKER)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(encoded(config))
            process.stdin.flush()
            for line in process.stdout:
                # a scenario may print, too
                with contextlib.suppress(msgspec.DecodeError):
                    said = msgspec.json.decode(line, type=Failed | Ready)
                    if isinstance(said, Failed):
                        raise ServiceError(said.message)
                    say(f"offering load for {config.host}:{config.port}")
            if code := process.wait():
                raise ServiceError(f"the load worker {ending(code)}")
        except BaseException:
            process.kill()
            raise


def read_token(option: str = "", environment: MutableMapping[str, str] = os.environ) -> str:
    """Return the token that load workers must know; empty: none is given.

    It is taken out of the environment, which processes of the run would inherit.

    Parameters
    ----------
    option : ``@FILE``; empty: the environment's. A command line can be read by all accounts.
    environment : where :data:`TOKEN` may stand.

    Raises
    ------
    UsageError : it is too short, or stands in the option itself, or the file cannot be read.
    """
    found = environment.pop(TOKEN, "")
    if option:
        if not option.startswith("@"):
            raise UsageError(f"--token takes @FILE: all accounts can read a command line ({TOKEN})")
        try:
            found = Path(option[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--token {option}: {error}") from None
    found = found.strip()
    if found and len(found) < 8:
        raise UsageError(f"the token ({TOKEN}) is shorter than 8 characters")
    return found


class LoadSet:
    """The master and its workers.

    A context manager: entering waits until all who are expected are there.

    Parameters
    ----------
    workers : how many, and where the master listens.
    cores : of the load.
    logs : folder for its log.
    say : told of what is waited for.
    token : that workers elsewhere were given; empty: they are told where one lies.
    places : where else workers are started, and how many there.
    """

    def __init__(
        self,
        workers: Workers,
        cores: Sequence[int],
        logs: Path,
        say: Callable[[str], None] = lambda _: None,
        token: str = "",
        places: Sequence[tuple[Place, int]] = (),
    ) -> None:
        self.workers = workers
        self.cores = tuple(cores)
        self.logs = logs
        self.say = say
        self.token_given = bool(token)
        self.token = token or secrets.token_urlsafe(24)
        self.starts = [
            (place, number)
            for place, count in [(HERE, workers.own), *places]
            for number in range(count)
        ]
        self.started: dict[tuple[Place, int], Child] = {}
        self.children: list[Child] = []
        self.port = 0
        self._child: Child | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> LoadSet:
        with contextlib.ExitStack() as stack:
            stack.callback(self._end)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def child(self) -> Child:
        """The master, which is a load like any other."""
        assert self._child is not None
        return self._child

    def parts(self) -> list[Part]:
        """Return the workers that it started as parts whose life is watched."""
        return [each.part(shared=True) for each in self.started.values()]

    def configure(self, config: LoadConfig) -> Child:
        """Tell the master, and by it the workers, what they will ask for; return the master.

        Raises
        ------
        ServiceError : they do not get ready.
        """
        self.child.send(config)
        self.child.receive(Ready, READY_S)
        return self.child

    def recover(self) -> None:
        """Start again what has ended, and wait a while for workers that were lost.

        Raises
        ------
        ServiceError : no worker is there.
        """
        if self.child.popen.poll() is not None:
            self._end()
            self._start()
            return
        self._start_workers(HERE)
        self._drop_ended()
        there = self._gather(AGAIN_S, self._drop_ended)
        if not there.workers:
            raise ServiceError("all load workers were lost, and none came back")
        if len(there.workers) < self._expected:
            self.say(f"{len(there.workers)} of {self._expected} load workers go on")

    @property
    def _expected(self) -> int:
        return self.workers.expected + len(self.started)

    def _start(self) -> None:
        bind, port = self.workers.bound()
        config = LoadSetConfig(
            token=self.token, bind=bind, port=port, web_port=self.workers.web or -1
        )
        with on_cores(self.cores):
            log = self.logs / "load-master.log"
            self._child = Child("asyncdb_bench.load.master", config, log, "the load generator")
        self.child.patience_s = PATIENCE_S
        self.port = self.child.receive(Ready, READY_S).port
        self._start_workers()
        with self._invitation():
            there = self._gather(WAIT_S, self._see_that_all_live)
        if len(there.workers) < self._expected:
            refused = "".join(f"; {each}" for each in there.refused)
            raise ServiceError(
                f"{len(there.workers)} of {self._expected} load workers came to port {self.port}"
                f" within {WAIT_S:g} s{refused}; start the others, or expect fewer"
            )

    def _start_workers(self, only: Place | None = None) -> None:
        """Start those that do not run: all, or those of one place only."""
        bind, _ = self.workers.bound()
        near = LOOPBACK if bind in (ANYWHERE, "*", "::") else bind
        for place, number in self.starts:
            child = self.started.get((place, number))
            if only not in (None, place) or (child is not None and child.popen.poll() is None):
                continue
            if child is not None:
                child.stop(0)
            config = LoadWorkerConfig(
                host=near if place is HERE else self.workers.harness,
                port=self.port,
                token=self.token,
                machine=place.name or THIS_MACHINE,
                child=len(self.children) + 1,
            )
            log = self.logs / f"load-{place.name or 'worker'}-{number}.log"
            name = f"load worker {number} on {config.machine}"
            one_each = place is HERE and self.workers.own <= len(self.cores)
            with on_cores(self.cores[number : number + 1] if one_each else self.cores):
                child = Child(WORKER, config, log, name, place=place)
            self.children.append(child)
            self.started[place, number] = child

    def _gather(self, wait_s: float, look: Callable[[], None]) -> Gathered:
        deadline, told = time.monotonic() + wait_s, -1
        refused: set[str] = set()
        while True:
            ended = [n for n, each in enumerate(self.children, 1) if each.popen.poll() is not None]
            there = self.child.ask(Gather(tuple(ended)), Gathered, READY_S)
            for words in sorted(set(there.refused) - refused):
                self.say(words)
            refused |= set(there.refused)
            if len(there.workers) >= self._expected or time.monotonic() > deadline:
                return there
            if len(there.workers) != told and self.workers.expected:
                told = len(there.workers)
                self.say(f"{told} of {self._expected} load workers are there")
            look()
            time.sleep(LOOK_S)

    def _see_that_all_live(self) -> None:
        for child in self.started.values():
            if child.popen.poll() is not None:
                # says why, where it said so
                child.receive(Ready, 1)

    def _drop_ended(self) -> None:
        for key, child in list(self.started.items()):
            if child.popen.poll() is not None:
                self.say(f"{child.name} has ended; the others go on without it")
                child.stop(0)
                del self.started[key]

    @contextlib.contextmanager
    def _invitation(self) -> Iterator[None]:
        """Say how workers elsewhere are started, while they are waited for."""
        if not self.workers.expected or self.token_given:
            yield
            return
        with tempfile.NamedTemporaryFile("w", prefix="asyncdb-bench-token-") as file:
            file.write(self.token)
            file.flush()
            self.say(
                f"load workers connect with: {PROGRAM} load-worker --master THIS-HOST:{self.port}"
                f" --token @{file.name}"
            )
            yield

    def _end(self) -> None:
        if self._child is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                assert self.child.popen.stdin is not None
                # its workers are told before it ends
                self.child.popen.stdin.close()
                self.child.popen.wait(timeout=3)
            self.child.stop(0)
        for child in self.started.values():
            child.stop(0)
        self.started.clear()
