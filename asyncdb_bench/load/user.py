"""The Locust user of the open model: one scheduler, a greenlet for each arrival.

Locust's own pacing gives each user a rate of its own; users that start together fire together,
and a slow answer delays the user's next request (a closed loop). Here the arrivals are drawn
beforehand, and each is served when it is due, whatever became of those before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from gevent.pool import Pool
from locust import User

from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.scenario import Scenario
from asyncdb_bench.load.alarm import Alarm
from asyncdb_bench.load.arrivals import choose, shaped
from asyncdb_bench.load.connection import Connection, request_bytes
from asyncdb_bench.load.probe import Probe
from asyncdb_bench.load.recorder import Recorder
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.records.step import Outcome

LEAD_NS = 50_000_000
TIMEOUT_STATUS = 504


class OpenModelUser(User):
    """Serves the steps that the harness orders; the only user of its process."""

    abstract = True
    scenario: Scenario[Any]
    operations: Mapping[str, Operation]
    address: tuple[str, int]
    timeout_s: float
    outstanding: int

    def on_start(self) -> None:
        """Make room for the connections, which are opened when they are first needed."""
        self.idle: list[Connection] = []
        self.opened = 0
        self.probe = Probe(self.address, self.timeout_s)

    def serve(self, order: LoadOrder) -> tuple[Recorder, int, Any]:
        """Serve one step.

        Returns
        -------
        The record, the step's start on CLOCK_MONOTONIC in nanoseconds, and what the probes found
        (see :meth:`Probe.end`).
        """
        intended = shaped(order.rate_rps, order.window_s, order.shape, (*order.seed, 0))
        names, chosen = choose(self.scenario.mix(), len(intended), (*order.seed, 1))
        self.record = Recorder(intended, chosen)
        prepared = self._prepare(names, chosen, order.seed)
        pool = Pool(self.outstanding)
        alarm = Alarm()
        started_ns = time.monotonic_ns() + LEAD_NS
        due = (intended + started_ns).tolist()
        self.probe.start(started_ns, order.window_s if order.probe else 0)
        try:
            for place, due_ns in enumerate(due):
                alarm.wait_until(due_ns)
                if pool.full():
                    self.record.fail(
                        place, Outcome.SKIPPED, "as many requests under way as permitted"
                    )
                else:
                    pool.spawn(self._serve_one, place, due_ns, *prepared[place])
            alarm.wait_until(started_ns + int(order.window_s * 1e9))
            pool.join(timeout=order.drain_s)
        finally:
            alarm.close()
        pool.kill(block=True, timeout=2)
        return self.record, started_ns, self.probe.end()

    def _prepare(
        self, names: list[str], chosen: np.ndarray[Any, Any], seed: tuple[int, ...]
    ) -> list[tuple[Operation, dict[str, Any], bytes]]:
        rng = np.random.default_rng((*seed, 2))
        prepared = []
        for index in chosen.tolist():
            params = self.scenario.params(names[index], rng)
            request = request_bytes(*self.address, names[index], msgspec.json.encode(params))
            prepared.append((self.operations[names[index]], params, request))
        return prepared

    def _serve_one(
        self, place: int, due_ns: int, operation: Operation, params: dict[str, Any], request: bytes
    ) -> None:
        record = self.record
        record.attempted += 1
        connection = None
        try:
            connection = self.idle.pop() if self.idle else self._connect()
            status, body, timing = connection.exchange(request)
            record.done_ns[place] = connection.done_ns
            record.status[place] = status
            if timing:
                record.told[place] = timing
            self._judge(place, operation, params, status, body)
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
        self._tell_locust(operation.name, record, place, due_ns)

    def _judge(
        self, place: int, operation: Operation, params: dict[str, Any], status: int, body: bytes
    ) -> None:
        if status == 200:
            if operation.check(params, msgspec.json.decode(body)):
                self.record.outcome[place] = Outcome.OK
                self.record.rows += operation.rows_of(params)
            else:
                self.record.wrong(place, operation.name)
            return
        outcome = Outcome.TIMEOUT if status == TIMEOUT_STATUS else Outcome.ERROR
        self.record.fail(place, outcome, f"{status}: {_reason(body)}")

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

    def _tell_locust(self, name: str, record: Recorder, place: int, due_ns: int) -> None:
        failed = record.outcome[place] != Outcome.OK
        self.environment.events.request.fire(
            request_type="POST",
            name=name,
            response_time=(record.done_ns[place] - due_ns) / 1e6,
            response_length=0,
            exception=RuntimeError("no right answer") if failed else None,
            context={},
        )


def _reason(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body[:100].decode(errors="replace")
