"""Which load workers a run has, and what of that is refused before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.errors import UsageError
from asyncdb_bench.load.set_messages import Hello, unlike
from asyncdb_bench.plan.load_workers import Workers
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.processes.load_set import read_token
from asyncdb_bench.records.plan import Host, Hosts, Plan
from tests import factories


def planned(scenario: str = "read", **overrides: Any) -> Plan:
    return make_plan(Choices("smoke", "native", scenario, 1, overrides), read_profiles())


def workers(**overrides: Any) -> Workers:
    return Workers.of(planned(**overrides).settings, Hosts())


def test_one_process_needs_no_master_and_several_do() -> None:
    assert not workers().several
    assert workers(load_processes=4).several
    assert workers(locust_web=8089).several
    assert Workers().bound() == ("127.0.0.1", 0)
    assert Workers(expected=2).bound() == ("0.0.0.0", 5557)
    assert Workers(master="[::1]:7000").bound() == ("::1", 7000)


@pytest.mark.parametrize(
    ("scenario", "overrides", "said"),
    [
        ("read", {"load_processes": 65}, "load_processes=65 is outside 0..64"),
        ("read", {"load_processes": 0}, "leaves no one to offer load"),
        ("read", {"load_master": "somewhere"}, "should read HOST:PORT"),
        ("read", {"load_master": "a:99999"}, "should read HOST:PORT"),
        ("read", {"expect_load_workers": 2}, "say by --address where it listens"),
        ("chat", {"load_processes": 2}, "would mix the clocks of several"),
    ],
)
def test_what_cannot_be_is_refused(scenario: str, overrides: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        planned(scenario, **overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        {"expect_load_workers": 2, "address": "10.0.0.1"},
        {"expect_load_workers": 2, "load_master": "127.0.0.1:7000"},
        {"expect_load_workers": 2, "load_processes": 0, "load_master": "localhost:7000"},
    ],
)
def test_what_can_be_is_planned(overrides: dict[str, Any]) -> None:
    assert workers(**overrides).count >= 2


def test_load_of_hosts_takes_the_place_of_this_machine_s_unless_both_are_asked_for() -> None:
    hosts = Hosts((Host("a", ("load",), "a", "ssh", load_processes=3),), "10.0.0.1")
    assert Workers.of(factories.settings(), hosts).count == 3
    assert Workers.of(factories.settings(load_processes=2), hosts).count == 5
    assert Workers.of(factories.settings(), Hosts()).count == 1


def test_the_token_is_taken_out_of_the_environment() -> None:
    environment = {"ASYNCDB_BENCH_TOKEN": "a-long-random-token"}
    assert read_token("", environment) == "a-long-random-token"
    assert environment == {}
    assert read_token("", environment) == ""
    with pytest.raises(UsageError, match="shorter than 8"):
        read_token("", {"ASYNCDB_BENCH_TOKEN": "short"})


def test_a_token_is_in_a_file_and_in_no_command_line(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-long-random-token\n")
    assert read_token(f"@{file}", {"ASYNCDB_BENCH_TOKEN": "another-one"}) == "a-long-random-token"
    with pytest.raises(UsageError, match="--token takes @FILE"):
        read_token("a-long-random-token", {})
    with pytest.raises(UsageError, match="No such file"):
        read_token(f"@{tmp_path}/none", {})


HERE = Hello(version="0.8.0", protocol=2, python="3.11", numpy="2.4.0", host="h")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"host": "other"}, ""),
        ({"version": "0.7.0"}, "it runs asyncdb-bench 0.7.0, the harness 0.8.0"),
        ({"protocol": 3}, "it runs protocol 3"),
        ({"numpy": "2.5.0"}, "it runs NumPy 2.5.0, the harness 2.4.0"),
        ({"python": "3.13"}, "it runs Python 3.13, the harness 3.11: install the same there"),
    ],
)
def test_a_worker_of_another_version_is_refused(change: dict[str, Any], said: str) -> None:
    import msgspec

    found = unlike(HERE, msgspec.structs.replace(HERE, **change))
    assert found.startswith(said)
    assert bool(found) == bool(said)
