"""Applications of others as variants: by URL, by a table of bench.toml, from another checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.plan.targets import environment_of, repository, target_variants

TABLE = """
[targets.app]
command = ["{python}", "app.py", "{port}"]
cwd = "service"
health = "/ok"
[targets.app.env]
SECRET = "s3cret {port}"
[profiles.ours]
strategies = ["native"]
"""


@pytest.fixture
def repository_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "service").mkdir(parents=True)
        (folder / "bench.toml").write_text(TABLE)
        git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@y"]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", name]):
            subprocess.run([*git, *command], check=True)
    monkeypatch.chdir(tmp_path / "one")
    return tmp_path / "one"


def test_the_harness_interpreter_finds_asyncdb_bench(repository_folder: Path) -> None:
    (app,) = target_variants(["app"])
    assert app.target is not None
    said = subprocess.run(
        [sys.executable, "-c", "import asyncdb_bench"],
        cwd=repository_folder,
        env={"PATH": "/usr/bin:/bin"} | {"PYTHONPATH": environment_of(app.target)["PYTHONPATH"]},
        check=False,
    )
    assert said.returncode == 0


def test_a_table_a_checkout_and_addresses_become_variants(repository_folder: Path) -> None:
    app, other, named, bare = target_variants(
        ["app", "app@../two", "old=http://localhost:8001/", "http://[::1]:8000"], ["old=5,6"]
    )
    assert [each.label for each in (app, other, named, bare)] == [
        "app",
        "app@../two",
        "old",
        "[::1]:8000",
    ]
    assert app.target is not None
    assert app.target.cwd == str(repository_folder / "service")
    assert app.target.url == "http://127.0.0.1:{port}"
    assert repository(app.target) == repository_folder
    assert other.target is not None
    assert other.target.cwd == str(repository_folder.parent / "two" / "service")
    assert other.target.git["revision"] != app.target.git["revision"]
    assert named.target is not None
    assert named.target.pids == (5, 6)
    assert named.target.url == "http://localhost:8001"


def test_the_environment_is_read_when_it_is_needed_and_is_not_in_the_plan(
    repository_folder: Path,
) -> None:
    (app,) = target_variants(["app"])
    assert app.target is not None
    assert "s3cret" not in repr(app)
    assert environment_of(app.target)["SECRET"] == "s3cret {port}"


@pytest.mark.usefixtures("repository_folder")
@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("app@../three", "does not exist in that checkout"),
        ("ap", "did you mean 'app'?"),
        ("http://10.0.0.1:80", "--yes-i-own-it"),
        ("http://127.0.0.1:99999", "[Pp]ort"),
        ("localhost:8084", "write http://localhost:8084"),
        ("old=127.0.0.1:8084", "write old=http://127.0.0.1:8084"),
        ("api.example.org:80/x", "write http://api.example.org:80/x"),
        ("[::1]:8084", r"write http://\[::1\]:8084"),
        ("http://user:secretive@127.0.0.1:80", "an account stands in its URL, .*would stand"),
    ],
)
def test_what_is_wrong_is_said(wanted: str, says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("?", r"\?")) as caught:
        target_variants([wanted])
    assert "secretive" not in str(caught.value)


def test_who_owns_it_may_load_it() -> None:
    (far,) = target_variants(["http://10.0.0.1:80"], owned=True)
    assert far.label == "10.0.0.1:80"


@pytest.mark.usefixtures("repository_folder")
def test_a_plan_of_targets_adds_no_distance_and_kills_nobody() -> None:
    profiles = read_profiles()
    assert {"ours", "quick"} <= set(profiles)
    plan = make_plan(Choices(profile="blog", scenarios="read", targets=("app", "app")), profiles)
    assert [each.label for each in plan.variants] == ["app", "app#2"]
    assert [each.label for each in plan.scenarios] == ["read"]
    assert plan.scenarios[0].reach.rtt_ms == 0
    assert not plan.settings.deployment


@pytest.mark.usefixtures("repository_folder")
def test_a_working_folders_file_that_is_wrong_is_told() -> None:
    Path("bench.toml").write_text("targets = 5\n")
    with pytest.raises(UsageError, match="'targets' is no table"):
        read_profiles()
