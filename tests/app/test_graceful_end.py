"""What SIGTERM does: no new connections, what is under way is answered, nothing stays open."""

from __future__ import annotations

import http.client
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch, Processes
from asyncdb_bench.plan.request import Spec, parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.processes.child import Child
from asyncdb_bench.services.program import free_port
from asyncdb_bench.services.running import RunningServices
from tests.app.test_abandoned import answer, sent, slow, watched
from tests.command_line import Bench
from tests.waiting import eventually

pytestmark = pytest.mark.services


@contextmanager
def draining(
    request: str, services: RunningServices, logs: Path, port: int, drain_s: float
) -> Iterator[tuple[Processes, Child]]:
    (spec,) = parse_specs(request)
    asked = plan_scenario(Spec("mixed", {"rows": "1000"}), {})
    launch = Launch(
        make_variant(spec, 2), (asked,), f"drain_{port}", f"drain_{port}", 60.0, port=port,
        drain_s=drain_s,
    )  # fmt: skip
    with launched(launch, services, logs) as processes:
        (app,) = processes.apps
        assert isinstance(app, Child)
        yield processes, app


class Client(threading.Thread):
    """Asks one of several applications, again and again; the next where a connection is refused."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__(daemon=True)
        self.ports = ports
        self.ends = False
        self.answered = 0
        self.lost: list[str] = []

    def run(self) -> None:
        while not self.ends:
            self.ports = [*self.ports[1:], self.ports[0]]
            with suppress(ConnectionRefusedError):
                client = sent(self.ports[0], "/op/slow", slow(0.05))
                try:
                    assert answer(client)[0] == 200
                except (AssertionError, OSError, IndexError, ValueError) as error:
                    self.lost.append(f"{type(error).__name__}: {error}")
                else:
                    self.answered += 1


@pytest.mark.parametrize("request_", ["native", "executor"])
def test_a_rolling_restart_loses_no_request(
    request_: str, postgres: RunningServices, tmp_path: Path
) -> None:
    first, second = free_port(), free_port()
    with draining(request_, postgres, tmp_path, second, 30) as (_, other):
        with draining(request_, postgres, tmp_path, first, 30) as (_, one):
            clients = [Client([first, second]) for _ in range(4)]
            for each in clients:
                each.start()
            assert eventually(lambda: all(each.answered > 2 for each in clients), 30)
            one.popen.terminate()
            assert one.popen.wait(60) == 0
        with draining(request_, postgres, tmp_path, first, 30):
            asked = [each.answered for each in clients]
            assert eventually(
                lambda: all(c.answered > n for c, n in zip(clients, asked, strict=True)), 30
            )
            other.popen.terminate()
            assert other.popen.wait(60) == 0
            asked = [each.answered for each in clients]
            assert eventually(
                lambda: all(c.answered > n for c, n in zip(clients, asked, strict=True)), 30
            )
            for each in clients:
                each.ends = True
            for each in clients:
                each.join(30)
    assert [each.lost for each in clients] == [[], [], [], []]


def test_a_kept_connection_is_answered_once_more_and_closed(
    postgres: RunningServices, tmp_path: Path
) -> None:
    with draining("native", postgres, tmp_path, 0, 30) as (processes, app):
        busy = sent(processes.port, "/op/slow", slow(1.0))
        kept = http.client.HTTPConnection("127.0.0.1", processes.port, timeout=60)
        kept.request("POST", "/op/read", b'{"account":1}')
        first = kept.getresponse()
        assert (first.status, first.getheader("Connection")) == (200, None)
        first.read()
        app.popen.terminate()

        def refuses() -> bool:
            with suppress(ConnectionRefusedError):
                sent(processes.port, "/op/read", {"account": 1}).close()
                return False
            return True

        assert eventually(refuses, 30, 0.01)
        kept.request("POST", "/op/read", b'{"account":2}')
        second = kept.getresponse()
        assert (second.status, second.getheader("Connection")) == (200, "close")
        kept.close()
        assert answer(busy)[0] == 200
        assert app.popen.wait(60) == 0


def test_what_takes_longer_is_cut_off_and_leaves_no_query(
    postgres: RunningServices, tmp_path: Path
) -> None:
    with (
        draining("native", postgres, tmp_path, 0, 0.3) as (processes, app),
        watched(processes.database) as database,
    ):
        client = sent(processes.port, "/op/slow", slow(30))
        assert eventually(lambda: database.busy() == 1, 20)
        app.popen.terminate()
        assert app.popen.wait(60) == 3
        client.close()
        assert eventually(lambda: not database.pids(), 20)
        assert "1 request was cut off after 0.3 s" in app.log.read_text()


@pytest.mark.e2e
def test_serve_answers_what_is_under_way(bench: Bench) -> None:
    serving = bench.start("serve", "native", "--port", "0", "--drain", "60")
    assert serving.stdout is not None
    try:
        lines: list[str] = []
        while not lines or "locust -f" not in lines[-1]:
            lines.append(serving.stdout.readline())
            assert lines[-1], lines
        url = next(line for line in lines if "healthz" in line).split()[1].removesuffix("/healthz")
        client = sent(int(url.rpartition(":")[2]), "/op/slow", slow(1.5))
        time.sleep(0.3)
        serving.send_signal(signal.SIGTERM)
        assert answer(client)[0] == 200
        assert serving.wait(timeout=120) == 0
    finally:
        serving.kill()
        serving.wait()
        serving.stdout.close()
