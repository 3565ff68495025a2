"""The package without the folder that reaches other machines."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from asyncdb_bench.plan.registry import CHECKOUT
from tests.command_line import without_services


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout whose folder ``extensions/hosts`` was deleted."""
    folder = tmp_path_factory.mktemp("without")
    ignored = shutil.ignore_patterns("__pycache__", "hosts")
    for name in ("asyncdb_bench", "asyncdb_bench_attach", "strategies", "scenarios"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=ignored)
    for name in ("bench.py", "bench.toml"):
        shutil.copy(CHECKOUT / name, folder)
    assert not (folder / "asyncdb_bench" / "extensions" / "hosts").exists()
    return folder


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "bench.py", *arguments],
        cwd=folder,
        env=without_services() | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_plans_a_run_and_can_import_what_runs_it(without: Path) -> None:
    planned = bench(without, "plan", "--profile", "smoke", "--strategy", "native")
    assert planned.returncode == 0, planned.stderr
    program = "import asyncdb_bench.whole_run as w; print(w.__file__)"
    imported = subprocess.run(
        [sys.executable, "-c", program], cwd=without, capture_output=True, text=True, check=False
    )
    assert imported.stdout.startswith(str(without)), imported.stderr


def test_a_file_of_hosts_is_refused(without: Path) -> None:
    (without / "hosts.toml").write_text('[hosts.app1]\nroles = ["application"]\n')
    refused = bench(without, "plan", "--profile", "smoke", "--hosts", "hosts.toml")
    assert refused.returncode == 2
    assert "--hosts: asyncdb_bench/extensions/hosts is not installed here" in refused.stderr
