"""The load of a run from several processes: here, on its hosts, or started by hand elsewhere.

It lives as long as the run: workers that came from elsewhere stay for all blocks.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import msgspec

from asyncdb_bench.errors import EXIT_DONE, EXIT_SERVICE, ServiceError, UsageError
from asyncdb_bench.extensions.hosts.reached_hosts import ReachedHosts
from asyncdb_bench.measure.launch import READY_S
from asyncdb_bench.plan.cores import on_cores
from asyncdb_bench.plan.load_workers import Workers, own_processes
from asyncdb_bench.plan.other_checkout import environment
from asyncdb_bench.processes.child import Child
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
from asyncdb_bench.records.plan import Pinning, Plan
from asyncdb_bench.text import PROGRAM

END_S = 5.0
ASK_AGAIN_S = 1.0


def serve_master(host: str, port: int, token: str, *, wait_s: float, stay: bool) -> int:
    """Offer load for a master until it ends.

    Parameters
    ----------
    host, port : of the master.
    token : of the run.
    wait_s : how long it is looked for.
    stay : look for another when it has ended.

    Returns
    -------
    The exit code: 0, or 3 where no master was there or it refused.
    """
    config = LoadWorkerConfig(host=host, port=port, token=token, wait_s=wait_s)
    while True:
        code = _once(config)
        if not stay or code == EXIT_SERVICE:
            return code
        time.sleep(ASK_AGAIN_S)


def _once(config: LoadWorkerConfig) -> int:
    with subprocess.Popen(
        [sys.executable, "-m", "asyncdb_bench.load.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(encoded(config))
            process.stdin.flush()
            for line in process.stdout:
                with contextlib.suppress(msgspec.DecodeError):
                    said = msgspec.json.decode(line, type=Failed | Ready)
                    if isinstance(said, Failed):
                        sys.stderr.write(f"error: {said.message}\n")
                    else:
                        sys.stdout.write(f"offering load for {config.host}:{config.port}\n")
                        sys.stdout.flush()
            code = process.wait()
        except BaseException:
            # it may hold its answers until they have gone out; it need not
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
            process.kill()
            raise
    return EXIT_SERVICE if code else EXIT_DONE


def several_loads(
    plan: Plan,
    pinning: Pinning,
    logs: Path,
    say: Callable[[str], None],
    hosts: ReachedHosts | None,
) -> AbstractContextManager[LoadSet | None]:
    """Return the load's processes, where a plan asks for several; else nothing."""
    workers, token = Workers.of(plan.settings), run_token()
    if hosts is not None and hosts.of("load"):
        own = own_processes(plan.settings, plan.hosts)
        workers = replace(workers, own=own, master=workers.master or f"{plan.hosts.harness}:0")
        further = load_workers_on(hosts, logs, token[0])
        return LoadSet(workers, pinning.of("load"), logs, say, token, further)
    if not workers.several:
        return contextlib.nullcontext()
    return LoadSet(workers, pinning.of("load"), logs, say, token)


def load_workers_on(
    hosts: ReachedHosts, logs: Path, token: str
) -> Callable[[int], Sequence[Child]]:
    """Return what starts load workers on other hosts, given the master's port."""

    def start(port: int) -> Sequence[Child]:
        master = hosts.hosts.harness
        return [
            Child(
                "asyncdb_bench.load.worker",
                LoadWorkerConfig(host=master, port=port, token=token, place=each.name),
                logs / f"load-{each.name}-{number}.log",
                f"load worker {number} on {each.name}",
                host=each,
            )
            for each in hosts.of("load")
            for number in range(each.host.load_processes)
        ]

    return start


TOKEN = "ASYNCDB_BENCH_TOKEN"  # noqa: S105 - its name
WAIT_S = 60.0
AGAIN_S = 20.0
"""How long one that was lost may take to come back, before the others go on without it."""
LOOK_S = 0.1
PATIENCE_S = 240.0


def run_token(environment: MutableMapping[str, str] = os.environ) -> tuple[str, bool]:
    """Return the token that load workers must know, and whether it was given.

    It is taken out of the environment, which processes of the run would inherit.

    Raises
    ------
    UsageError : it is too short.
    """
    given = environment.pop(TOKEN, "").strip()
    if given and len(given) < 8:
        raise UsageError(f"{TOKEN} is shorter than 8 characters; a long random one is meant")
    return given or secrets.token_urlsafe(24), bool(given)


class LoadSet:
    """The master and its workers.

    A context manager: entering waits until all who are expected are there.

    Parameters
    ----------
    workers : how many, and where the master listens.
    cores : of the load.
    logs : folder for its log.
    say : told of what is waited for.
    token : that workers must know, and whether they were given it, see :func:`run_token`.
    further : starts workers elsewhere, given the master's port; they are ended with the set.
    """

    def __init__(
        self,
        workers: Workers,
        cores: Sequence[int],
        logs: Path,
        say: Callable[[str], None],
        token: tuple[str, bool],
        further: Callable[[int], Sequence[Child]] = lambda _: (),
    ) -> None:
        self.workers = workers
        self.cores = tuple(cores)
        self.logs = logs
        self.say = say
        self.token, self.token_given = token
        self.further = further
        self.others: Sequence[Child] = ()
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

    def configure(self, config: LoadConfig) -> Child:
        """Tell the master, and by it the workers, what they will ask for; return the master.

        Raises
        ------
        ServiceError : they do not get ready.
        """
        self.child.send(config)
        self.child.receive(Ready, READY_S)
        return self.child

    @property
    def expected(self) -> int:
        """How many workers there should be."""
        return self.workers.own + self.workers.expected + len(self.others)

    def recover(self) -> None:
        """Start the master again where it has ended, and wait a while for workers that were lost.

        Raises
        ------
        ServiceError : no worker is there.
        """
        if self.child.popen.poll() is not None:
            self._end()
            self._start()
            return
        there = self._gather(AGAIN_S, self._go_on_without_ended)
        if not there.workers:
            raise ServiceError("all load workers were lost, and none came back")
        if len(there.workers) < self.expected:
            self.say(f"{len(there.workers)} of {self.expected} load workers go on")

    def _start(self) -> None:
        host, port = self.workers.bound()
        own = self.workers.own
        config = LoadSetConfig(
            token=self.token,
            bind=host,
            port=port,
            processes=own,
            cores=self.cores if len(self.cores) >= own else (),
            web_port=self.workers.web or -1,
        )
        with on_cores(self.cores):
            log = self.logs / "load-master.log"
            self._child = Child("asyncdb_bench.load.master", config, log, "the load generator")
        self.child.patience_s = PATIENCE_S
        port = self.child.receive(Ready, READY_S).port
        self.others = self.further(port)
        with self._invitation(port):
            there = self._gather(WAIT_S, self._see_that_others_live)
        if len(there.workers) < self.expected:
            refused = "".join(f"; {each}" for each in there.refused)
            raise ServiceError(
                f"{len(there.workers)} of {self.expected} load workers came to port {port} within"
                f" {WAIT_S:g} s{refused}; start the others, or expect fewer"
            )

    def _gather(self, wait_s: float, look: Callable[[], None]) -> Gathered:
        deadline, told = time.monotonic() + wait_s, -1
        refused: set[str] = set()
        while True:
            there = self.child.ask(Gather(), Gathered, READY_S)
            for words in sorted(set(there.refused) - refused):
                self.say(words)
            refused |= set(there.refused)
            if len(there.workers) >= self.expected or time.monotonic() > deadline:
                return there
            if len(there.workers) != told and self.workers.expected:
                told = len(there.workers)
                self.say(f"{told} of {self.expected} load workers are there")
            look()
            time.sleep(LOOK_S)

    def _see_that_others_live(self) -> None:
        for child in self.others:
            if child.popen.poll() is not None:
                # says why, where it said so
                child.receive(Ready, 1)

    def _go_on_without_ended(self) -> None:
        gone = [each for each in self.others if each.popen.poll() is not None]
        for each in gone:
            self.say(f"{each.name} has ended; the others go on without it")
            each.stop(0)
        self.others = [each for each in self.others if each not in gone]

    @contextlib.contextmanager
    def _invitation(self, port: int) -> Iterator[None]:
        """Say how workers elsewhere are started, while they are waited for."""
        if not self.workers.expected or self.token_given:
            yield
            return
        handle, name = tempfile.mkstemp(prefix="asyncdb-bench-token-")
        try:
            os.write(handle, self.token.encode())
            os.close(handle)
            self.say(
                f"load workers connect with: {PROGRAM} load-worker --master THIS-HOST:{port}"
                f" --token @{name}"
            )
            yield
        finally:
            Path(name).unlink(missing_ok=True)

    def _end(self) -> None:
        if self._child is not None:
            with contextlib.suppress(OSError):
                assert self.child.popen.stdin is not None
                # its workers are told before it ends
                self.child.popen.stdin.close()
                self.child.popen.wait(timeout=3)
            self.child.stop(0)
        for child in self.others:
            child.stop(0)
        self.others = ()
