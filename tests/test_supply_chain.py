"""What is built from: actions pinned, inputs quoted, licences listed, images without rights."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def loaded(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = loaded(path)["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_may_only_read(path: Path) -> None:
    assert loaded(path)["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    for each in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each), each
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_inputs_reach_no_shell_but_as_quoted_variables(path: Path) -> None:
    for step in steps(path):
        command = step.get("run", "")
        assert "${{" not in command
        for name in step.get("env", {}):
            for place in re.finditer(rf"\$\{{?{name}\b", command):
                assert command[place.start() - 1] == '"', command
        # make expands what stands in a variable on its command line
        assert not re.search(r"\bmake\b[^&|;]*=", command), command


def test_the_licence_of_every_package_is_listed() -> None:
    page = (ROOT / "docs" / "licences.md").read_text()
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE)
    assert len(pinned) > 80
    for name, version in pinned:
        assert f"| {name} | {version} | " in page, f"{name}: run `make licences`"


def test_images_run_as_a_user_of_their_own_on_a_read_only_root() -> None:
    assert re.search(r"^USER (?!root)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    services = loaded(ROOT / "docker-compose.yml")["services"]
    ours = {name: each for name, each in services.items() if "build" in each}
    assert set(ours) == {"app", "worker", "locust", "locust-worker"}
    for each in ours.values():
        assert each["read_only"] is True
        assert each["cap_drop"] == ["ALL"]
        assert each["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ("echo 'No known vulnerabilities found'; exit 0", 0, "No known vulnerabilities"),
        ("echo 'Found 2 known vulnerabilities in 1 package'; exit 1", 1, "Found 2"),
        ("echo 'requests.exceptions.ConnectionError: no route'; exit 1", 0, "audit: not done"),
    ],
)
def test_the_audit_fails_on_what_it_finds_and_says_when_it_cannot_look(
    answer: str, code: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / "uv").write_text(f"#!/bin/sh\n{answer}\n")
    (tmp_path / "uv").chmod(0o755)
    done = subprocess.run(
        ["sh", "scripts/audit.sh", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, says in done.stdout) == (code, True), done.stdout
