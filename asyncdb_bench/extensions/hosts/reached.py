"""Hosts as they are reached in a run: looked at, given our code, watched; left as they were."""

from __future__ import annotations

import contextlib
import queue
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from asyncdb_bench import clock
from asyncdb_bench.errors import ServiceError, UsageError
from asyncdb_bench.extensions.hosts import agent_messages as m
from asyncdb_bench.extensions.hosts.archive import RECEIVE, packed
from asyncdb_bench.extensions.hosts.ways import command, job_manifest, kubectl
from asyncdb_bench.processes.cleanup import end_group
from asyncdb_bench.processes.place import CanStop
from asyncdb_bench.records.plan import Host, Reach
from asyncdb_bench.services.program import Part
from asyncdb_bench.services.running import Services

REACH_S = 60.0
ANSWER_S = 20.0
END_S = 4.0
POD_ADDRESS = "jsonpath={.items[0].status.podIP}"
NOT_FOUND = 127
"""The exit code of a shell, or of env(1), where a program is not found."""
AGENT = "asyncdb_bench.extensions.hosts.agent"
PROGRAMS = {"database": ("postgres",), "broker": ("beam.smp", "redis-server", "valkey-server")}
CORES_OF = {"app": "application", "workers": "workers"}
"""Whose cores, in the file of hosts, a role of a step takes."""
NEEDED_BY_ALL = frozenset({"application", "load", "database"})
T = TypeVar("T", bound=msgspec.Struct)


class ReachedHost:
    """A host that was reached: our processes can be started there, and its agent answers.

    Parameters
    ----------
    host : which.
    logs : folder for what is printed there.
    """

    def __init__(self, host: Host, logs: Path) -> None:
        self.host = host
        self.log = logs / f"host-{host.name}.log"
        self.folder = ""
        self.job = f"asyncdb-bench-{secrets.token_hex(4)}"
        self.machine: m.Machine
        self.offset_ns = 0
        self._answers: queue.Queue[m.Answer | None] = queue.Queue()
        self._lock = threading.Lock()
        self._heard = time.monotonic()
        self._gap_s = 0.0
        self._agent: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.host.name

    @property
    def clock(self) -> str:
        """The clock that its processes read."""
        return self.machine.clock

    def part(self) -> Part:
        """Return its agent as a part whose life is watched: with it the way there is lost."""
        assert self._agent is not None
        agent = self._agent
        who = f"the way to host {self.name}"
        return Part(who, agent.pid, agent.poll, self.log, shared=self.shared)

    @property
    def shared(self) -> bool:
        """Whether all variants need it: not a host of workers or of the broker alone."""
        return bool(NEEDED_BY_ALL & set(self.host.roles))

    def command(self, module: str) -> list[str]:
        """Return the command line that runs a module of ours there."""
        environment = {
            "PYTHONPATH": self.folder,
            "TMPDIR": self.folder,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        program = [self.host.python, "-P", "-m", module]
        return command(self.host, program, environment, self.job)

    def open(self) -> None:
        """Reach it: copy our code, start the agent, look around.

        Raises
        ------
        ServiceError : it cannot be reached.
        UsageError : it lacks what our processes need.
        """
        if self.host.via == "kubernetes":
            self._kubectl("apply", "--filename", "-", given=job_manifest(self.host, self.job))
            pod = f"--selector=job-name={self.job}"
            self._kubectl("wait", "--for=condition=Ready", "pod", pod)
            if self.host.address == self.host.name:
                found = self._kubectl("get", "pod", pod, "--output", POD_ADDRESS)
                self.host = replace(self.host, address=found.strip())
        received = self._receive()
        self.folder = received["folder"]
        self._see_that_it_fits(received)
        with self.log.open("ab") as errors:
            self._agent = subprocess.Popen(
                self.command(AGENT),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True, name=f"host {self.name}")
        self._reader.start()
        cores = tuple(sorted({core for each in self.host.cores.values() for core in each}))
        programs = {role: names for role, names in PROGRAMS.items() if role in self.host.roles}
        self.machine = self.ask(m.Look(cores, programs), m.Machine)
        self.measure_clock()

    def close(self) -> None:
        """End the agent, which cleans up behind us."""
        if self._agent is not None:
            assert self._agent.stdin is not None
            lost = self._agent.poll() is not None
            with contextlib.suppress(OSError):
                self._agent.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._agent.wait(END_S)
            end_group(self._agent)
            if lost:
                # it could not clean up
                self._remove()
        if self.host.via == "kubernetes":
            with contextlib.suppress(ServiceError):
                self._kubectl("delete", "job", self.job, "--wait=false")

    def ask(self, question: m.Question, kind: type[T]) -> T:
        """Ask the agent.

        Raises
        ------
        ServiceError : it does not answer, or says that it failed.
        """
        agent = self._agent
        assert agent is not None
        assert agent.stdin is not None
        with self._lock:
            try:
                agent.stdin.write(msgspec.json.encode(question) + b"\n")
                agent.stdin.flush()
                answer = self._answers.get(timeout=ANSWER_S)
            except (OSError, queue.Empty):
                answer = None
        if isinstance(answer, kind):
            return answer
        why = answer.why if isinstance(answer, m.Wrong) else self._last_words()
        raise ServiceError(f"host {self.name} does not answer: {why}")

    def measure_clock(self) -> None:
        """Measure by how much its clock differs from ours."""
        if not clock.same(self.clock, clock.identity()):
            found = clock.measure_offset(lambda: self.ask(m.Tick(), m.Tock).there_ns)
            self.offset_ns = found.ns

    def silent_s(self) -> float:
        """Return the longest that was not heard of it since the last call, seconds."""
        now = time.monotonic()
        gap, self._gap_s = max(self._gap_s, now - self._heard), 0.0
        self._heard = now
        return gap

    def pin(self, role: str, pids: Sequence[int], cores: Sequence[int]) -> None:
        """Put processes on the cores that the file of hosts gives their role there."""
        if own := self.host.cores.get(CORES_OF[role], ()):
            self.ask(m.Pin(tuple(pids), own), m.State)

    def stoppable(self, roots: Sequence[int]) -> CanStop:
        """Return processes there with their children, to be stopped and resumed."""
        return StoppableAway(self, tuple(roots))

    def round_trips(
        self, services: Services, reach: Reach, *, with_broker: bool, through: bool
    ) -> Mapping[str, float]:
        """Return the round trips from there, milliseconds."""
        broker = services.broker if with_broker else None
        return self.ask(m.RoundTrip(services.url, broker), m.Took).ms

    def _receive(self) -> dict[str, Any]:
        program = [self.host.python, "-c", RECEIVE]
        done = self._run(command(self.host, program, None, self.job), packed())
        with self.log.open("ab") as log:
            log.write(done.stderr)
        with contextlib.suppress(msgspec.DecodeError, IndexError):
            found: dict[str, Any] = msgspec.json.decode(done.stdout.splitlines()[-1], type=dict)
            return found
        why = _last_line(done)
        if done.returncode == NOT_FOUND:
            why = f'there is no {self.host.python}; name the interpreter with python = "…" ({why})'
        raise ServiceError(f"host {self.name} cannot be reached: {why}")

    def _see_that_it_fits(self, received: Mapping[str, Any]) -> None:
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        if received["python"] != here:
            self._remove()
            raise UsageError(
                f"host {self.name} has Python {received['python']} as {self.host.python}, this"
                f' harness {here}: what is compared would be another; name one with python = "…"'
            )
        if received["missing"]:
            self._remove()
            raise UsageError(
                f"host {self.name}: {self.host.python} lacks {', '.join(received['missing'])};"
                " install requirements.lock there"
            )

    def _remove(self) -> None:
        argv = command(self.host, ["rm", "-rf", self.folder], None, self.job)
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(argv, capture_output=True, check=False, timeout=END_S)

    def _kubectl(self, *arguments: str, given: str = "") -> str:
        done = self._run([*kubectl(self.host), *arguments], given.encode())
        if done.returncode:
            raise ServiceError(f"host {self.name}: kubectl {arguments[0]}: {_last_line(done)}")
        return done.stdout.decode()

    def _run(self, argv: Sequence[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                argv, input=given, capture_output=True, check=False, timeout=REACH_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            why = getattr(error, "strerror", None) or f"no answer within {REACH_S:g} s"
            raise ServiceError(f"host {self.name} cannot be reached ({argv[0]}): {why}") from None

    def _read(self) -> None:
        assert self._agent is not None
        assert self._agent.stdout is not None
        for line in self._agent.stdout:
            now = time.monotonic()
            self._gap_s, self._heard = max(self._gap_s, now - self._heard), now
            with contextlib.suppress(msgspec.DecodeError):
                answer: m.Answer = msgspec.json.decode(line, type=m.Answer)
                if not isinstance(answer, m.Alive):
                    self._answers.put(answer)
        self._answers.put(None)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1][:300]} (log: {self.log})" if lines else f"log: {self.log}"


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return said[-1][:300] if said else f"exit code {done.returncode}"


class StoppableAway:
    """Processes on a host, with their children.

    Parameters
    ----------
    host, roots : where, and their process ids there.

    Attributes
    ----------
    refusal : why one runs on; empty: none does.
    """

    def __init__(self, host: ReachedHost, roots: tuple[int, ...]) -> None:
        self.host = host
        self.roots = roots
        self.refusal = ""

    def stop(self) -> None:
        """Stop all."""
        self._do(m.Halt(self.roots))

    def resume(self) -> None:
        """Let all go on."""
        self._do(m.Resume(self.roots))

    def _do(self, order: m.Halt | m.Resume) -> None:
        try:
            self.refusal = self.host.ask(order, m.State).refusal
        except ServiceError as error:
            # the host's loss is seen by who watches it
            self.refusal = str(error)
