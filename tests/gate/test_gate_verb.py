"""A gate that measures, as a user types it: in a clone whose base revision does not start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.command_line import ROOT, lock_in, without_services

pytestmark = pytest.mark.e2e
ASKED = (
    *("--profile", "smoke", "--strategy", "native:pool=2"),
    *("--scenario", "read:rows=1000", "--seed", "3"),
)


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder as somebody."""
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository whose first revision does not start and whose second does."""
    folder = tmp_path_factory.mktemp("clone") / "project"
    folder.mkdir()
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if source.is_file() and not name.startswith(("results/", "reports/", "docs/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(source.read_bytes())
    application = folder / "asyncdb_bench" / "app" / "__main__.py"
    whole = application.read_text()
    application.write_text('raise SystemExit("no base")\n')
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "does not start")
    git(folder, "tag", "broken")
    application.write_text(whole)
    git(folder, "commit", "-qam", "starts")
    return folder


def gate(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "bench.py", "gate", *ASKED, *arguments],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=without_services() | lock_in(clone.parent),
    )


def test_a_base_that_does_not_start_is_told_with_its_log_and_head_is_measured(clone: Path) -> None:
    ended = gate(clone, "--base", "broken", "--time-budget", "30", "--junit", "out/junit.xml")
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert "gate: not sound" in ended.stdout
    assert "its log: no base" in ended.stdout
    lines = (clone / "results" / "latest" / "steps.jsonl").read_text().splitlines()
    assert {json.loads(line)["variant"] for line in lines} == {"native:pool=2"}
    suite = ET.parse(clone / "out" / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "5")


def test_a_gate_within_its_time_says_what_it_could_tell_and_leaves_nothing(clone: Path) -> None:
    ended = gate(clone, "--base", "HEAD", "--time-budget", "30", "--history")
    assert ended.returncode in {0, 4}, ended.stdout + ended.stderr
    *_, results, report = ended.stdout.strip().splitlines()
    assert results.startswith("results: results/")
    page = clone / report.removeprefix("report: ")
    assert "How it decides" in page.read_text()
    assert (page.parent / "index.html").is_file(), "the run's own report lies beside it"
    result = json.loads((clone / "results" / "latest" / "gate.json").read_text())
    decided = {each["metric"]["name"] for each in result["decisions"]}
    assert decided == {"pace_rps", "p50_ms", "p95_ms", "loop_lag_p99_ms", "cpu_ms_per_request"}
    manifest = json.loads((clone / "results" / "latest" / "manifest.json").read_text())
    labels = {each["label"] for each in manifest["plan"]["variants"]}
    assert labels == {"native:pool=2", "native:pool=2@base", "native:pool=2@base#2"}
    assert manifest["canary"]["cpu_ms"] > 0
    assert "points kept" in ended.stdout
    assert (clone / "results" / "history.sqlite").is_file()
    assert len(git(clone, "worktree", "list").splitlines()) == 1
