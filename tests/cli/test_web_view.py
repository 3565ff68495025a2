"""``--web``: a page on loopback while a run goes on; the terminal's view stays."""

from __future__ import annotations

import io
import json
import socket
import threading
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any

import pytest

from asyncdb_bench.cli.live_state import LiveState
from asyncdb_bench.cli.progress import Progress
from asyncdb_bench.cli.web_view import WebProgress
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.records.plan import Block, Plan
from tests.analysis.turns.test_answers import turn
from tests.command_line import Bench
from tests.factories import end, manifest, settings, step


def plan() -> Plan:
    made = manifest(("native", "executor")).plan
    return replace(made, settings=settings(blocks=4))


def asked(port: int, path: str, host: str = "") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def told(display: WebProgress) -> dict[str, Any]:
    status, body = asked(display.port, "/state")
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def test_turns_come_and_intervals_narrow() -> None:
    state = LiveState(plan(), lambda: "about 3 min left")
    widths = []
    for block in range(4):
        state.begin("read", block)
        for round_ in range(2):
            for name, pace in (("native", 1000 + 20 * block), ("executor", 1500 + 37 * round_)):
                state.add(turn(name, "pace", block, round_, pace=pace))
        (scenario,) = state.told()["scenarios"]
        first, second = scenario["rows"]
        assert (first["variant"], first["said"]) == ("executor", "best")
        if second["low"] is not None:
            widths.append(second["high"] / second["low"])
    assert widths == sorted(widths, reverse=True)
    assert len(widths) >= 2
    assert scenario["blocks"] == 4
    assert state.told()["open"] == 0
    assert len(state.told()["turns"]) == 16


def test_the_page_is_served_and_the_terminal_stays() -> None:
    out = io.StringIO()
    with WebProgress(Progress(plan(), 100, out)) as display:
        status, page = asked(display.port, "/")
        assert status == 200
        assert b"Turns as they come" in page
        display.service("postgresql")
        assert told(display)["now"] == "starting postgresql"
        display.block(Block(plan().trials))
        display.step(step("native", 100))
        display.end(end("native", why="turns"))
        found = told(display)
        assert found["now"] == "read, block 1"
        assert found["done"] == 1
        assert found["turns"][0]["variant"] == "native"
        assert "left" in found["left"]
        port = display.port
    assert f"watch: http://127.0.0.1:{port}/" in out.getvalue()
    assert "starting postgresql" in out.getvalue()
    with pytest.raises(ConnectionRefusedError):
        asked(port, "/")
    assert not [each for each in threading.enumerate() if each.name == "web"]


def test_with_nobody_looking_nothing_is_reckoned() -> None:
    with WebProgress(Progress(plan(), 100, io.StringIO())) as display:
        for block in range(3):
            display.step(turn("native", "pace", block))
        assert display.state._known == {}


def test_another_sites_page_cannot_read_it() -> None:
    with WebProgress(Progress(plan(), 100, io.StringIO())) as display:
        assert asked(display.port, "/state", host="evil.example")[0] == 403
        assert asked(display.port, "/", host=f"localhost:{display.port}")[0] == 200


def test_a_port_that_is_taken_is_refused_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"port {port} cannot be had.*--web-port 0"):
            WebProgress(Progress(plan(), 100, io.StringIO()), port)


@pytest.mark.e2e
def test_the_command_refuses_a_taken_port_with_exit_code_3(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = bench("run", "--profile", "smoke", "--web-port", str(port))
    assert done.returncode == 3
    assert f"port {port} cannot be had" in done.stderr
    assert not bench.results.exists()
