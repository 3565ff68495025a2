"""The positive control: a server that is stopped for 2 s, seen as an open model sees it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.step.durations import Times
from asyncdb_bench.load.arrivals import poisson
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.measure.launch import (
    Launch,
    offer,
)
from asyncdb_bench.measure.family import launched
from tests.measure import PINNING

pytestmark = pytest.mark.services
SEED = (2017,)
RATE, WINDOW_S, STOP_S = 100.0, 30.0, 2.0


def a_dense_moment() -> float:
    """Return when to stop the server, seconds from the step's start.

    1 % of 3,000 requests are 30, about as many as arrive in the first 0.3 s of the stop. Where a
    few more arrive by chance, p99 is above 1.7 s for certain.
    """
    arrivals = poisson(RATE, WINDOW_S, (*SEED, 0)) / 1e9
    starts = np.arange(5, 20, 0.05)
    counts = [np.count_nonzero((arrivals >= t) & (arrivals < t + 0.29)) for t in starts]
    return float(starts[int(np.argmax(counts))])


def test_a_stop_of_two_seconds_is_in_the_tail_that_a_closed_loop_never_sees(
    postgres: RunningServices, tmp_path: Path
) -> None:
    launch = Launch(
        make_variant(Spec("native", {}), 4),
        plan_scenario(Spec("read", {"rows": "1000"}), {}),
        f"stopped{time.time_ns()}",
        "none",
        5.0,
        outstanding=4000,
        pinning=PINNING,
    )
    file = tmp_path / "step.npz"
    with launched(launch, postgres, tmp_path) as processes:
        assert processes.load is not None
        offer(processes.load, LoadOrder(20, 0.5, 2.0, (1,)))

        def stop() -> None:
            time.sleep(a_dense_moment())
            os.kill(processes.apps[0].pid, signal.SIGSTOP)
            time.sleep(STOP_S)
            os.kill(processes.apps[0].pid, signal.SIGCONT)

        stopper = threading.Thread(target=stop)
        stopper.start()
        reply = offer(processes.load, LoadOrder(RATE, WINDOW_S, 5.0, SEED), str(file))
        stopper.join()
    ledger = reply.ledger
    assert ledger.adds_up
    assert (ledger.scheduled, ledger.ok) == (3000, 3000)
    times = Times(file, reply.started_ns, WINDOW_S, 5.0)
    latency = statistics.percentiles(times.latency_us)
    closed = statistics.percentiles(times.closed_loop_us)
    assert latency.p99_ms is not None
    assert closed.p99_ms is not None
    assert latency.p99_ms >= 1700
    # a closed loop has no more requests in the stop than it has users
    assert closed.p99_ms < latency.p99_ms / 2
    assert closed.n < latency.n - 100, "it leaves out those who came during the stop"
    assert closed.max_ms is not None
    assert closed.max_ms >= 1700, "it does see the stop, once for each of its users"
    service = statistics.percentiles(times.service_us)
    assert service.n == 3000
    probe = statistics.percentiles(times.probes_ns[:, 1] / 1000)
    assert probe.n == 600
    assert probe.p99_ms is not None
    assert probe.p99_ms >= 1600, "a health check waits as long as everybody else"
