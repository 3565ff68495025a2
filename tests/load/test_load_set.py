"""Load from several processes against a server whose answers are known.

A machine may be busy with other work: nothing here counts on how long something takes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
import zmq

from asyncdb_bench.analysis.step.durations import Times
from asyncdb_bench.analysis.step.validity import START_MS
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.plan.load_workers import Workers
from asyncdb_bench.processes.child import Child
from asyncdb_bench.processes.load_set import LoadSet
from asyncdb_bench.records.messages import (
    Gather,
    Gathered,
    LoadConfig,
    Offer,
    StepReply,
)
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.services.program import free_port
from tests.command_line import ROOT
from tests.load.scripted import PATIENCE_S, Part, read_answer, serving
from tests.waiting import eventually

pytestmark = pytest.mark.services

TOKEN = "a-token-of-tests"


class Set:
    """A master and its workers.

    Attributes
    ----------
    at_first : called at the next request that the server gets.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at_first: Callable[[], object] | None = None
        self.web_port = free_port()
        self.set = LoadSet(Workers(2, web=self.web_port), (), folder, token=TOKEN)

    @property
    def master(self) -> Child:
        return self.set.child

    def script(self, _connection: int, _number: int, request: bytes) -> Sequence[Part]:
        """Answer rightly after 20 ms."""
        at_first, self.at_first = self.at_first, None
        if at_first is not None:
            at_first()
        return [0.02, read_answer(request)]

    def workers(self) -> tuple[str, ...]:
        return self.gathered().workers

    def gathered(self) -> Gathered:
        return self.master.ask(Gather(), Gathered, PATIENCE_S)

    def configure(self, port: int) -> None:
        config = LoadConfig(
            host="127.0.0.1",
            port=port,
            scenario="read",
            scenario_knobs={},
            timeout_s=PATIENCE_S,
            outstanding=4000,
        )
        self.set.configure(config)

    def offer(self, order: LoadOrder, *, written: bool = True) -> tuple[StepReply, Any]:
        file = self.folder / "step.npz"
        reply = self.master.ask(Offer(order, str(file)), StepReply, 2 * PATIENCE_S)
        assert reply.ledger.adds_up
        if not written:
            return reply, None
        times = Times(
            file,
            reply.started_ns,
            order.window_s,
            order.drain_s,
            lead_s=order.lead_s,
            closed=order.connections > 0,
        )
        return reply, times

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(each.pid) for each in self.set.started.values()]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Set]:
    made = Set(tmp_path_factory.mktemp("set"))
    with made.set, serving(made.script) as server:
        made.configure(server.port)
        yield made


def test_the_offered_load_is_the_plan_s_and_a_known_delay_is_reported_as_it_is(load: Set) -> None:
    reply, times = load.offer(LoadOrder(100, 1.5, PATIENCE_S, (5,), lead_s=0.2))
    assert reply.ledger.scheduled == reply.ledger.ok == 170
    assert reply.locust_count == reply.attempted == 170
    assert sum(each.arrivals for each in reply.workers) == 170
    assert all(each.arrivals > 60 for each in reply.workers)
    assert len(times.latency_us) == 150
    assert times.arrivals_rps == pytest.approx(100)
    assert times.latency_us.min() >= 20_000
    assert len(times.probes_ns)
    assert not reply.lost


def test_workers_on_one_clock_are_agreed_on_the_start(load: Set) -> None:
    reply, _ = load.offer(LoadOrder(50, 0.5, PATIENCE_S, (1,)))
    for each in reply.workers:
        assert abs(each.offset_ms) <= each.error_ms
        assert each.host == "this machine"


def test_a_closed_loop_has_its_connections_and_no_more(load: Set) -> None:
    reply, times = load.offer(LoadOrder(0, 1.0, PATIENCE_S, (1,), connections=5, lead_s=0.3))
    assert reply.ledger.scheduled == reply.ledger.ok
    # five connections and 20 ms: 250 a second at most
    assert 0 < times.achieved_rps <= 251


def test_arrivals_are_the_same_whatever_the_number_of_workers(load: Set) -> None:
    order = LoadOrder(200, 0.5, PATIENCE_S, (7,))
    reply, _ = load.offer(order)
    with np.load(load.folder / "step.npz") as columns:
        two = columns["intended_ns"] - reply.started_ns
    extra = further(load, TOKEN)
    try:
        assert eventually(lambda: len(load.workers()) == 3, PATIENCE_S)
        reply, _ = load.offer(order)
        assert len(reply.workers) == 3
        assert reply.ledger.ok == 100
        with np.load(load.folder / "step.npz") as columns:
            assert np.array_equal(columns["intended_ns"] - reply.started_ns, two)
    finally:
        extra.send_signal(signal.SIGINT)
        extra.wait(PATIENCE_S)
    assert eventually(lambda: len(load.workers()) == 2, PATIENCE_S)


def further(load: Set, token: str) -> subprocess.Popen[str]:
    """Start a worker as someone does on another machine."""
    file = load.folder / token
    file.write_text(token)
    return subprocess.Popen(
        [
            *(sys.executable, "bench.py", "load-worker", "--master"),
            *(f"127.0.0.1:{load.set.port}", "--token", f"@{file}"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_worker_with_another_token_is_refused_at_once(load: Set) -> None:
    process = further(load, "another-token-altogether")
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    assert errors.strip() == "error: the master refuses this worker: its token is not the run's"
    assert any("its token is not the run's" in each for each in load.gathered().refused)
    assert len(load.workers()) == 2


def test_who_speaks_locust_s_language_without_the_token_is_not_heard(load: Set) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.linger = 0
        stranger.identity = b"stranger"
        stranger.connect(f"tcp://127.0.0.1:{load.set.port}")
        for kind in ("client_ready", "quit", "asyncdb"):
            stranger.send(msgspec.msgpack.encode([kind, {"body": b""}, "stranger"]))
        assert not stranger.poll(1500)
    assert len(load.workers()) == 2
    reply, _ = load.offer(LoadOrder(50, 0.3, PATIENCE_S, (1,)))
    assert reply.ledger.ok == 15


def test_locust_s_page_shows_the_run_and_changes_nothing(load: Set) -> None:
    page = f"http://127.0.0.1:{load.web_port}"
    with urllib.request.urlopen(f"{page}/stats/requests", timeout=PATIENCE_S) as answer:
        shown = answer.read().decode()
    assert '"state": "running"' in shown
    assert shown.count('"state": "running"') >= 3, "the master and both workers"
    for request in (
        urllib.request.Request(f"{page}/stop", method="POST"),
        urllib.request.Request(f"{page}/swarm", data=b"user_count=1", method="POST"),
        urllib.request.Request(f"{page}/stats/requests", headers={"Host": "evil.example"}),
    ):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request, timeout=PATIENCE_S)


def test_a_worker_that_dies_in_a_window_makes_it_void_and_another_takes_its_place(
    load: Set,
) -> None:
    victim = load.processes()[0]
    load.at_first = victim.kill
    reply, _ = load.offer(LoadOrder(200, 1.2, PATIENCE_S, (9,)))
    assert len(reply.lost) == 1
    assert "was not heard of for" in reply.lost[0]
    # of its part no one knows: it is undrained, and the ledger adds up
    assert reply.ledger.undrained > 50
    assert reply.ledger.scheduled == 240
    load.set.recover()
    assert len(load.workers()) == 2
    reply, _ = load.offer(LoadOrder(200, 0.5, PATIENCE_S, (9,)))
    assert not reply.lost
    assert reply.ledger.ok == 100


def test_a_worker_that_stood_still_makes_the_window_void(load: Set) -> None:
    victim = load.processes()[-1]

    def stand_still() -> None:
        victim.suspend()
        threading.Timer(1.6, victim.resume).start()

    load.at_first = stand_still
    reply, _ = load.offer(LoadOrder(100, 2.2, PATIENCE_S, (9,)))
    assert len(reply.lost) == 1
    assert "was cut for" in reply.lost[0]
    reply, _ = load.offer(LoadOrder(100, 0.5, PATIENCE_S, (9,)))
    assert not reply.lost


def test_a_worker_that_does_not_get_ready_costs_that_window_alone(load: Set) -> None:
    victim = load.processes()[0]
    victim.suspend()
    try:
        reply, _ = load.offer(LoadOrder(100, 0.5, PATIENCE_S, (9,)), written=False)
    finally:
        victim.resume()
    assert len(reply.lost) == 1
    assert "did not get ready" in reply.lost[0]
    assert reply.ledger.scheduled == 0
    assert eventually(lambda: len(load.workers()) == 2, PATIENCE_S)
    reply, _ = load.offer(LoadOrder(100, 0.5, PATIENCE_S, (9,)))
    assert not reply.lost
    assert reply.ledger.ok == 50


def test_nothing_is_left_when_the_master_is_told_to_end(tmp_path: Path) -> None:
    made = Set(tmp_path)
    with made.set:
        processes = made.processes()
        assert made.master.popen.stdin is not None
        made.master.popen.stdin.close()
        gone = [each.popen.wait(PATIENCE_S) for each in made.set.started.values()]
    assert gone == [0, 0]
    assert not any(each.is_running() for each in processes)


def test_a_port_in_use_and_workers_that_do_not_come_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        workers = Workers(own=1, master=f"127.0.0.1:{port}")
        with (
            pytest.raises(ServiceError, match=f"127.0.0.1:{port}: Address already in use"),
            LoadSet(workers, (), tmp_path),
        ):
            pass
    monkeypatch.setattr("asyncdb_bench.processes.load_set.WAIT_S", 3.0)
    workers = Workers(own=1, expected=2, master="127.0.0.1:0")
    said: list[str] = []
    with (
        pytest.raises(ServiceError, match=r"[01] of 3 load workers came to port"),
        LoadSet(workers, (), tmp_path, said.append),
    ):
        pass
    assert any("load-worker --master THIS-HOST:" in each for each in said)
    assert os.environ.get("ASYNCDB_BENCH_TOKEN") is None


class Slow:
    """A way to the master that takes its time: a proxy that delays and throttles."""

    def __init__(self, port: int, delay_s: float, bytes_a_second: float) -> None:
        self.target, self.delay_s, self.rate = port, delay_s, bytes_a_second
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(8192):
                time.sleep(self.delay_s + len(data) / self.rate)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for each in (source, sink):
                each.close()


def test_a_way_that_is_slow_hands_over_late_and_is_doubted_for_its_start(load: Set) -> None:
    slow = Slow(load.set.port, 0.02, 30_000)
    command = [sys.executable, "bench.py", "load-worker", "--master", f"127.0.0.1:{slow.port}"]
    environment = os.environ | {"ASYNCDB_BENCH_TOKEN": TOKEN}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert eventually(lambda: len(load.workers()) == 3, PATIENCE_S)
            reply, _ = load.offer(LoadOrder(1200, 1.0, PATIENCE_S, (4,)))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_S)
            slow.listener.close()
    assert not reply.lost
    assert reply.ledger.ok == 1200
    far = max(reply.workers, key=lambda each: each.error_ms)
    assert far.error_ms > 15
    assert abs(far.offset_ms) <= far.error_ms
    assert far.handed_over_s > 0.2
    assert far.apart_ms > START_MS
