"""An application of somebody's own in the place of ours: reached, or started; never killed."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np

from asyncdb_bench.contract.browsing import Cookies, redirected, set_by
from asyncdb_bench.contract.operation import Operation, Said, judged
from asyncdb_bench.contract.route import REDIRECTS, Request, host_of
from asyncdb_bench.contract.scenario import Ask, go_through
from asyncdb_bench.errors import BenchError, ServiceError, described
from asyncdb_bench.measure.launch import Launch, Processes
from asyncdb_bench.plan.cores import on_cores
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.plan.targets import PORT, PYTHON, environment_of
from asyncdb_bench.processes.life import is_here, listeners
from asyncdb_bench.processes.place import HERE
from asyncdb_bench.records.messages import Heartbeats
from asyncdb_bench.records.plan import Target
from asyncdb_bench.records.step import HEARTBEAT_US
from asyncdb_bench.services.program import Part, Program, free_port, last_lines
from asyncdb_bench.services.running import Services
from asyncdb_bench_attach.application import PATH


def asked(host: str, port: int, request: Request, timeout_s: float) -> Said:
    """Ask once, on a connection of its own."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request(request.method, request.target, request.body or None, request.headers)
        answer = connection.getresponse()
        return Said(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


class Visitor:
    """Somebody who keeps the cookies of an application, and follows its redirects where asked to.

    Parameters
    ----------
    host, port : of the application.
    timeout_s : for each answer.

    Attributes
    ----------
    kept_back : names of cookies that were set and are not sent.
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.cookies = Cookies(host_of(host), port)
        self.kept_back: set[str] = set()
        self._place = host, port

    def ask(self, request: Request, *, follow: bool) -> Said:
        """Ask once, and go where a redirect leads to if `follow` says so.

        Raises
        ------
        ValueError : it leads out of the application, or too far.
        OSError, http.client.HTTPException : no answer came.
        """
        host, port = self._place
        for hops in itertools.count(1):
            said = asked(host, port, self.cookies.added_to(request), self.timeout_s)
            self.cookies.take(request.target, said.headers)
            self.kept_back |= set_by(said.headers).keys() - self.cookies.names
            if not follow or said.status not in REDIRECTS:
                break
            location = said.headers.get("Location", "")
            request = redirected(request, said.status, location, host_of(host), port, hops)
        return said


GRACE_S = 5.0
"""How long an application that we started may take to end when it is told to."""
ASK_S = 3.0


class TargetProcess:
    """A process of somebody's application.

    Parameters
    ----------
    name : what messages call it.
    pid : its id; 0: not known.
    address : host and port to ask for what its heartbeat noted; None: it is not asked.
    program : that we started it as; None: it ran already.
    """

    def __init__(
        self,
        name: str,
        pid: int,
        address: tuple[str, int] | None = None,
        program: Program | None = None,
    ) -> None:
        self.name = name
        self.pid = self.pid_there = pid
        self.place = HERE
        self.address = address
        self.program = program

    def part(self, *, shared: bool = False) -> Part:
        """Return it as a part whose life is watched."""
        if self.program is None:
            return Part(self.name, self.pid, lambda: None, shared=shared)
        popen = self.program.popen
        return Part(self.name, popen.pid, popen.poll, self.program.log, service=True)

    def beats(self, timeout_s: float) -> Heartbeats:
        """Return what its heartbeat noted; nothing where none is attached, or it cannot answer."""
        if self.address is None:
            return Heartbeats()
        with contextlib.suppress(OSError, http.client.HTTPException, msgspec.DecodeError):
            status, _, body = asked(*self.address, Request("GET", PATH, {}, b""), timeout_s)
            if status == http.client.OK:
                return msgspec.json.decode(body, type=_Beats).message()
        return Heartbeats()


class _Beats(msgspec.Struct):
    at_us: list[int]
    lag_us: list[int]
    every_us: int = HEARTBEAT_US

    def message(self) -> Heartbeats:
        return Heartbeats(self.at_us, self.lag_us, every_us=self.every_us)


class TargetFamily:
    """What a launch of a target starts: nothing, or its command.

    Parameters
    ----------
    launch : whose variant has a target.
    logs : folder for what it prints.
    """

    def __init__(self, launch: Launch, logs: Path) -> None:
        assert launch.variant.target is not None
        self.launch = launch
        self.logs = logs
        self.target: Target = launch.variant.target
        self.program: Program | None = None
        self.began = time.monotonic()
        self.url = self.target.url

    def start(self, services: Services, database: str) -> Processes:
        """Start, and wait until it answers."""
        self.begin(services, database)
        return self.ready(database)

    def begin(self, services: Services, database: str) -> None:
        """Start the command, where there is one, and wait for nothing.

        Raises
        ------
        ServiceError : the command cannot be started.
        """
        launch, target = self.launch, self.target
        if not target.command:
            return
        port = str(free_port()) if PORT in target.url else ""
        self.url = target.url.replace(PORT, port)
        environment = {k: v.replace(PORT, port) for k, v in environment_of(target).items()}
        with on_cores(launch.pinning.of("app")):
            self.program = Program(
                f"{launch.variant.label} ({target.command[0]})",
                [
                    each.replace(PORT, port).replace(PYTHON, sys.executable)
                    for each in target.command
                ],
                log=self.logs / f"{launch.name}-target.log",
                environment=environment,
                grace_s=GRACE_S,
                cwd=target.cwd,
            )
        self.began = time.monotonic()

    def ready(self, database: str) -> Processes:
        """Wait until it answers as the scenario expects.

        Raises
        ------
        ServiceError : nothing answers in time, or something else than was expected.
        """
        parts = urlsplit(self.url)
        host, port = parts.hostname or "127.0.0.1", parts.port or 80
        self._wait_until_it_answers(host, port)
        self._see_that_answers_are_right(host, port)
        pids = self.target.pids or self._pids(port)
        attached = self._is_attached(host, port)
        name = self.launch.variant.label
        apps = [
            TargetProcess(name, pid, (host, port) if attached and not place else None, self.program)
            for place, pid in enumerate(pids or (0,))
        ]
        return Processes(
            apps=tuple(apps),
            workers=(),
            port=port,
            database="",
            queue=self.launch.queue,
            end=lambda: self.stop(GRACE_S),
            host=host,
            health=self.target.health,
        )

    def stop(self, timeout_s: float) -> None:
        """End what we started."""
        if self.program is not None:
            self.program.stop()

    def _wait_until_it_answers(self, host: str, port: int) -> None:
        path = self.target.health or "/"
        deadline = self.began + (self.target.ready_s if self.program else 0)
        while True:
            try:
                status, _, _ = asked(host, port, Request("GET", path, {}, b""), ASK_S)
            except (OSError, http.client.HTTPException) as error:
                why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            else:
                if status < 500 or not self.target.health:
                    return
                why = f"GET {path} answers {status}"
            if self.program is not None and self.program.popen.poll() is not None:
                said = last_lines(self.program.log, 2) or "it printed nothing"
                raise ServiceError(f"{self.target.name} has ended: {said}")
            if time.monotonic() >= deadline:
                raise ServiceError(
                    f"{self.target.name}: {self.url} does not answer: {why}{self._hint()}"
                )
            time.sleep(0.1)

    def _hint(self) -> str:
        if self.program is None:
            return "; start it, or give its command in [targets.NAME] of bench.toml"
        return f" within {self.target.ready_s:g} s (log: {self.program.log})"

    def _see_that_answers_are_right(self, host: str, port: int) -> None:
        """Ask once for each operation, or go through each session to its end."""
        rng = np.random.default_rng(0)
        for asked_for in self.launch.scenarios:
            scenario = make_scenario(asked_for.scenario, asked_for.knobs)
            operations = scenario.workload().operations

            for session in scenario.sessions():
                try:
                    go_through(session, rng, self._asking(host, port, operations))
                except BenchError:
                    raise
                except Exception as error:
                    # the session is somebody's code
                    raise ServiceError(
                        f"{self.target.name}: a session raised {described(error)}"
                    ) from error
            if not scenario.sessions():
                for name in scenario.mix():
                    self._asking(host, port, operations)(name, scenario.params(name, rng))

    def _asking(self, host: str, port: int, operations: Mapping[str, Operation]) -> Ask:
        """Return what asks for operations, as somebody who comes for the first time."""
        visitor = Visitor(host, port, self.launch.timeout_s)
        return lambda name, params: self._right(visitor, operations[name], params)

    def _right(self, visitor: Visitor, operation: Operation, params: dict[str, Any]) -> Any:
        """Ask for an operation; return its answer.

        Raises
        ------
        ServiceError : it is not right, or none came.
        """
        request = operation.request(params)
        whose = f"{self.target.name}: {request.method} {request.target}"
        try:
            said = visitor.ask(request, follow=operation.route.follow)
        except TimeoutError:
            raise ServiceError(
                f"{whose} gives no answer within {self.launch.timeout_s:g} s"
            ) from None
        except ValueError as error:
            raise ServiceError(f"{whose} {error}") from None
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"{whose}: {type(error).__name__}: {error}") from error
        answer, why = judged(operation, params, said)
        if why and visitor.kept_back:
            why += (
                f"; the cookie {min(visitor.kept_back)} was not sent back: it is for HTTPS alone"
                " (Secure), or for another domain or path (http.cookiejar's rules)"
            )
        if why:
            raise ServiceError(f"{whose} {why}")
        return answer

    def _pids(self, port: int) -> tuple[int, ...]:
        """Return the processes that listen on the port, else what we started."""
        found = listeners(port) if is_here(urlsplit(self.url).hostname or "") else ()
        return found or ((self.program.popen.pid,) if self.program is not None else ())

    def _is_attached(self, host: str, port: int) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException, msgspec.DecodeError):
            status, _, body = asked(host, port, Request("GET", PATH, {}, b""), ASK_S)
            return status == http.client.OK and bool(msgspec.json.decode(body, type=_Beats))
        return False
