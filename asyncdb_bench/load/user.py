"""The Locust user: serves steps of an open model or a closed loop.

Locust's own pacing gives each user a rate of its own; users that start together fire together,
and a slow answer delays the user's next request. Here the arrivals of the open model are drawn
beforehand, and each is served when it is due, whatever became of those before. The closed loop is
for the pace alone: so many connections, each of which asks again as soon as it has its answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from locust import User
from numpy.typing import NDArray

from asyncdb_bench import clock
from asyncdb_bench.contract.scenario import Scenario, Users
from asyncdb_bench.errors import UsageError
from asyncdb_bench.load.arrivals import StepPlan, drawn, evenly
from asyncdb_bench.load.connection import Address
from asyncdb_bench.load.judging import Judge
from asyncdb_bench.load.loop import Kept, Loop, cpu_s
from asyncdb_bench.load.measured import ClosedLoop, OpenModel, Probe
from asyncdb_bench.load.recorder import Recorder
from asyncdb_bench.load.requests import Drawn, Maker, Requests, Ring, Steps
from asyncdb_bench.records.plan import LoadOrder

LEAD_NS = 3_000_000
"""From the end of the preparation to the first arrival: what is still to be done takes 0.3 ms, and
gevent's other greenlets have a turn meanwhile."""
RING = 1024
"""Requests that a closed loop draws, and repeats in the same order."""


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


class Model(Protocol):
    """How the load of a step arrives; `record` is what became of it."""

    record: Recorder

    def begin(self) -> None:
        """Begin a window, before all load processes agree on its start."""

    def ask_from(self, started_ns: int, until_ns: int) -> None:
        """Ask within the window, CLOCK_MONOTONIC."""

    def is_idle(self) -> bool:
        """Return whether all was asked and nothing is under way."""

    def end(self) -> None:
        """Wait no longer, and complete the record."""


class OpenModelUser(User):
    """Serves the steps that the harness orders; the only user of its process."""

    abstract = True
    scenario: Scenario[Any]
    scenarios: Mapping[str, Scenario[Any]]
    address: Address
    timeout_s: float
    outstanding: int
    shares_loop = False
    """Whether greenlets serve the load."""

    def on_start(self) -> None:
        """Make room for the connections, which are opened when they are first needed."""
        self.loop = Loop(shares=self.shares_loop)
        self.kept: dict[Address, Kept] = {}
        self.kept_of_probes: dict[Address, Kept] = {}
        self.users: dict[tuple[Address, Scenario[Any]], Users] = {}

    def on_stop(self) -> None:
        """Close all connections."""
        self.loop.close()

    @property
    def opened(self) -> int:
        """How many connections were opened so far, but those of probes."""
        return sum(each.opened for each in self.kept.values())

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

        Raises
        ------
        UsageError : it was not started with the order's scenario.
        """
        closed = order.connections > 0 or (part.workers > 1 and part.plan is None)
        model = self._closed_loop(order, part) if closed else self._open_model(order, part)
        probe = self._probe_of(order)
        self.loop.begin()
        model.begin()
        probe.begin()
        started_ns = part.begin()
        until_ns = started_ns + int((order.lead_s + order.window_s) * 1e9)
        model.ask_from(started_ns, until_ns)
        if order.probe and order.health:
            probe.ask_from(started_ns, until_ns)
        try:
            self._run(order, until_ns, model, probe)
        finally:
            probes = probe.end()
            model.end()
        return model.record, started_ns, probes

    def scenario_of(self, order: LoadOrder) -> Scenario[Any]:
        """Return what an order asks for.

        Raises
        ------
        UsageError : this user was not started with it.
        """
        if not order.scenario:
            return self.scenario
        try:
            return self.scenarios[order.scenario]
        except KeyError:
            raise UsageError(f"the load was not started with {order.scenario!r}") from None

    def address_of(self, order: LoadOrder) -> Address:
        """Return whom an order asks."""
        host, port = self.address
        return order.host or host, order.port or port

    def _open_model(self, order: LoadOrder, part: Part) -> Model:
        scenario = self.scenario_of(order)
        plan = part.plan or drawn(order, scenario.mix())
        record = Recorder(plan.intended_ns, plan.chosen, same_clock=same_clock(order))
        requests, users = self._requests(order, part, plan.names, plan.chosen)
        return OpenModel(
            *self._asks(order),
            record,
            requests,
            Judge(record, self.environment),
            users,
            limit=max(1, self.outstanding // part.workers),
        )

    def _closed_loop(self, order: LoadOrder, part: Part) -> Model:
        record = Recorder(same_clock=same_clock(order))
        names, chosen = evenly(self.scenario_of(order).mix(), RING, (*order.seed, 1))
        requests, users = self._requests(order, part, names, chosen)
        if users is None:
            requests = Ring([requests.next() for _ in range(RING)])
        return ClosedLoop(
            *self._asks(order),
            record,
            requests,
            Judge(record, self.environment),
            users,
            connections=order.connections,
        )

    def _requests(
        self, order: LoadOrder, part: Part, names: Sequence[str], chosen: NDArray[np.int64]
    ) -> tuple[Requests, Users | None]:
        """Return what is asked, and of sessions who asks."""
        scenario, address = self.scenario_of(order), self.address_of(order)
        maker = Maker(scenario.workload().operations, names, address, order.timeout_ms)
        if not scenario.sessions():
            return Drawn(scenario, maker, names, chosen, (*order.seed, 2)), None
        key = address, scenario
        if key not in self.users:
            # all applications have users who do the same
            rng = np.random.default_rng((5, part.worker) if part.worker else 5)
            count = max(1, scenario.users // part.workers)
            self.users[key] = Users(scenario.sessions(), count, rng)
        return Steps(self.users[key], maker), self.users[key]

    def _asks(self, order: LoadOrder) -> tuple[Loop, Kept, float]:
        address = self.address_of(order)
        if address not in self.kept:
            self.kept[address] = Kept(self.loop, address, self.timeout_s)
        return self.loop, self.kept[address], order.patience_s or self.timeout_s

    def _probe_of(self, order: LoadOrder) -> Probe:
        address = self.address_of(order)
        if address not in self.kept_of_probes:
            self.kept_of_probes[address] = Kept(self.loop, address, self.timeout_s)
        return Probe(self.loop, self.kept_of_probes[address], self.timeout_s, order.health)

    def _run(self, order: LoadOrder, until_ns: int, model: Model, probe: Probe) -> None:
        """Go on until the end, and until what is under way then is answered, or given up."""
        at_begin_s = cpu_s()

        def begin_window(_: int) -> None:
            nonlocal at_begin_s
            at_begin_s = cpu_s()

        self.loop.call_at(until_ns - int(order.window_s * 1e9), begin_window)
        self.loop.run(until_ns)
        model.record.cpu_s = cpu_s() - at_begin_s
        self.loop.run(
            until_ns + int(order.drain_s * 1e9), lambda: model.is_idle() and probe.is_idle()
        )


def same_clock(order: LoadOrder) -> bool:
    """Return whether the application that an order asks reads this process's clock."""
    return not order.clock or clock.same(order.clock, clock.identity())
