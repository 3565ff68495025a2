"""The Locust user: one scheduler with a greenlet for each arrival, or a closed loop.

Locust's own pacing gives each user a rate of its own; users that start together fire together,
and a slow answer delays the user's next request. Here the arrivals of the open model are drawn
beforehand, and each is served when it is due, whatever became of those before. The closed loop is
for the pace alone: so many connections, each of which asks again as soon as it has its answer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gevent
import msgspec
import numpy as np
from gevent.pool import Pool
from locust import User

from asyncdb_bench import clock
from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.route import decoded
from asyncdb_bench.contract.scenario import Scenario
from asyncdb_bench.contract.session import Users
from asyncdb_bench.load.alarm import Alarm
from asyncdb_bench.load.arrivals import evenly
from asyncdb_bench.load.connection import Connection
from asyncdb_bench.load.probe import Probe
from asyncdb_bench.load.recorder import Recorder
from asyncdb_bench.load.step_plan import StepPlan, drawn
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.records.step import Outcome

LEAD_NS = 50_000_000
"""From the end of the preparation to the first arrival."""
TIMEOUT_STATUS = 504
RING = 1024
"""Requests that a closed loop draws, and repeats in the same order."""
MOST_RPS = 50_000
"""Answers a second for which a closed loop makes room: several times what it can ask for."""
PAUSE_S = 0.01
"""How long a connection of the closed loop waits after a failure: a refusal costs no time."""

Address = tuple[str, int]
HEALTH = "/healthz"

Asked = tuple[Operation, dict[str, Any], bytes]
Prepared = list[Asked | None]
"""What is asked at each arrival; None: what a user does next, see :class:`Users`."""


def at_once() -> int:
    """Return when a step begins that waits for no one, CLOCK_MONOTONIC."""
    return time.monotonic_ns() + LEAD_NS


@dataclass(frozen=True, slots=True)
class Part:
    """What of a step a load process offers.

    Parameters
    ----------
    plan : its arrivals; None: all of the step's.
    worker, workers : its number, and how many there are.
    begin : called when all is prepared; returns when the step begins, CLOCK_MONOTONIC.
    """

    plan: StepPlan | None = None
    worker: int = 0
    workers: int = 1
    begin: Callable[[], int] = at_once


WHOLE = Part()


class OpenModelUser(User):
    """Serves the steps that the harness orders; the only user of its process."""

    abstract = True
    scenario: Scenario[Any]
    operations: Mapping[str, Operation]
    address: tuple[str, int]
    timeout_s: float
    outstanding: int
    part = WHOLE

    def on_start(self) -> None:
        """Make room for the connections, which are opened when they are first needed."""
        self.all_idle: dict[Address, list[Connection]] = defaultdict(list)
        self.opened = 0
        self.all_users: dict[Address, Users] = {}
        self.probes: dict[tuple[Address, str], Probe] = {}
        self._turn_to(self.address, HEALTH)

    def _turn_to(self, address: Address, health: str) -> None:
        """Ask another application; connections to the others stay open.

        Parameters
        ----------
        address : host and port.
        health : path that the probe asks for.
        """
        self.address = address
        self.idle = self.all_idle[address]
        if self.scenario.sessions() and address not in self.all_users:
            # all applications have users who do the same
            rng = np.random.default_rng((5, self.part.worker) if self.part.worker else 5)
            count = max(1, self.scenario.users // self.part.workers)
            self.all_users[address] = Users(self.scenario.sessions(), count, rng)
        self.users = self.all_users.get(address)
        if (address, health) not in self.probes:
            self.probes[address, health] = Probe(address, self.timeout_s, health)
        self.probe = self.probes[address, health]

    def serve(self, order: LoadOrder, part: Part = WHOLE) -> tuple[Recorder, int, Any]:
        """Serve one step.

        Parameters
        ----------
        order : what to offer.
        part : what of it this process offers.

        Returns
        -------
        The record, the step's start on CLOCK_MONOTONIC in nanoseconds, and what the probes found
        (see :meth:`Probe.end`). The window begins `lead_s` after the start.
        """
        self.part = part
        if order.port:
            self._turn_to((order.host or self.address[0], order.port), order.health)
        if order.connections or (part.workers > 1 and part.plan is None):
            return self._serve_closed(order)
        seconds = order.lead_s + order.window_s
        plan = part.plan or drawn(order, self.scenario.mix())
        intended = plan.intended_ns
        self.record = Recorder(intended, plan.chosen, same_clock=_same_clock(order))
        prepared = self._prepare(plan.names, plan.chosen, order.seed)
        pool = Pool(max(1, self.outstanding // part.workers))
        alarm = Alarm()
        started_ns = part.begin()
        due = (intended + started_ns).tolist()
        self.probe.start(started_ns, seconds if order.probe and order.health else 0)
        try:
            for place, due_ns in enumerate(due):
                alarm.wait_until(due_ns)
                if pool.full():
                    self.record.fail(
                        place, Outcome.SKIPPED, "as many requests under way as permitted"
                    )
                else:
                    pool.spawn(self._serve_one, place, due_ns, prepared[place])
            alarm.wait_until(started_ns + int(seconds * 1e9))
            pool.join(timeout=order.drain_s)
        finally:
            alarm.close()
        pool.kill(block=True, timeout=2)
        return self.record, started_ns, self.probe.end()

    def _serve_closed(self, order: LoadOrder) -> tuple[Recorder, int, Any]:
        """Serve a closed loop: what a request intended is when its connection was free."""
        seconds = order.lead_s + order.window_s
        names, chosen = evenly(self.scenario.mix(), RING, (*order.seed, 1))
        ring = self._prepare(names, chosen, order.seed)
        room = int(MOST_RPS * seconds) + order.connections
        record = self.record = Recorder(
            np.zeros(room, np.int64),
            np.resize(chosen, room).astype(np.int64),
            same_clock=_same_clock(order),
        )
        started_ns = self.part.begin()
        until_ns = started_ns + int(seconds * 1e9)
        self.probe.start(started_ns, seconds if order.probe and order.health else 0)
        alarm = Alarm()
        alarm.wait_until(started_ns)
        alarm.close()
        pool = Pool(max(1, order.connections))
        for _ in range(order.connections):
            pool.spawn(self._ask_again, ring, room, started_ns, until_ns)
        pool.join(timeout=seconds + order.drain_s)
        pool.kill(block=True, timeout=2)
        record.keep(record.attempted)
        return record, started_ns, self.probe.end()

    def _ask_again(self, ring: Prepared, room: int, started_ns: int, until_ns: int) -> None:
        record = self.record
        while (now_ns := time.monotonic_ns()) < until_ns and record.attempted < room:
            place = record.attempted
            record.intended_ns[place] = now_ns - started_ns
            self._serve_one(place, now_ns, ring[place % RING])
            if record.outcome[place] != Outcome.OK:
                gevent.sleep(PAUSE_S)

    def _prepare(
        self, names: list[str], chosen: np.ndarray[Any, Any], seed: tuple[int, ...]
    ) -> Prepared:
        self.names = names
        if self.users is not None:
            return [None] * len(chosen)
        rng = np.random.default_rng((*seed, 2))
        return [self._asked(names[i], self.scenario.params(names[i], rng)) for i in chosen.tolist()]

    def _asked(self, name: str, params: dict[str, Any]) -> Asked:
        operation = self.operations[name]
        return operation, params, operation.route.request(*self.address, params)

    def _serve_one(self, place: int, due_ns: int, asked: Asked | None) -> None:
        if asked is not None:
            self._ask(place, due_ns, asked)
            return
        users, record = self.users, self.record
        assert users is not None
        user = users.take()
        record.operations[place] = self.names.index(user.operation)
        right, answer = False, None
        try:
            answer = self._ask(place, due_ns, self._asked(user.operation, user.params))
            right = record.outcome[place] == Outcome.OK
        finally:
            users.give_back(user, answer, right=right)

    def _ask(self, place: int, due_ns: int, asked: Asked) -> Any:
        """Ask, note what came, and return the answer where it is right."""
        operation, params, request = asked
        record = self.record
        record.attempted += 1
        connection, answer = None, None
        try:
            connection = self.idle.pop() if self.idle else self._connect()
            status, body, timing = connection.exchange(request, operation.route.method)
            record.done_ns[place] = connection.done_ns
            record.status[place] = status
            if timing:
                record.told[place] = timing
            answer = self._judge(place, operation, params, status, body, connection.content_type)
        except TimeoutError:
            record.done_ns[place] = time.monotonic_ns()
            record.fail(place, Outcome.TIMEOUT, f"no answer within {self.timeout_s:g} s")
        except OSError as error:
            record.done_ns[place] = time.monotonic_ns()
            record.fail(place, Outcome.ERROR, f"{type(error).__name__}: {error.strerror or error}")
        finally:
            if connection is not None:
                record.sent_ns[place] = connection.sent_ns
                record.bytes_sent += len(request)
                record.bytes_received += connection.received
            self._give_back(connection)
        self._tell_locust(operation, record, place, due_ns)
        return answer

    def _judge(
        self,
        place: int,
        operation: Operation,
        params: dict[str, Any],
        status: int,
        body: bytes,
        content_type: str,
    ) -> Any:
        if not 200 <= status < 300:
            outcome = Outcome.TIMEOUT if status == TIMEOUT_STATUS else Outcome.ERROR
            self.record.fail(place, outcome, f"{status}: {_reason(body)}")
            return None
        try:
            answer = decoded(body, content_type)
            right, why = operation.check(params, answer), ""
        except Exception as error:
            # a check that raises refuses the answer, too: what it looked for was not there
            right, why = False, f"{type(error).__name__}: {error} in {content_type or body[:20]!r}"
        if not right:
            self.record.wrong(place, operation.name, why)
            return None
        self.record.right(place, operation, params)
        return answer

    def _connect(self) -> Connection:
        self.opened += 1
        return Connection(*self.address, self.timeout_s)

    def _give_back(self, connection: Connection | None) -> None:
        if connection is None:
            return
        if connection.reusable:
            self.idle.append(connection)
        else:
            connection.close()

    def _tell_locust(self, operation: Operation, record: Recorder, place: int, due_ns: int) -> None:
        failed = record.outcome[place] != Outcome.OK
        self.environment.events.request.fire(
            request_type=operation.route.method,
            name=operation.name,
            response_time=(record.done_ns[place] - due_ns) / 1e6,
            response_length=0,
            exception=RuntimeError("no right answer") if failed else None,
            context={},
        )


def _same_clock(order: LoadOrder) -> bool:
    return not order.clock or clock.same(order.clock, clock.identity())


def _reason(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body[:100].decode(errors="replace")
