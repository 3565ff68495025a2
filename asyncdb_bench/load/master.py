"""The load from several processes as one: Locust's master, ``python -m asyncdb_bench.load.master``.

To the harness it is a load like the one of a single process: the same orders, the same answers.
It shares a step's arrivals out among its workers, agrees with them on the moment to begin, and puts
their records together again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from flask import abort, request
from locust.env import Environment
from locust.runners import STATE_RUNNING

from asyncdb_bench.clock import measure_offset
from asyncdb_bench.errors import BenchError
from asyncdb_bench.load import set_messages as m
from asyncdb_bench.load.arrivals import connections_of, drawn, share_of
from asyncdb_bench.load.members import Member, Members
from asyncdb_bench.load.merging import Window, merged_reply, nothing, records_of, together
from asyncdb_bench.load.process import Orders, secure
from asyncdb_bench.load.recorder import save
from asyncdb_bench.load.worker import SetUser
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.records.messages import (
    Failed,
    Gather,
    Gathered,
    LoadConfig,
    LoadSetConfig,
    Offer,
    Ready,
    StepReply,
    decoded_config,
    decoded_order,
    is_order,
    say,
)
from asyncdb_bench.records.plan import LoadOrder

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


LOOK_S = 0.1
"""Between two looks where nothing comes: what has ended says nothing."""
PREPARE_S = 30.0
ANSWER_S = 1.0
LEAD_NS = 50_000_000
"""From the agreement to the first arrival."""
SILENT_S = 1.0
"""A worker that was not heard of for so long in a window may not have kept its schedule."""
GONE_S = 5.0
"""After so long it is not waited for any more."""
HANDOVER_S = 20.0
"""How long its records may take to come."""


class LoadMaster:
    """The master of a set.

    Parameters
    ----------
    config : where it listens, and what workers must know.
    """

    def __init__(self, config: LoadSetConfig) -> None:
        secure(config.token, master=True, on_refused=self._tell_of_stranger)
        self.environment = Environment(user_classes=[SetUser])
        self.runner = self.environment.create_master_runner(config.bind, config.port)
        self.runner.update_state(STATE_RUNNING)
        self.port = int(self.runner.server.port)
        self.members = Members(self.runner)
        if config.web_port >= 0:
            open_page(self.environment, config.web_port)
        self.config: LoadConfig | None = None
        self.mixes: dict[str, dict[str, float]] = {}
        self.windows = 0

    def _tell_of_stranger(self) -> None:
        self.members.refuse(f"a load worker was refused: {m.STRANGER}")

    def gathered(self, ended: Sequence[int]) -> Gathered:
        """Return who is there, without children that have ended."""
        self.members.forget_children(ended)
        return Gathered(
            tuple(f"{each.name} on {each.host}" for each in self.members.alive()),
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
        everyone = self.members.alive()
        self._configure(everyone)
        problems = [each.configured for each in everyone if each.configured]
        return problems[0] if problems else ""

    def _configure(self, members: Sequence[Member]) -> None:
        assert self.config is not None
        for member in members:
            member.configured = None
            member.send(m.Configure(self.config))
        self._wait_until(members, lambda each: each.configured is not None, PREPARE_S)

    def offer(self, order: Offer) -> StepReply:
        """Have a step offered by all who are there, and return what came of it."""
        # who has come since the last window takes part from now on
        self._configure([each for each in self.members.alive() if each.configured is None])
        everyone = [each for each in self.members.alive() if each.configured == ""]
        if not everyone:
            return nothing("no load worker is there")
        step, self.windows = order.step, self.windows + 1
        if step.scenario not in self.mixes:
            return nothing(f"the load was not started with {step.scenario!r}")
        self._prepare(everyone, step)
        self._wait_until(everyone, lambda each: each.window.prepared, PREPARE_S)
        if late := [each for each in everyone if not each.window.prepared]:
            return nothing(*(f"{each} did not get ready" for each in late))
        started_ns = self._go(everyone, step.lead_s + step.window_s)
        ends_s = started_ns / 1e9 + step.lead_s + step.window_s
        lost = self._wait_for_records(everyone, ends_s + step.drain_s)
        reply = merged_reply(everyone, started_ns, lost)
        if order.file:
            parts = [records_of(each.window, started_ns) for each in everyone]
            save(Path(order.file), *together(parts))
        for each in everyone:
            each.window = Window(-1)
        return reply

    def _prepare(self, everyone: Sequence[Member], step: LoadOrder) -> None:
        count = len(everyone)
        plan = None if step.connections else drawn(step, self.mixes[step.scenario])
        for number, member in enumerate(everyone):
            own = share_of(plan, number, count, step.seed) if plan is not None else None
            member.window = Window(self.windows, own, connections_of(step, number, count))
            member.send(m.Prepare(window=self.windows, order=step, worker=number, workers=count))

    def _go(self, everyone: Sequence[Member], seconds: float) -> int:
        """Measure the clocks, agree on a moment, and return it on this process's clock."""
        gevent.joinall([gevent.spawn(_measure_clock, each) for each in everyone])
        slowest_ns = max(2 * each.offset.error_ns for each in everyone)
        started_ns = time.monotonic_ns() + LEAD_NS + 2 * slowest_ns
        for member in everyone:
            member.window.heard = time.monotonic()
            member.window.ends = started_ns / 1e9 + seconds
            member.send(m.Go(started_ns + member.offset.ns))
        return started_ns

    def _wait_for_records(self, everyone: Sequence[Member], drained_s: float) -> list[str]:
        """Wait until all records have come; return what befell whom."""

        def is_over(member: Member) -> bool:
            now = time.monotonic()
            patience_s = GONE_S if now < drained_s else HANDOVER_S
            return member.window.done is not None or now - member.window.heard > patience_s

        self._wait_until(everyone, is_over, drained_s - time.monotonic() + 10 * HANDOVER_S)
        lost = []
        for each in everyone:
            if each.window.done is None:
                quiet_s = time.monotonic() - each.window.heard
                lost.append(f"{each} was not heard of for {quiet_s:.1f} s")
                self.members.all.pop(each.client, None)
            elif each.window.gap_s > SILENT_S:
                lost.append(f"the way to {each} was cut for {each.window.gap_s:.1f} s")
        return lost

    def _wait_until(
        self, members: Sequence[Member], is_done: Callable[[Member], bool], timeout_s: float
    ) -> None:
        """Wait until something holds of all members that are not gone."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            alive = {each.client for each in self.members.alive()}
            if all(is_done(each) or each.client not in alive for each in members):
                return
            self.members.news.clear()
            self.members.news.wait(min(left_s, LOOK_S))

    def end(self) -> None:
        """Send all workers home."""
        with contextlib.suppress(Exception):
            self.runner.quit()


def _measure_clock(member: Member) -> None:
    # who does not answer keeps what was measured before
    with contextlib.suppress(gevent.Timeout):
        member.offset = measure_offset(partial(member.read_clock, ANSWER_S))


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
            say(master.gathered(order.ended))
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
