"""Files of hosts, the ways to them, and what is copied there: nothing is started."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from asyncdb_bench.errors import UsageError
from asyncdb_bench.extensions.hosts.agent import Losses, losses
from asyncdb_bench.extensions.hosts.archive import packed
from asyncdb_bench.extensions.hosts.hosts_file import misfits, read_hosts
from asyncdb_bench.extensions.hosts.ways import command, job_manifest
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.records.plan import Host, Hosts, Plan

GOOD = """
[harness]
address = "10.0.0.1"
[hosts.app1]
roles = ["application"]
address = "10.0.0.2"
key = "~/.ssh/bench"
user = "bench"
cores = {application = "0-1"}
[hosts.load1]
roles = ["load", "workers"]
via = "podman"
container = "load"
load_processes = 4
"""


def read(folder: Path, text: str) -> Hosts:
    path = folder / "hosts.toml"
    path.write_text(text)
    return read_hosts(path)


def test_a_file_says_who_plays_which_role_and_how_it_is_reached(tmp_path: Path) -> None:
    hosts = read(tmp_path, GOOD)
    app, load = hosts.all
    assert (app.via, app.address, app.cores) == ("ssh", "10.0.0.2", {"application": (0, 1)})
    assert (load.via, load.load_processes, load.address) == ("podman", 4, "load1")
    assert hosts.of("workers") == (load,)
    assert hosts.of("database") == ()


def test_what_results_show_of_hosts_is_not_how_they_are_reached(tmp_path: Path) -> None:
    written = repr(read(tmp_path, GOOD).shown())
    assert "~/.ssh/bench" not in written
    assert "container" not in written
    assert "app1" in written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no host"),
        ("nonsense", "hosts.toml: "),
        ("[host.a]\nroles = []", "'host' is neither"),
        ('[hosts.a]\nroles = ["cook"]', r"\[hosts.a\] role 'cook'; known: application"),
        ("[hosts.a]\nroles = []", "plays no role"),
        ('[hosts.a]\nroles = ["load"]\nvia = "pigeon"', "via='pigeon'; known: local, ssh"),
        ('[hosts.a]\nroles = ["load"]\nvia = "docker"', "needs container"),
        ('[hosts.a]\nroles = ["load"]\npassword = "x"', "reached with keys alone"),
        ('[hosts.a]\nroles = ["load"]', r"say in \[harness\] by which address"),
        ('[hosts.a]\nroles = ["application"]\ncores = {application = "x"}', "cores read 0-1"),
        ('[hosts.a]\nroles = ["load"]\nload_processes = 99', "outside 1..64"),
        ('[hosts.a]\nroles = ["load"]\nports = 1', "unknown field `ports`"),
        (
            '[hosts.a]\nroles = ["application"]\n[hosts.b]\nroles = ["application"]',
            "application is played by a and b, not by one",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_hosts(tmp_path / "none.toml")


def planned(tmp_path: Path) -> Plan:
    (tmp_path / "hosts.toml").write_text(GOOD)
    hosts = tmp_path / "hosts.toml"
    return make_plan(
        Choices("smoke", "native", "read", 1, {}, hosts=hosts, far=True), read_profiles()
    )


def test_a_plan_has_its_hosts_and_measures_no_deployment(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert [each.name for each in plan.hosts.all] == ["app1", "load1"]
    assert not plan.settings.deployment
    assert misfits(plan.hosts, plan.settings, plan.variants, far=True) == []


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"far": False}, "DATABASE_URL"),
        ({"overrides": {"rtt_ms": 1.0}}, "put between on this machine alone"),
        ({"strategies": "tests/plugins/faulty.py:Silent"}, "cannot be run on another host"),
        ({"scenarios": "chat"}, "would mix the clocks"),
    ],
)
def test_what_does_not_go_with_other_hosts_is_refused(
    tmp_path: Path, choices: dict[str, Any], said: str
) -> None:
    (tmp_path / "hosts.toml").write_text(GOOD)
    given: dict[str, Any] = {
        "profile": "smoke",
        "strategies": "native",
        "scenarios": "read",
        "seed": 1,
        "overrides": {},
        "far": True,
        "hosts": tmp_path / "hosts.toml",
    }
    with pytest.raises(UsageError, match=said):
        make_plan(Choices(**{**given, **choices}), read_profiles())


def host(via: str, **options: str) -> Host:
    return Host("h", ("load",), "10.0.0.9", via, options=options, command=("nsenter", "-t", "7"))


def test_the_ways_are_command_lines() -> None:
    program, environment = ["python3", "-m", "thing"], {"A": "b c"}
    inner = ["env", "A=b c", *program]
    assert command(host("command"), program, environment) == ["nsenter", "-t", "7", *inner]
    assert command(host("docker", container="c", context="far"), program, environment) == [
        *("docker", "--context", "far", "exec", "--interactive", "c"),
        *inner,
    ]
    assert command(host("podman", container="c", context="far"), program)[:3] == [
        *("podman", "--connection", "far"),
    ]
    made = command(host("kubernetes", image="i", namespace="n"), program, environment, "job-1")
    assert made == [
        *("kubectl", "--namespace", "n", "exec", "--stdin", "--quiet", "job/job-1", "--"),
        *inner,
    ]
    over_ssh = command(host("ssh", user="u", key="~/k"), program, environment)
    assert over_ssh[0] == "ssh"
    assert {"-oBatchMode=yes", "-oUser=u", "-oIdentityFile=~/k"} <= set(over_ssh)
    assert over_ssh[-2:] == ["10.0.0.9", "env 'A=b c' python3 -m thing"]


@pytest.mark.parametrize("cores", [{}, {"load": (0, 1)}])
def test_the_job_that_stands_for_a_host_fits_kubernetes(cores: dict[str, tuple[int, ...]]) -> None:
    where = Host("h", ("load",), "h", "kubernetes", cores=cores, options={"image": "bench:1"})
    made = json.loads(job_manifest(where, "asyncdb-bench-1"))
    kubernetes_validate.validate(made, "1.35", strict=True)
    assert made["spec"]["activeDeadlineSeconds"] > 0


def test_what_is_copied_is_both_packages() -> None:
    with zipfile.ZipFile(io.BytesIO(packed())) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert "asyncdb_bench/extensions/hosts/agent.py" in names
    assert "asyncdb_bench/_builtin/strategies/native.py" in names
    assert "asyncdb_bench/_builtin/bench.toml" in names
    assert "asyncdb_bench_attach/timing.py" in names
    assert not any("tests/" in each or "__pycache__" in each for each in names)


def test_what_sockets_without_a_process_wait_for_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "netstat").write_text(f"TcpExt: Other TCPTimeouts\nTcpExt: 5 {70}\n")
    line = "   0: {} 02 01 0:0 1:1 {:08X} 0 0 {} 1\n"
    header = "  sl  local rem st tx tr retrnsmt uid timeout inode\n"
    sockets = [("1:1", 9, 0), ("1:2", 4, 777), ("1:3", 0, 0)]
    (tmp_path / "tcp").write_text(header + "".join(line.format(*each) for each in sockets))
    found = losses(tmp_path)
    assert found == Losses(70, {"1:1 02": 9})
    assert Losses(90, {"1:1 02": 25}).since(found) == 4
    assert Losses(90, {"1:9 02": 3}).since(found) == 20 - 3 - 2, "one is new, one is gone"
    assert Losses(71, {}).since(found) == 0, "what its peer answered at last"
    assert losses(tmp_path / "none") == Losses(0, {})
