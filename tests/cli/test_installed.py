"""The wheel in an empty environment and an empty folder, with plug-ins of a package beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

import asyncdb_bench
from tests.command_line import ROOT, lock_in

pytestmark = pytest.mark.e2e
UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")


def run(
    *command: str | Path, cwd: Path, timeout_s: float = 500, path: str = "/usr/bin:/bin"
) -> subprocess.CompletedProcess[str]:
    """Run with an environment of PATH and HOME alone, without RabbitMQ on the path."""
    kept = {"PATH": path, "HOME": os.environ.get("HOME", "/")} | lock_in(cwd)
    return subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


def uv(*arguments: str | Path) -> None:
    assert UV is not None
    said = subprocess.run([UV, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`asyncdb-bench` of an environment in which nothing but the wheels was installed."""
    if UV is None:
        pytest.skip("uv is not there")
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    # what git has: the working tree may hold results and an environment
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (
            name.startswith(("results/", "reports/", "tests/", "docs/"))
            or not (ROOT / name).is_file()
        ):
            continue
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    for package in (source, source / "asyncdb_bench_attach", ROOT / "tests/plugins/package"):
        uv(
            *("build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable),
            *("--out-dir", folder / "dist", package),
        )
    environment = folder / "environment"
    uv("venv", "--quiet", "--python", sys.executable, environment)
    uv(
        *("pip", "install", "--quiet", "--python", environment / "bin" / "python"),
        *("--constraint", ROOT / "requirements.lock"),
        *sorted((folder / "dist").glob("*.whl")),
    )
    yield environment / "bin" / "asyncdb-bench"
    shutil.rmtree(folder, ignore_errors=True)


def test_it_runs_in_an_empty_folder_with_plug_ins_of_all_three_places(
    program: Path, tmp_path: Path
) -> None:
    (tmp_path / "strategies").mkdir()
    built_in = ROOT / "strategies" / "blocking.py"
    text = built_in.read_text().replace('name = "blocking"', 'name = "here"')
    (tmp_path / "strategies" / "here.py").write_text(text)
    (tmp_path / "bench.toml").write_text(
        '[profiles.tiny]\nstrategies = ["native", "ours", "here"]\nscenarios = ["our_work"]\n'
        "blocks = 1\nrounds = 1\nwarmup_s = 0.3\nwindow_s = 1\nwindow_max_s = 1\nmin_arrivals = 1\n"
        "drain_s = 1\ntimeout_s = 5\ntime_budget_s = 0\n"
    )
    listed = run(program, "list", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    for line in ("ours", "here", "our_work", "celery", "fortunes", "tiny"):
        assert f"  {line} " in listed.stdout
    assert "bench.py" not in listed.stdout
    done = run(program, "run", "--profile", "tiny", cwd=tmp_path)
    assert done.returncode in {0, 4}, done.stdout + done.stderr
    lines = (tmp_path / "results" / "latest" / "steps.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines]
    # whether a turn was sound is the machine's affair
    assert {each["variant"] for each in steps} == {"native", "ours", "here"}, done.stdout
    assert all(each["ledger"]["ok"] for each in steps if each["turn"]["kind"] != "idle")
    page = (tmp_path / "reports" / "latest" / "index.html").read_text()
    assert "bench.py" not in page
    assert "bench.py" not in done.stdout
    left = [
        each
        for each in psutil.process_iter(["exe"])
        if str(program.parent) in str(each.info["exe"])
    ]
    assert left == []


def test_a_name_of_a_built_in_one_is_refused(program: Path, tmp_path: Path) -> None:
    (tmp_path / "strategies").mkdir()
    shutil.copy(ROOT / "strategies" / "native.py", tmp_path / "strategies")
    done = run(program, "plan", "--strategy", "native", cwd=tmp_path)
    assert done.returncode == 2
    assert "native.py has the name of a built-in strategy: rename it" in done.stderr


def test_init_lays_out_a_folder_whose_example_conforms(program: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    made = run(program, "init", folder, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    checked = run(program, "check", "example", "--strategies", "native", cwd=folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    planned = run(program, "plan", "--scenario", "example", cwd=folder)
    assert planned.returncode == 0, planned.stderr
    workflow = yaml.safe_load((folder / ".github/workflows/performance.yml").read_text())
    assert "gate" in workflow["jobs"]
    words = "run --strategy blocking,executor,native --scenario example"
    here = run("make", "-n", "bench", cwd=folder)
    assert here.stdout == f"{program.with_name('python')} -m asyncdb_bench {words}\n"
    found = run("make", "-n", "bench", cwd=folder, path=f"{program.parent}:/usr/bin:/bin")
    assert found.stdout == f"asyncdb-bench {words}\n"
    again = run(program, "init", folder, cwd=tmp_path)
    assert again.returncode == 2
    assert "exist already; nothing was written" in again.stderr


def test_the_module_is_the_command_line_and_completes(program: Path, tmp_path: Path) -> None:
    python = program.with_name("python")
    shown = run(python, "-m", "asyncdb_bench", "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "Measure how a Tornado application" in shown.stdout
    version = run(program, "--version", cwd=tmp_path)
    assert version.stdout == f"asyncdb-bench {asyncdb_bench.__version__}\n"
    assert list(program.parents[1].glob("lib/*/site-packages/asyncdb_bench/py.typed"))
    completed = subprocess.run(
        [str(program)],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "_ASYNCDB_BENCH_COMPLETE": "complete_bash",
            "COMP_WORDS": "asyncdb-bench run --strategy blocking,exec",
            "COMP_CWORD": "3",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.stdout.split() == ["blocking,executor"]
