"""The load from several processes as one: Locust's master, ``python -m asyncdb_bench.load.master``.

To the harness it is a load like the one of a single process: the same orders, the same answers.
It draws the arrivals of a step once and shares them out among its workers, agrees with them on the
moment to begin, and puts their records together again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from flask import abort, request
from locust.env import Environment
from locust.runners import STATE_RUNNING

from asyncdb_bench.clock import offset
from asyncdb_bench.errors import BenchError
from asyncdb_bench.load import set_messages as say_to
from asyncdb_bench.load.arrivals import StepPlan, connections_of, drawn, owners
from asyncdb_bench.load.members import Member, Members, Window
from asyncdb_bench.load.merging import merged_reply, nothing, records_of
from asyncdb_bench.load.process import Orders
from asyncdb_bench.load.recorder import save
from asyncdb_bench.load.worker import SetUser
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.records.messages import (
    Failed,
    Gather,
    Gathered,
    LoadConfig,
    LoadSetConfig,
    LoadWorkerConfig,
    Offer,
    Ready,
    StepReply,
    decoded_config,
    decoded_order,
    encoded,
    is_order,
    say,
)
from asyncdb_bench.records.plan import LoadOrder


class OwnWorkers:
    """The workers that the master starts itself, as its children.

    Parameters
    ----------
    config : the first line of each one's standard input.
    count : how many.
    cores : one for each; empty: where this process runs.
    """

    def __init__(self, config: bytes, count: int, cores: tuple[int, ...]) -> None:
        self.config = config
        self.cores = cores
        self.processes: list[Any] = [self._started(number) for number in range(count)]

    def again(self) -> None:
        """Start those again that have ended."""
        for number, process in enumerate(self.processes):
            if process.poll() is not None:
                self.processes[number] = self._started(number)

    def ended(self) -> dict[int, int]:
        """Return the exit codes of those that have ended, by process id."""
        codes = {each.pid: each.poll() for each in self.processes}
        return {pid: code for pid, code in codes.items() if code is not None}

    def end(self) -> None:
        """End all: they do when their standard input ends."""
        for process in self.processes:
            if process.stdin is not None:
                process.stdin.close()

    def _started(self, number: int) -> Any:
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncdb_bench.load.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        if self.cores:
            os.sched_setaffinity(process.pid, {self.cores[number % len(self.cores)]})
        assert process.stdin is not None
        process.stdin.write(self.config)
        process.stdin.flush()
        return process


LOOPBACK = "127.0.0.1"


def open_page(environment: Environment, port: int) -> None:
    """Serve Locust's page: the workers, what they ask for, and how fast.

    What would start, stop or change the load is refused, and so is a page of another name, which
    another site could have a browser ask for.

    Parameters
    ----------
    environment : the master's.
    port : where.
    """
    page = environment.create_web_ui(LOOPBACK, port, delayed_start=True)
    names = {f"{LOOPBACK}:{port}", f"localhost:{port}"}

    def look_only() -> Any:
        if request.host not in names or request.method not in ("GET", "HEAD"):
            abort(403)

    assert page.app is not None
    page.app.before_request(look_only)
    page.start()  # type: ignore[no-untyped-call]


ANYWHERE = ("0.0.0.0", "*", "::")  # noqa: S104 - compared with
LOOK_S = 0.1
"""Between two looks where nothing comes: what has ended says nothing."""
PREPARE_S = 30.0
HERE = "this machine"
"""What the master's own machine is called: its name stands in no result."""
QUESTIONS = 6
ANSWER_S = 1.0
LEAD_NS = 50_000_000
"""From the agreement to the first arrival."""
SILENT_S = 1.0
"""A worker that was not heard of for so long in a window may not have kept its schedule."""
GONE_S = 5.0
"""After so long it is not waited for any more."""
HANDOVER_S = 20.0
"""Without another batch for so long, the rest of a worker's records is given up."""


class LoadMaster:
    """The master of a set.

    Parameters
    ----------
    config : where it listens and whom it starts.
    """

    def __init__(self, config: LoadSetConfig) -> None:
        self.environment = Environment(user_classes=[SetUser])
        self.runner = self.environment.create_master_runner(config.bind, config.port)
        self.runner.update_state(STATE_RUNNING)
        self.port = int(self.runner.server.port)
        here = say_to.own_identity(HERE, os.getpid())
        self.members = Members(self.runner, config.token, here)
        if config.web_port >= 0:
            open_page(self.environment, config.web_port)
        near = "127.0.0.1" if config.bind in ANYWHERE else config.bind
        own = LoadWorkerConfig(host=near, port=self.port, token=config.token, place=HERE)
        self.own = OwnWorkers(encoded(own), config.processes, config.cores)
        self.config: LoadConfig | None = None
        self.mixes: dict[str, dict[str, float]] = {}
        self.windows = 0

    def gathered(self) -> Gathered:
        """Return who is there; own workers that have ended are started again."""
        self.own.again()
        return Gathered(
            tuple(f"{each.name} on {each.identity.host}" for each in self.members.alive()),
            tuple(self.members.refused),
        )

    def configure(self, config: LoadConfig) -> str:
        """Have all ask a scenario's operations; return why not, or nothing."""
        self.config = config
        first = dict(make_scenario(config.scenario, config.scenario_knobs).mix())
        # an order that names no scenario means the first
        self.mixes = {"": first, config.label: first} | {
            each.label: dict(make_scenario(each.scenario, each.knobs).mix())
            for each in config.further
        }
        self.members.forget_lost()
        self.own.again()
        everyone = self.members.alive()
        for member in everyone:
            self._configure(member)
        self._until_all(everyone, _is_configured, PREPARE_S)
        problems = [each.configured for each in everyone if each.configured]
        return problems[0] if problems else ""

    def _configure(self, member: Member) -> None:
        assert self.config is not None
        member.configured = None
        self.members.send(member, say_to.Configure(self.config))

    def offer(self, order: Offer) -> StepReply:
        """Have a step offered by all who are there, and return what came of it."""
        self._take_in_new()
        everyone = [each for each in self.members.alive() if each.configured == ""]
        if not everyone:
            return nothing("no load worker is there")
        step, self.windows = order.step, self.windows + 1
        if step.scenario not in self.mixes:
            return nothing(f"the load was not started with {step.scenario!r}")
        plan = None if step.connections else drawn(step, self.mixes[step.scenario])
        self._prepare(everyone, step, plan)
        self._until_all(everyone, lambda each: each.window.prepared, PREPARE_S)
        if late := [each for each in everyone if not each.window.prepared]:
            return nothing(*(f"{_called(each)} did not get ready" for each in late))
        started_ns = self._go(everyone, step.lead_s + step.window_s)
        ends_s = started_ns / 1e9 + step.lead_s + step.window_s
        lost = self._wait_for(everyone, ends_s + step.drain_s)
        reply = merged_reply(everyone, plan, started_ns, lost)
        if order.file:
            save(Path(order.file), *records_of(everyone, plan, started_ns))
        for each in everyone:
            each.window = Window(-1)
        return reply

    def _take_in_new(self) -> None:
        """Take in workers that have come since the last window."""
        new = [each for each in self.members.alive() if each.configured is None]
        for member in new:
            self._configure(member)
        self._until_all(new, _is_configured, PREPARE_S)

    def _prepare(self, everyone: Sequence[Member], step: LoadOrder, plan: StepPlan | None) -> None:
        count = len(everyone)
        whose = owners(len(plan.intended_ns), count, step.seed) if plan is not None else None
        for number, member in enumerate(everyone):
            asked = say_to.Prepare(window=self.windows, order=step, worker=number, workers=count)
            member.window = Window(self.windows, connections_of(step, number, count))
            if plan is not None:
                places = np.flatnonzero(whose == number)
                member.window.arrivals = len(places)
                asked = msgspec.structs.replace(
                    asked,
                    names=plan.names,
                    intended=plan.intended_ns[places].tobytes(),
                    chosen=plan.chosen[places].astype(np.int64).tobytes(),
                    places=places.tobytes(),
                )
            self.members.send(member, asked)

    def _go(self, everyone: Sequence[Member], seconds: float) -> int:
        """Measure the clocks, agree on a moment, and return it on this process's clock."""
        for member in everyone:
            member.pongs.clear()
        for number in range(1, QUESTIONS + 1):
            for member in everyone:
                self.members.send(member, say_to.Ping(time.monotonic_ns()))
            self._until_all(everyone, partial(_has_answered, number), ANSWER_S)
        slowest_ns = 0
        for member in everyone:
            if member.pongs:
                member.offset = offset(member.pongs)
                slowest_ns = max(slowest_ns, 2 * member.offset.error_ns)
        started_ns = time.monotonic_ns() + LEAD_NS + 2 * slowest_ns
        for member in everyone:
            member.window.heard = time.monotonic()
            member.window.ends = started_ns / 1e9 + seconds
            there_ns = started_ns + member.offset.ns
            self.members.send(member, say_to.Go(self.windows, there_ns))
        return started_ns

    def _wait_for(self, everyone: Sequence[Member], drained_s: float) -> dict[str, str]:
        """Wait until all records have come; return what befell whom."""
        lost: dict[str, str] = {}

        def over() -> bool:
            now = time.monotonic()
            alive = {each.client for each in self.members.alive()}
            ended = self.own.ended()
            for each in everyone:
                window, pid = each.window, each.identity.pid
                if window.complete or each.client in lost:
                    continue
                quiet_s = now - window.heard
                local = each.identity.host == HERE
                if local and pid in ended:
                    lost[each.client] = f"{_called(each)} ended (exit code {ended[pid]})"
                elif each.client not in alive or quiet_s > GONE_S:
                    lost[each.client] = f"{_called(each)} was not heard of for {quiet_s:.1f} s"
                elif now > drained_s + HANDOVER_S and quiet_s > SILENT_S:
                    lost[each.client] = f"{_called(each)} did not hand its records over"
            return all(each.window.complete or each.client in lost for each in everyone)

        self._until(over, drained_s - time.monotonic() + 10 * HANDOVER_S)
        for each in everyone:
            window = each.window
            if each.client in lost or not window.complete:
                lost.setdefault(each.client, f"{_called(each)} did not hand its records over")
                self.members.all.pop(each.client, None)
            elif window.gap_s > SILENT_S:
                lost[each.client] = f"the way to {_called(each)} was cut for {window.gap_s:.1f} s"
        return lost

    def _until_all(
        self, members: Sequence[Member], done: Callable[[Member], bool], timeout_s: float
    ) -> None:
        """Wait until something holds of all members that are not gone."""

        def over() -> bool:
            alive = {each.client for each in self.members.alive()}
            return all(done(each) or each.client not in alive for each in members)

        self._until(over, timeout_s)

    def _until(self, done: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not done() and (left_s := deadline - time.monotonic()) > 0:
            self.members.news.clear()
            self.members.news.wait(min(left_s, LOOK_S))

    def end(self) -> None:
        """Send all workers home."""
        with contextlib.suppress(Exception):
            self.runner.quit()
        self.own.end()


def _has_answered(times: int, member: Member) -> bool:
    return len(member.pongs) >= times


def _is_configured(member: Member) -> bool:
    return member.configured is not None


def _called(member: Member) -> str:
    return f"load worker {member.name} on {member.identity.host}"


def main() -> int:
    """Serve orders until told to stop."""
    orders = Orders()
    try:
        config = decoded_config(orders.next(), LoadSetConfig)
        _see_that_free(config)
    except BenchError as error:
        say(Failed(str(error)))
        return error.exit_code
    except OSError as error:
        say(
            Failed(
                f"cannot listen for load workers on {config.bind}:{config.port}:"
                f" {error.strerror}; choose another --load-master HOST:PORT"
            )
        )
        return 3
    master = LoadMaster(config)
    orders.ended = lambda: _leave(master)  # type: ignore[method-assign]
    say(Ready(pid=os.getpid(), port=master.port))
    while True:
        line = orders.next()
        if not is_order(line):
            said = master.configure(decoded_config(line, LoadConfig))
            say(Failed(said) if said else Ready(pid=os.getpid(), port=master.port))
            continue
        order = decoded_order(line)
        if isinstance(order, Offer):
            try:
                say(master.offer(order))
            except OSError as error:
                say(Failed(f"cannot write {order.file}: {error.strerror or error}"))
        elif isinstance(order, Gather):
            say(master.gathered())
        else:
            break
    master.end()
    return 0


def _leave(master: LoadMaster) -> None:
    master.end()
    os._exit(0)


def _see_that_free(config: LoadSetConfig) -> None:
    """See that the port can be listened on: Locust would end the process.

    Raises
    ------
    OSError : it cannot.
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(("" if config.bind == "*" else config.bind, config.port))


if __name__ == "__main__":
    raise SystemExit(main())
