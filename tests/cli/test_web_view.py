"""``--web``: a page on loopback while a run goes on; the terminal's view stays."""

from __future__ import annotations

import io
import json
import re
import socket
import threading
from http.client import HTTPConnection
from typing import Any

import pytest

from asyncdb_bench.cli.progress import Progress
from asyncdb_bench.cli.web_view import state_of, with_page
from asyncdb_bench.errors import ServiceError
from tests.cli.test_live_view import order_of, planned
from tests.command_line import Bench
from tests.factories import end, turn
from tests.made_turns import Truth, measured_turns


def progress(out: io.StringIO | None = None) -> Progress:
    return Progress(planned(), 100, out or io.StringIO())


def asked(port: int, path: str, host: str = "") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def port_of(out: io.StringIO) -> int:
    found = re.search(r"watch: http://127\.0\.0\.1:(\d+)/", out.getvalue())
    assert found
    return int(found[1])


def told(port: int) -> dict[str, Any]:
    status, body = asked(port, "/state")
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def test_turns_come_and_intervals_narrow() -> None:
    inner = progress()
    widths = []
    for step in measured_turns({"native": Truth(1000), "executor": Truth(1500)}, 3, 8):
        inner.step(step)
        (scenario,) = state_of(inner)["scenarios"]
        rows = {row["variant"]: row for row in scenario["rows"]}
        if step.variant == "executor" and rows["native"].get("low"):
            widths.append(rows["native"]["high"] / rows["native"]["low"])
    assert [row["variant"] for row in scenario["rows"]] == ["executor", "native"]
    assert [row["said"] for row in scenario["rows"]] == ["best", "worse"]
    assert widths[-1] < widths[0]
    assert scenario["rounds"] == 24
    told = state_of(inner)
    assert told["open"] == 0
    assert len(told["turns"]) == 40, "the latest"
    assert told["turns"][0]["what"] == "common"


def test_the_page_is_served_and_the_terminal_stays() -> None:
    out = io.StringIO()
    with with_page(progress(out)) as display:
        port = port_of(out)
        status, page = asked(port, "/")
        assert status == 200
        assert b"Turns as they come" in page
        display.service("postgresql")
        assert told(port)["now"] == "starting postgresql"
        display.launch(order_of(planned()))
        display.step(turn("native", 100))
        display.end(end("native"))
        found = told(port)
        assert found["now"].startswith("launch 1: 3 variants")
        assert found["turns"][0]["variant"] == "native"
        assert "left" in found["left"]
    assert "starting postgresql" in out.getvalue()
    with pytest.raises(ConnectionRefusedError):
        asked(port, "/")
    assert not [each for each in threading.enumerate() if each.name == "web"]


def test_another_sites_page_cannot_read_it() -> None:
    out = io.StringIO()
    with with_page(progress(out)):
        port = port_of(out)
        assert asked(port, "/state", host="evil.example")[0] == 403
        assert asked(port, "/", host=f"localhost:{port}")[0] == 200


def test_a_port_that_is_taken_is_refused_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"port {port} cannot be had.*--web-port 0"):
            with_page(progress(), port)


@pytest.mark.e2e
def test_the_command_refuses_a_taken_port_with_exit_code_3(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = bench("run", "--profile", "smoke", "--web-port", str(port))
    assert done.returncode == 3
    assert f"port {port} cannot be had" in done.stderr
    assert not bench.results.exists()
