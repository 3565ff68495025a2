"""Clients that give up: after their patience each closes its connection, and is accounted for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asyncdb_bench.analysis.step.overload import Arrivals, span
from asyncdb_bench.contract.route import REQUEST_TIMEOUT
from asyncdb_bench.measure.launch import load_for
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import plan_scenario
from asyncdb_bench.processes.child import Child
from asyncdb_bench.records.messages import Offer, StepReply
from asyncdb_bench.records.plan import LoadOrder, Segment
from asyncdb_bench.records.step import Outcome
from tests.load.scripted import PATIENCE_S, Server, after, serving
from tests.waiting import eventually

pytestmark = pytest.mark.services
SHAPE = (Segment(0.5, 1), Segment(0.5, 4), Segment(0.5, 1))


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A load process that is told with each order whom to ask."""
    scenarios = [plan_scenario(each, {}) for each in parse_specs("read")]
    child = load_for(scenarios, PATIENCE_S, 500, tmp_path_factory.mktemp("load") / "load.log")
    try:
        yield child
    finally:
        child.stop(0)


def offered(
    load: Child, server: Server, file: Path, patience_s: float, timeout_ms: float = 0
) -> StepReply:
    order = LoadOrder(
        100, 1.5, PATIENCE_S, (1,), probe=False, port=server.port, shape=SHAPE,
        patience_s=patience_s, timeout_ms=timeout_ms,
    )  # fmt: skip
    return load.ask(Offer(order, str(file)), StepReply, 2 * PATIENCE_S)


def test_above_the_servers_delay_all_are_answered(load: Child, tmp_path: Path) -> None:
    with serving(after(0.05)) as server:
        reply = offered(load, server, tmp_path / "a.npz", PATIENCE_S, timeout_ms=300)
        assert reply.ledger.ok == reply.ledger.scheduled == 300
        heads = [request.partition(b"\r\n\r\n")[0] for _, request in server.came]
        assert all(f"\r\n{REQUEST_TIMEOUT}: 300".encode() in head for head in heads)


def test_below_it_all_give_up_and_the_server_sees_each_connection_closed(
    load: Child, tmp_path: Path
) -> None:
    file = tmp_path / "a.npz"
    descriptors = len(os.listdir(f"/proc/{load.pid}/fd"))  # noqa: PTH208 - of another process
    with serving(after(PATIENCE_S / 60)) as server:
        reply = offered(load, server, file, 0.2)
        assert (reply.ledger.timeout, reply.ledger.ok) == (300, 0)
        assert reply.ledger.adds_up
        assert reply.errors == {"no answer within 0.2 s": 300}
        assert eventually(lambda: len(server.gone) == server.connections == 300, PATIENCE_S)
        assert not any(REQUEST_TIMEOUT.encode() in request for _, request in server.came)
    # sockets of nobody are left, neither here nor there
    assert len(os.listdir(f"/proc/{load.pid}/fd")) <= descriptors  # noqa: PTH208
    found = Arrivals.read(file, reply.started_ns)
    assert (found.outcome == Outcome.TIMEOUT).all()
    assert int(found.waited_us.min()) >= 200_000 - 50
    surge = span(found, 500_000, 1_000_000)
    assert (surge.due, surge.left, surge.right) == (200, 200, 0)


def test_a_closed_loop_beside_it_has_no_patience(load: Child, tmp_path: Path) -> None:
    with serving(after(0.3)) as server:
        order = LoadOrder(0, 0.5, PATIENCE_S, (1,), probe=False, port=server.port, connections=4)
        reply = load.ask(Offer(order, str(tmp_path / "a.npz")), StepReply, 2 * PATIENCE_S)
        assert reply.ledger.ok == reply.ledger.scheduled > 0
    with np.load(tmp_path / "a.npz") as columns:
        assert (columns["done_ns"] - columns["sent_ns"]).min() >= 300_000_000
