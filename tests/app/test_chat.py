"""The chat over real WebSockets, through every strategy, and with members who do not read."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import websocket

from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import (
    Launch,
)
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.services.running import RunningServices
from tests.measuring import lasting, measure
from tests.waiting import eventually

pytestmark = pytest.mark.services
SMALL = "chat:connections=20:room=5"


def check(step: Any) -> None:
    assert step.ledger.ok == step.ledger.scheduled
    chat = step.chat
    assert chat is not None
    assert (chat.connected, chat.members) == (20, 20)
    assert (chat.lost, chat.duplicated, chat.out_of_order) == (0, 0, 0)
    assert chat.delivery.n == chat.deliveries == 5 * step.ledger.scheduled
    assert 0 < chat.delivery.p50_ms <= chat.delivery.p99_ms <= step.latency.max_ms
    assert chat.ping.n == 2 * 15, "two of twenty, every 100 ms"
    assert chat.join.n == 20
    assert chat.joins_per_s > 1
    # in the first turn members join, each by a transaction
    assert step.audit.transactions_least in (step.ledger.ok, step.ledger.ok + 20)
    assert lasting(step) == []


@pytest.mark.parametrize("request_text", ["executor", "native"])
def test_every_member_gets_every_message_once_and_in_order(
    request_text: str, postgres: RunningServices, tmp_path: Path
) -> None:
    found = measure(request_text, postgres, tmp_path, scenario=SMALL, ladder=(40,))
    (step,) = found.steps
    check(step)
    assert found.end.reasons == (), "joins are transactions too"
    assert step.phases["database"].n == 60


def test_a_chat_behind_celery(valkey: RunningServices, tmp_path: Path) -> None:
    (step,) = measure("celery", valkey, tmp_path, scenario=SMALL, ladder=(40,)).steps
    check(step)
    assert step.tasks is not None
    assert step.tasks.in_worker.n == 60


def test_a_search_freezes_the_chat_of_a_blocked_loop_alone(
    postgres: RunningServices, tmp_path: Path
) -> None:
    frozen = {}
    for name in ("blocking", "native"):
        (step,) = measure(
            name, postgres, tmp_path, scenario=f"{SMALL}:search=10:ms=400", ladder=(20,)
        ).steps
        assert step.ledger.ok == 30
        assert step.chat is not None
        frozen[name] = step.chat.frozen_s
        assert (step.chat.lost, step.chat.duplicated, step.chat.out_of_order) == (0, 0, 0)
    assert frozen["blocking"] > 0.8, "three searches of 0.4 s each"
    assert frozen["native"] < frozen["blocking"] / 2


def launch_of(strategy: str) -> Launch:
    """Return a chat of four in one room."""
    (spec,), (scenario,) = parse_specs(strategy), parse_specs("chat:connections=4:room=4")
    asked = plan_scenario(scenario, {})
    return Launch(make_variant(spec, 4), (asked,), f"chat-{strategy}", "q", 60.0)


def test_a_member_who_does_not_read_is_dropped_and_delays_nobody(
    postgres: RunningServices, tmp_path: Path
) -> None:
    launch = launch_of("native")
    with launched(launch, postgres, tmp_path) as processes:
        url = f"ws://127.0.0.1:{processes.port}/chat/1"
        narrow = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),)
        deaf = websocket.create_connection(url, timeout=60, sockopt=narrow)
        members = [websocket.create_connection(url, timeout=60) for _ in range(2)]
        for each in (deaf, *members):
            assert json.loads(each.recv())["type"] == "history"
        memory = psutil.Process(processes.apps[0].pid).memory_info
        before, longest = memory().rss, 0.0
        for number in range(400):
            params = {"room": 1, "author": "member-1", "body": "x" * 20_000}
            sent = time.monotonic()
            members[0].send(json.dumps({"op": "post", "id": str(number), "params": params}))
            for each in members:
                said = json.loads(each.recv())
                assert (said["type"], said["id"]) == ("message", str(number))
            longest = max(longest, time.monotonic() - sent)
        assert memory().rss - before < 8_000_000, "8 MB were posted"
        assert longest < 10, "a bound that only a stall would break"
        for each in members:
            each.close()

        def gauges() -> dict[str, float]:
            rows = processes.apps[0].beats(60).gauges
            return dict(rows[-1]) if rows else {}

        time.sleep(0.2)
        assert eventually(lambda: gauges().get("chat_dropped") == 1, 60, 0.2)
        deaf.close()


def test_nonsense_is_refused_and_the_connection_lives(
    postgres: RunningServices, tmp_path: Path
) -> None:
    launch = launch_of("executor")
    with launched(launch, postgres, tmp_path) as processes:
        member = websocket.create_connection(f"ws://127.0.0.1:{processes.port}/chat/1", timeout=60)
        member.recv()
        for nonsense in ("{", '{"op": "drop", "id": "1", "params": {}}',
                         '{"op": "post", "id": "1", "params": {"room": 0}}'):  # fmt: skip
            member.send(nonsense)
            refused = json.loads(member.recv())
            assert (refused["type"], refused["status"]) == ("failed", 400)
        member.send('{"op": "search", "id": "9", "params": {"room": 1, "seconds": 0}}')
        assert json.loads(member.recv())["answer"] == {"room": 1, "found": 60}
        member.close()
