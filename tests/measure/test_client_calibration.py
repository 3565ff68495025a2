"""Calibration: what the client can do, against servers that are known."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import numpy as np
import pytest

from asyncdb_bench.app.null_server import draw
from asyncdb_bench.errors import MeasurementError
from asyncdb_bench.measure import client_calibration
from asyncdb_bench.measure.client_calibration import (
    Client,
    Sizes,
    errors_of,
    measure_client,
    null_bench,
)
from asyncdb_bench.processes.host import describe_machine, fingerprint
from asyncdb_bench.processes.lock import MachineLock
from asyncdb_bench.records.messages import NullConfig
from asyncdb_bench.records.plan import Pinning
from asyncdb_bench.records.run_folder import read_calibration, write_calibration

pytestmark = pytest.mark.services


def test_it_measures_rate_lag_and_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # how far it gets is the machine's; here it need not get far
    monkeypatch.setattr(client_calibration, "FIRST_RPS", 200.0)
    monkeypatch.setattr(client_calibration, "MOST_RPS", 250.0)
    said: list[str] = []
    found = measure_client(said.append, "auto", Sizes(climb_s=0.5, lag_s=0.5, recorded=100))
    assert 200 <= found.max_rps <= 250
    assert found.machine == fingerprint(describe_machine())
    assert set(found.send_lag) == {"25", "50", "75"}
    assert all(lag.n > 0 for lag in found.send_lag.values())
    assert [each.distribution for each in found.errors] == [
        "constant 20 ms",
        "uniform 5 to 15 ms",
        "5 ms, 1 % of them 50 ms",
    ]
    for each in found.errors:
        assert each.n == 100
        assert set(each.error_ms) == {"p50", "p90", "p99", "p999"}
        # never below what the server took; how far above is a measurement, not a test
        assert min(each.error_ms.values()) > -0.1
    assert found.errors[0].known_ms["p50"] == 20
    assert said
    write_calibration(tmp_path, found)
    assert read_calibration(tmp_path) == found


def test_it_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCDB_BENCH_LOCK_DIR", str(tmp_path))
    with (
        MachineLock(["run"], tmp_path),
        pytest.raises(MeasurementError, match="another run holds this machine: pid"),
    ):
        measure_client(lambda _: None)


def test_a_file_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert read_calibration(tmp_path) is None
    (tmp_path / "calibration.json").write_text('{"schema_version": 2, "cut')
    assert read_calibration(tmp_path) is None


def test_delays_are_what_they_say() -> None:
    assert set(draw(NullConfig(kind="constant", ms=20, count=100))) == {20}
    uniform = draw(NullConfig(kind="uniform", ms=10, count=1000))
    assert (uniform.min() >= 5, uniform.max() <= 15) == (True, True)
    tail = draw(NullConfig(kind="tail", ms=5, count=1000))
    assert sorted(tail)[-11:] == [5] + [50] * 10


def test_every_value_within_a_jump_is_right() -> None:
    known = draw(NullConfig(kind="tail", ms=5, count=1000))
    assert errors_of(known, known) == {"p50": 0, "p90": 0, "p99": 0, "p999": 0}
    late = errors_of(known + 2, known)
    assert (late["p50"], late["p90"], late["p999"]) == (2, 2, 2)
    assert late["p99"] == 0, "between 5 and 50 anything goes"
    assert errors_of(np.full(1000, 60.0), known)["p99"] == 10


def test_a_client_that_goes_early_does_not_stop_the_null_server(tmp_path: Path) -> None:
    with null_bench(
        NullConfig(kind="constant", ms=200, count=1), Client(tmp_path, Pinning())
    ) as bench:
        request = b'POST /op/read HTTP/1.1\r\nContent-Length: 14\r\n\r\n{"account": 1}'
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", bench.port), timeout=60) as leaving:
                leaving.sendall(request)
                leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reply, _ = bench.offer(20, 0.5)
        assert reply.ledger.ok == 10
