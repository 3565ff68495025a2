"""What processes say to one another: typed, versioned, refused where it is not understood."""

from __future__ import annotations

import json

import pytest

from asyncdb_bench.errors import ServiceError, UsageError
from asyncdb_bench.records.messages import (
    PROTOCOL,
    SPOKEN,
    AppConfig,
    Heartbeats,
    LoadConfig,
    Mark,
    Offer,
    Ready,
    Stop,
    decoded_config,
    decoded_order,
    decoded_reply,
    encoded,
)
from asyncdb_bench.records.plan import LoadOrder

LOAD = LoadConfig(
    host="127.0.0.1", port=1, scenario="read", scenario_knobs={}, timeout_s=5, outstanding=9
)


def test_a_configuration_says_the_version_that_the_process_speaks() -> None:
    for protocol in SPOKEN:
        line = encoded(LOAD, protocol)
        assert json.loads(line)["protocol"] == protocol
        assert decoded_config(line, LoadConfig).port == 1


def test_a_harness_of_another_time_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match=f"99, this checkout {min(SPOKEN)} to {PROTOCOL}"):
        decoded_config(encoded(LOAD, 99), LoadConfig)
    with pytest.raises(UsageError, match="no configuration"):
        decoded_config(encoded(LOAD), AppConfig)
    with pytest.raises(UsageError, match="no configuration"):
        decoded_config(b"", LoadConfig)


@pytest.mark.parametrize(
    "order", [Mark(), Stop(), Offer(LoadOrder(100, 2, 1, (7, 0)), "/tmp/step.npz")]
)
def test_orders_survive_the_pipe(order: Mark | Stop | Offer) -> None:
    assert decoded_order(encoded(order)) == order


def test_a_process_that_failed_or_speaks_another_version_is_told_by_its_name() -> None:
    with pytest.raises(ServiceError, match="load: no such table"):
        decoded_reply(b'{"event": "failed", "message": "no such table"}', Ready, "load")
    with pytest.raises(ServiceError, match="app speaks protocol 99"):
        decoded_reply(b'{"event": "ready", "pid": 1, "port": 2, "protocol": 99}', Ready, "app")
    with pytest.raises(ServiceError, match="app answered something else"):
        decoded_reply(b'{"event": "heartbeats"}', Ready, "app")


def test_what_a_library_prints_is_no_message() -> None:
    assert decoded_reply(b"warning: something\n", Ready, "app") is None


def test_an_application_of_an_earlier_protocol_is_understood() -> None:
    """It says no version, and counters that nothing asks for any more."""
    ready = decoded_reply(b'{"event": "ready", "pid": 7, "port": 8000}', Ready, "app")
    assert ready == Ready(7, 8000, min(SPOKEN))
    line = b'{"event": "heartbeats", "at_us": [1], "lag_us": [2], "gauges": [], "counters": {}}'
    assert decoded_reply(line, Heartbeats, "app") == Heartbeats([1], [2])
