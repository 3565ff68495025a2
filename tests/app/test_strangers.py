"""What a stranger may send: answered 4xx or closed, with memory and the loop's lag bounded."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import websocket

from asyncdb_bench.app import bounded_server
from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import (
    Launch,
    Processes,
)
from asyncdb_bench.plan.request import Spec, parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.services.running import RunningServices
from tests.app.test_application import ask, serving

pytestmark = pytest.mark.services
GROWTH_MB = 120
"""What the application may take beyond what it had, whatever is sent."""
LATE_S = 5.0
"""How late a request to the health route may be answered meanwhile: strangers cost CPU time, and no
more than a share of it."""


@pytest.fixture(scope="module")
def app(postgres: RunningServices, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with serving("native", postgres, tmp_path_factory.mktemp("strangers")) as processes:
        yield processes


@pytest.fixture(scope="module", autouse=True)
def senders(app: Processes) -> Iterator[list[socket.socket]]:
    """Who says nothing yet, and two who began and do not go on: in what the other tests take."""
    started = b"POST /op/read HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{"
    with contextlib.ExitStack() as stack:
        opened = []
        for data in (b"", started, b"POST /op/re"):
            connection = socket.create_connection(("127.0.0.1", app.port), timeout=120)
            opened.append(stack.enter_context(connection))
            connection.sendall(data)
        yield opened


class Healthy:
    """Watches memory and health of an application meanwhile."""

    def __init__(self, processes: Processes) -> None:
        self.port = processes.port
        self.process = psutil.Process(processes.apps[0].pid)
        self.before_mb = self.process.memory_info().rss / 1e6
        self.most_mb = self.before_mb
        self.longest_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Healthy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            while not self._stop.wait(0.05):
                began = time.monotonic()
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"200 OK" in connection.recv(4096)
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                self.most_mb = max(self.most_mb, self.process.memory_info().rss / 1e6)

    def is_well(self) -> None:
        assert self.most_mb - self.before_mb < GROWTH_MB
        assert self.longest_s < LATE_S
        assert ask(self.port, "/op/read", {"account": 1})[0] == 200


def sent(port: int, data: bytes, wait_s: float = 5.0) -> bytes:
    """Send bytes and return what comes back until the connection is closed or silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
        answer = b""
        with contextlib.suppress(OSError):
            while block := connection.recv(65536):
                answer += block
                if b"\r\n\r\n" in answer:
                    break
        return answer


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /op/read HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /op/read HTTP/1.1\r\nHost: x\r\nContent-Length: 1e9\r\n\r\n",
        b"POST /op/read HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"POST /op/read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
        b"POST /op/read HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n" + b"x" * 100_000,
        b"GET /op/%00%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PUT /op/read HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_malformed_requests_are_refused_or_closed(app: Processes, data: bytes) -> None:
    answer = sent(app.port, data)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:200]
    assert ask(app.port, "/op/read", {"account": 1})[0] == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/op/read", b"[" * 500_000),
        ("/op/read", b'{"account":' + b"[" * 200_000),
        ("/op/read", b"\xff\xfe{}"),
        ("/op/read", {"account": 10**30}),
        ("/op/read", {"account": 2**63}),
        ("/op/read", {"account": True}),
        ("/op/slow", {"account": 1, "seconds": 1e300}),
        ("/op/write", {"counter": 2**40, "amount": 1}),
        ("/op/" + "x" * 5000, {}),
        ("/op/__class__", {}),
    ],
)
def test_values_that_no_one_would_send_are_refused(app: Processes, path: str, body: Any) -> None:
    status, answer = ask(app.port, path, body)
    assert 400 <= status < 500, answer


def test_bodies_of_a_hundred_megabytes_cost_nothing(app: Processes) -> None:
    head = b"POST /op/read HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n"
    chunked = b"POST /op/read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    block = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    with Healthy(app) as healthy:
        for start, rest in ((head, bytes(2**20)), (chunked, block)):
            with socket.create_connection(("127.0.0.1", app.port), timeout=5) as connection:
                connection.sendall(start)
                with contextlib.suppress(OSError):
                    for _ in range(100):
                        connection.sendall(rest)
                    pytest.fail("it read a hundred megabytes")
    healthy.is_well()


def test_ten_thousand_connections_are_bounded(app: Processes) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    opened = []
    with Healthy(app) as healthy:
        try:
            for _ in range(count):
                connection = socket.socket()
                connection.settimeout(5)
                opened.append(connection)
                with contextlib.suppress(OSError):
                    connection.connect(("127.0.0.1", app.port))
            time.sleep(1)
            files = healthy.process.num_fds()
        finally:
            for connection in opened:
                connection.close()
    assert files <= bounded_server.most_connections() + bounded_server.KEPT_FILES
    healthy.is_well()


def test_a_flood_of_frames_is_held_back(postgres: RunningServices, tmp_path: Path) -> None:
    (spec,) = parse_specs("native")
    asked = plan_scenario(Spec("chat", {}), {})
    launch = Launch(make_variant(spec, 2), (asked,), "flood", "flood", timeout_s=3.0)
    post = {"op": "post", "id": "a", "params": {"room": 1, "author": 1, "body": "x" * 200}}
    with launched(launch, postgres, tmp_path) as processes, Healthy(processes) as healthy:
        url = f"ws://127.0.0.1:{processes.port}/chat/1"
        stranger = websocket.create_connection(url, timeout=2)
        frame = json.dumps(post)
        until = time.monotonic() + 4
        with contextlib.suppress(OSError, websocket.WebSocketException):
            while time.monotonic() < until:
                stranger.send(frame)
        huge = websocket.create_connection(url, timeout=10)
        huge.recv()
        with contextlib.suppress(OSError, websocket.WebSocketException):
            huge.send("x" * (bounded_server.LONGEST_FRAME + 1))
            while huge.recv():
                pass
        assert not huge.connected or huge.sock is None or huge.status
        stranger.close()
    assert healthy.most_mb - healthy.before_mb < GROWTH_MB
    assert healthy.longest_s < LATE_S


def test_slow_senders_are_closed(senders: list[socket.socket]) -> None:
    """A request that does not become complete is given up, one that waits for its turn is not."""
    idle, *slow = senders
    assert [each.recv(100) for each in slow] == [b"", b""]
    idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200 OK" in idle.recv(4096)
