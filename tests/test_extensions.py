"""Each extension's folder can be deleted: the core imports and answers, without its verbs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pkgutil import iter_modules

import pytest

from asyncdb_bench import extensions
from tests.command_line import LONGEST_S, ROOT, lock_in, without_services

pytestmark = pytest.mark.e2e

ALL = "all of them"
NAMES = [each.name for each in iter_modules(extensions.__path__)]
COPIED = ("asyncdb_bench", "asyncdb_bench_attach", "strategies", "scenarios")
IMPORTS_ALL = """
import importlib, pkgutil
import asyncdb_bench.load.__main__  # patches sockets: before anything else
import asyncdb_bench
for each in pkgutil.walk_packages(asyncdb_bench.__path__, "asyncdb_bench."):
    if each.name.startswith("asyncdb_bench.extensions."):
        continue
    # entry points, which run or want an environment when they are imported
    if not each.name.endswith((".__main__", ".celery_standalone")):
        importlib.import_module(each.name)
"""


class Copy:
    """A copy of the checkout, from which extensions can be taken out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.extensions = folder / "asyncdb_bench" / "extensions"
        for name in COPIED:
            shutil.copytree(ROOT / name, folder / name)
        for name in ("bench.py", "bench.toml", "pyproject.toml"):
            shutil.copy2(ROOT / name, folder / name)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the copy, on its modules and none of the checkout's."""
        environment = without_services() | lock_in(self.folder)
        environment.pop("PYTHONPATH", None)
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
            env=environment | {"PYTHONPATH": str(self.folder), "COLUMNS": "100"},
        )

    @contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """Take extensions out, and put them back afterwards."""
        taken = self.folder / "taken"
        taken.mkdir()
        for name in names:
            (self.extensions / name).rename(taken / name)
        try:
            yield
        finally:
            for name in names:
                (taken / name).rename(self.extensions / name)
            taken.rmdir()


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("copy"))


def verbs_of(name: str) -> set[str]:
    return set(getattr(__import__(f"{extensions.__name__}.{name}", fromlist=["_"]), "VERBS", {}))


@pytest.mark.parametrize("deleted", [*NAMES, ALL])
def test_the_core_answers_without_an_extension(copy: Copy, deleted: str) -> None:
    names = NAMES if deleted == ALL else [deleted]
    with copy.without(*names):
        done = copy.python("-c", IMPORTS_ALL)
        assert done.returncode == 0, done.stderr
        shown = copy.python("bench.py", "--help")
        assert shown.returncode == 0, shown.stderr
        there = {line.split()[0] for line in shown.stdout.splitlines() if line.startswith("  ")}
        assert {"run", "plan", "list"} <= there
        for name in names:
            assert not verbs_of(name) & there, f"{name}'s verbs are offered without it"
        for verb in ("list", "plan"):
            done = copy.python("bench.py", verb)
            assert done.returncode == 0, done.stderr


def test_what_an_extension_would_measure_is_refused_without_it(copy: Copy) -> None:
    with copy.without("deployment"):
        done = copy.python("bench.py", "plan", "--profile", "blog")
        assert done.returncode == 2
        assert done.stderr.startswith("error: --deployment: asyncdb_bench/extensions/deployment")
        assert copy.python("bench.py", "plan", "--no-deployment").returncode == 0


@pytest.mark.services
def test_a_run_is_measured_and_reported_without_any(copy: Copy) -> None:
    with copy.without(*NAMES):
        done = copy.python("bench.py", "run", "--profile", "smoke")
        assert done.returncode in {0, 4}, done.stderr
        assert "report: reports/" in done.stdout
        assert (copy.folder / "reports" / "latest" / "index.html").is_file()
