"""The load as a process, against a server whose delays are known: never trust the client."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asyncdb_bench.analysis.statistics import percentiles
from asyncdb_bench.analysis.step.durations import Times
from asyncdb_bench.analysis.step.validity import Evidence, account_doubts, client_doubts
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.measure.launch import load_for
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import plan_scenario
from asyncdb_bench.processes.child import Child
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.messages import Offer, StepReply
from asyncdb_bench.records.plan import LoadOrder, Tolerance
from tests.load.scripted import PATIENCE_S, Part, Server, after, answer, read_answer, serving

pytestmark = pytest.mark.services
DELAY_S = 0.05
SCENARIOS = [plan_scenario(each, {}) for each in parse_specs("read,write,slow")]


@contextmanager
def started(folder: Path) -> Iterator[Child]:
    load = load_for(SCENARIOS, 2 * PATIENCE_S, 500, folder / "load.log")
    try:
        yield load
    finally:
        load.stop(0)


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """One load process, which is told with each order whom to ask."""
    with started(tmp_path_factory.mktemp("load")) as child:
        yield child


def order_to(server: Server, rate: float, window_s: float, **more: Any) -> LoadOrder:
    """Return an order that waits for all answers, without probes."""
    how: dict[str, Any] = {
        "drain_s": PATIENCE_S,
        "seed": (1,),
        "probe": False,
        "port": server.port,
    } | more
    return LoadOrder(rate, window_s, **how)


def offered(load: Child, order: LoadOrder, file: Path) -> tuple[StepReply, Times]:
    """Offer a step; see that its accounts agree."""
    reply = load.ask(Offer(order, str(file)), StepReply, order.drain_s + PATIENCE_S)
    evidence = evidence_of(reply, Times(file, reply.started_ns, order.window_s, order.drain_s))
    assert account_doubts(evidence, Tolerance()) == []
    closed = order.connections > 0
    return reply, Times(
        file,
        reply.started_ns,
        order.window_s,
        order.drain_s,
        lead_s=order.lead_s,
        closed=closed,
    )


def evidence_of(reply: StepReply, times: Times) -> Evidence:
    return Evidence(
        ledger=reply.ledger,
        latency=percentiles(times.latency_us),
        send_lag=percentiles(times.send_lag_us),
        client_busy=0.0,
        attempted=reply.attempted,
        counted=reply.locust_count,
        wrong_answers=reply.wrong_answers,
        budget=1,
        connections_peak=None,
        offered_rps=times.arrivals_rps,
        arrivals_rps=times.arrivals_rps,
    )


def test_a_known_delay_is_reported_as_it_is(load: Child, tmp_path: Path) -> None:
    intended = []
    for name in ("a.npz", "b.npz"):
        with serving(after(DELAY_S)) as server:
            order = order_to(server, 100, 1.0, seed=(7,), lead_s=0.5)
            reply, times = offered(load, order, tmp_path / name)
        assert reply.ledger.ok == reply.ledger.scheduled == len(server.stamps) == 150
        assert len(times.latency_us) == 100, "the window has its arrivals exactly, without the lead"
        assert times.start_us == reply.started_ns // 1000 + 500_000
        assert times.latency_us.min() >= 50_000
        with np.load(tmp_path / name) as columns:
            intended.append(columns["intended_ns"] - reply.started_ns)
            came, gone = np.sort(np.array(server.stamps), axis=0).T
            assert (np.sort(columns["sent_ns"]) <= came).all()
            assert (np.sort(columns["done_ns"]) >= gone).all()
            assert (columns["sent_ns"] >= columns["intended_ns"]).all()
    assert (intended[0] == intended[1]).all(), "equal seeds, equal arrivals"


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_a_closed_loop_and_wrk_count_what_the_server_served(load: Child, tmp_path: Path) -> None:
    with serving(after(DELAY_S)) as server:
        order = order_to(server, 0, 1.0, connections=8, lead_s=0.1)
        reply, times = offered(load, order, tmp_path / "step.npz")
        assert reply.ledger.ok == reply.ledger.scheduled == len(server.stamps)
        assert server.connections == 8
        # 8 at once, 50 ms each: never more (Little's law), but for those at the edges
        assert times.achieved_rps <= 8 / DELAY_S * 1.05
        assert times.latency_us.min() >= 50_000
        server.stamps.clear()
        said = subprocess.run(
            ["wrk", "-t1", "-c8", "-d1s", "--latency", f"http://127.0.0.1:{server.port}/"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    (count,) = re.findall(r"(\d+) requests in", said)
    assert abs(int(count) - len(server.stamps)) <= 8
    ((p50, unit),) = re.findall(r"50%\s+([\d.]+)(ms|s)", said)
    assert float(p50) * {"ms": 1, "s": 1000}[unit] >= 50


def test_a_load_that_was_stopped_sent_late_and_says_by_how_much(
    load: Child, tmp_path: Path
) -> None:
    """Latency counts from the intended arrivals; the doubt has the size of the stop."""
    first = threading.Event()

    def script(_connection: int, _number: int, request: bytes) -> Sequence[Part]:
        if not first.is_set():
            first.set()
            os.kill(load.pid, signal.SIGSTOP)
            threading.Timer(0.6, os.kill, (load.pid, signal.SIGCONT)).start()
        return [read_answer(request)]

    with serving(script) as server:
        order = order_to(server, 100, 1.5)
        reply, times = offered(load, order, tmp_path / "step.npz")
    assert reply.ledger.ok == 150
    late = {
        each.subject: each
        for each in client_doubts(evidence_of(reply, times), Tolerance())
        if each.kind is DoubtKind.SEND_LAG
    }
    assert (late["p99"].measured or 0) >= 500
    assert times.latency_us.max() >= 500_000
    assert times.service_us.min() < 500_000


def test_what_does_not_come_back_is_undrained_and_counts_with_its_waiting(
    load: Child, tmp_path: Path
) -> None:
    with serving(after(5.0)) as server:
        order = order_to(server, 50, 0.4, drain_s=0.5)
        reply, times = offered(load, order, tmp_path / "step.npz")
        assert reply.ledger.undrained == 20
        assert times.latency_us.min() >= 490_000
    with serving(after(0.0)) as server:
        order = order_to(server, 20, 0.2)
        again, _ = offered(load, order, tmp_path / "step.npz")
        assert again.ledger.ok == 4, "not disturbed by those that were given up"


def test_one_load_asks_several_applications_for_several_scenarios(
    load: Child, tmp_path: Path
) -> None:
    def refuse(*_: object) -> Sequence[Part]:
        return [answer(b'{"error": "told to"}', status="503 Busy")]

    with serving(after(0.01)) as one, serving(refuse) as other:
        for server, label, path in (
            (one, "read", b"POST /op/read "),
            (other, "write", b"POST /op/write "),
            (one, "slow", b"POST /op/slow "),
            (one, "", b"POST /op/read "),
        ):
            server.came.clear()
            order = order_to(server, 0, 0.2, connections=4, scenario=label)
            reply, _ = offered(load, order, tmp_path / "step.npz")
            assert all(request.startswith(path) for _, request in server.came)
            assert (reply.ledger.ok == 0) == (server is other)
            assert len(server.came) == reply.attempted > 0
        assert (one.connections, other.connections) == (4, 4), "kept open meanwhile"
        with pytest.raises(ServiceError, match="was not started with 'mixed'"):
            offered(load, LoadOrder(10, 0.1, 1.0, (1,), scenario="mixed"), tmp_path / "x.npz")
        reply, _ = offered(load, order, tmp_path / "step.npz")
        assert reply.ledger.ok > 0, "it goes on after what it could not do"


def test_a_load_that_is_killed_is_named_and_one_without_a_parent_ends(tmp_path: Path) -> None:
    with serving(after(0.0)) as server, started(tmp_path) as child:
        timer = threading.Timer(0.3, os.kill, (child.pid, signal.SIGKILL))
        timer.start()
        with pytest.raises(ServiceError, match=r"the load generator has ended \(exit code -9"):
            offered(child, order_to(server, 20, 30), tmp_path / "x.npz")
    with serving(after(0.0)) as server, started(tmp_path) as child:
        child.send(Offer(order_to(server, 20, 300)))
        assert child.popen.stdin is not None
        child.popen.stdin.close()
        assert child.popen.wait(timeout=PATIENCE_S) == 0
