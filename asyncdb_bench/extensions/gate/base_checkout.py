"""A revision checked out beside this checkout, in an environment of its own where it needs one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from asyncdb_bench.errors import ServiceError, UsageError
from asyncdb_bench.plan.registry import CHECKOUT

PREFIX = "asyncdb-bench-base-"


def revision_of(name: str, root: Path = CHECKOUT) -> str:
    """Return a revision's full name.

    Raises
    ------
    UsageError : no such revision, or no git repository here.
    """
    said = _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if said.returncode:
        why = said.stderr.strip() or "git knows no such revision"
        raise UsageError(f"--base {name!r}: {why} in {root}; in CI, fetch the whole history")
    return said.stdout.strip()


@contextlib.contextmanager
def checked_out(revision: str, say: Callable[[str], None], root: Path = CHECKOUT) -> Iterator[Path]:
    """Lend a checkout of a revision; it is gone afterwards.

    Parameters
    ----------
    revision : its full name.
    say : told what takes long.
    root : the repository.

    Raises
    ------
    ServiceError : it cannot be checked out, or its environment cannot be made.
    """
    _remove_stale(root)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    path = folder / "base"
    try:
        made = _git(root, "worktree", "add", "--detach", str(path), revision)
        if made.returncode:
            raise ServiceError(f"git worktree add {revision[:12]}: {made.stderr.strip()}")
        if _lock(path) != _lock(root):
            say("base has another requirements.lock: making its environment (half a minute)")
            _make_environment(path)
        yield path
    finally:
        _git(root, "worktree", "remove", "--force", str(path))
        shutil.rmtree(folder, ignore_errors=True)
        _git(root, "worktree", "prune")


def _lock(path: Path) -> bytes:
    lock = path / "requirements.lock"
    return lock.read_bytes() if lock.is_file() else b""


def _make_environment(path: Path) -> None:
    command = ["sh", "scripts/setup.sh", sys.executable, ".venv", "requirements.lock"]
    made = subprocess.run(command, cwd=path, capture_output=True, text=True, check=False)
    if made.returncode:
        last = (made.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ServiceError(f"the base's environment could not be made: {last}")


def _remove_stale(root: Path) -> None:
    """Remove what a gate that was killed has left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    _git(root, "worktree", "prune")


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", str(root), *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise UsageError(
            "git is not installed, and a base revision is checked out by it"
        ) from error
