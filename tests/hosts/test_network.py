"""Whole runs over several hosts, each a network namespace, and what may befall them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.command_line import ROOT, lock_in
from tests.hosts.network import Network, why_not
from tests.waiting import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "there are namespaces"),
]
LEFT = "asyncdb-bench-host-"


class Field:
    """Five hosts with the services on one, and runs over them."""

    def __init__(self, network: Network, folder: Path, database: str, broker: str) -> None:
        self.network = network
        self.folder = folder
        self.environment = os.environ | {
            "DATABASE_URL": database,
            "BROKER_URL": broker,
            "PYTHONPATH": str(ROOT),
            **lock_in(folder),
        }
        self.database = database
        self.services = set(network.pids("data"))

    def start(
        self, name: str, strategies: str, *further: str, clock_s: int = 0
    ) -> subprocess.Popen[str]:
        """Begin a run, the second load host's clock set off."""
        net = self.network
        tables = [
            f'[harness]\naddress = "{net.harness}"\n',
            net.table("app", ["application"]),
            net.table("data", ["database", "broker"]),
            net.table("work", ["workers"]),
            net.table("load1", ["load"]),
            net.table("load2", ["load"], clock_s=clock_s),
        ]
        hosts = self.folder / "hosts.toml"
        hosts.write_text("".join(tables))
        self.results = self.folder / name
        return subprocess.Popen(
            [
                *(sys.executable, str(ROOT / "bench.py"), "run", "--profile", "smoke"),
                *("--strategy", strategies, "--scenario", "read", "--hosts", str(hosts)),
                *("--rounds", "2", "--time-budget", "0"),
                *("--results", str(self.results), "--reports", str(self.results / "p"), *further),
            ],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Return what stands in a file of the run."""
        found = list(self.results.glob(f"2*/{name}.jsonl"))
        text = found[0].read_text() if found else ""
        return [json.loads(line) for line in text.splitlines()]

    def manifest(self) -> dict[str, Any]:
        (path,) = self.results.glob("2*/manifest.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def is_left_as_it_was(self) -> bool:
        """Return whether no process, folder or database of a run is left."""
        pids = {name: set(self.network.pids(name)) for name in self.network.names}
        at_rest = all(not pids[name] for name in pids if name != "data")
        folders = list(Path(tempfile.gettempdir()).glob(f"{LEFT}*"))
        with psycopg.connect(self.database) as connection:
            query = "SELECT datname FROM pg_database WHERE datname LIKE 'asyncdb_bench_%'"
            databases = connection.execute(query).fetchall()
        return at_rest and not folders and not databases

    def strike(
        self, name: str, strategies: str, blow: Callable[[Network], None]
    ) -> tuple[int, str]:
        """Have something happen in a run; return its exit code and what it printed."""
        process = self.start(name, strategies)
        assert eventually(lambda: bool(self.lines("steps")) or process.poll() is not None, 240)
        time.sleep(0.4)
        blow(self.network)
        output, _ = process.communicate(timeout=400)
        return process.returncode, output


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("hosts")
    with (
        Network("app", "data", "work", "load1", "load2") as network,
        network.postgres("data", folder / "pg") as database,
        network.valkey("data") as broker,
    ):
        yield Field(network, folder, database, broker)


def kill_all(network: Network, name: str) -> None:
    for pid in network.pids(name):
        os.kill(pid, signal.SIGKILL)


def cut(network: Network, name: str, seconds: float) -> None:
    network.link(name, "down")
    time.sleep(seconds)
    network.link(name, "up")


def test_a_whole_run_with_one_clock_ten_seconds_off(field: Field) -> None:
    process = field.start("whole", "native,celery", clock_s=10)
    output, _ = process.communicate(timeout=400)
    assert process.returncode in (0, 4), output
    steps = field.lines("steps")
    assert {each["variant"] for each in steps} == {"native", "celery"}
    turns = [each for each in steps if each["turn"]["kind"] != "idle"]
    assert turns
    for each in turns:
        ledger = dict(each["ledger"])
        assert ledger.pop("scheduled") == sum(ledger.values())
        assert ledger["error"] == ledger["timeout"] == 0
        # no duration is made of two clocks: ten seconds would show
        assert (each["latency"]["max_ms"] or 0) < 9000
        assert each["loop_lag"]["n"] > 0
        near, far = sorted(each["load"], key=lambda worker: abs(worker["offset_ms"]))
        assert abs(near["offset_ms"]) <= near["error_ms"] + 1
        assert far["offset_ms"] == pytest.approx(10_000, abs=far["error_ms"] + 1)
        # or the turn is doubted for it
        assert far["error_ms"] + far["late_ms"] < 5 or not each["valid"]
        assert (near["host"], far["host"]) == ("load1", "load2")
        assert near["arrivals"] > 0
        assert far["arrivals"] > 0
        assert {"app", "postgresql"} <= each["usage"].keys()
        assert each["usage"]["app"]["cpu_s"] > 0
    celery = [each for each in turns if each["variant"] == "celery"]
    assert all(each["usage"]["workers"]["cpu_s"] > 0 for each in celery)
    # what was counted by the database is what the load says was asked for
    last = {end["variant"]: end for end in field.lines("trials")}
    assert {name: end["reasons"] for name, end in last.items()} == {"native": [], "celery": []}
    manifest = field.manifest()
    assert set(manifest["hosts"]) == {"app", "data", "work", "load1", "load2"}
    assert field.network.namespace("app") not in json.dumps(manifest)
    assert eventually(field.is_left_as_it_was, 60)


@pytest.mark.long
def test_ctrl_c_ends_all_hosts(field: Field) -> None:
    process = field.start("interrupted", "native,celery")
    assert eventually(lambda: bool(field.lines("steps")), 240)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert eventually(field.is_left_as_it_was, 60)


BLOWS: dict[str, Callable[[Network], None]] = {
    "a load host disappears": lambda net: kill_all(net, "load1"),
    "the link of a load host is cut for 3 s": lambda net: cut(net, "load1", 3),
    "the link of the application is cut for 3 s": lambda net: cut(net, "app", 3),
    "the link of the database is cut for 3 s": lambda net: cut(net, "data", 3),
    "the host of the workers dies": lambda net: kill_all(net, "work"),
}


@pytest.mark.long
@pytest.mark.parametrize("blow", BLOWS)
def test_what_befalls_a_host_makes_windows_void_and_the_run_goes_on(
    field: Field, blow: str
) -> None:
    name = blow.replace(" ", "-")
    strategies = "native,celery" if "workers" in blow else "native"
    code, output = field.strike(name, strategies, BLOWS[blow])
    ends = field.lines("trials")
    void = [each for each in ends if each["reasons"]]
    sound = [each for each in ends if not each["reasons"] and not each["failure"]]
    # the blow may fall between two windows
    if void:
        words = " ".join(doubt["subject"] for each in void for doubt in each["reasons"])
        assert any(word in words for word in ("cut for", "lost packets", "host", "load worker"))
    assert any(each["variant"] == "native" for each in sound), output
    assert code in (0, 4), output
    for step in field.lines("steps"):
        if step["valid"]:
            assert (step["latency"]["max_ms"] or 0) < 2900
    assert eventually(field.is_left_as_it_was, 60)
