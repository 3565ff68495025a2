"""Processes of ours: in an environment of our own, also of another checkout or interpreter.

Somebody's application may be set up by variables that change what processes of ours do: libpq's
(which asyncpg reads, too), Celery's, Locust's, asyncio's, Python's. Applications of others
(``--target``) get all of them.

What a variant is (knobs with their defaults, parts, shares) is asked of the code that will run it:
a default that differs between two revisions is part of the difference. Load, services and
recording are this checkout's for all.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.environment_cache import EnvironmentCache
from asyncdb_bench.plan.environments import NotMadeError, code_of, environment_of
from asyncdb_bench.plan.named_versions import is_named
from asyncdb_bench.plan.registry import CHECKOUT
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.records.messages import SPOKEN, Describe, Description
from asyncdb_bench.records.plan import Elsewhere, Variant

FOREIGN = (
    *("PG", "PSYCOPG_", "CELERY", "KOMBU_", "LOCUST_", "GEVENT_", "ERL_", "RABBITMQ_"),
    *("PYTHONASYNCIODEBUG", "PYTHONDEBUG", "PYTHONDEVMODE", "PYTHONINSPECT", "PYTHONIOENCODING"),
    *("PYTHONMALLOC", "PYTHONOPTIMIZE", "PYTHONPROFILEIMPORTTIME", "PYTHONTRACEMALLOC"),
    *("PYTHONVERBOSE", "PYTHONWARNINGS"),
)
"""How their names begin."""
OF_PASSWORDS = {"PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR"}
"""What a URL without a password may be completed from."""


def is_foreign(name: str) -> bool:
    """Return whether a variable changes what processes of ours do."""
    return name.startswith(FOREIGN)


def without_foreign(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for processes of ours."""
    return {name: value for name, value in environment.items() if not is_foreign(name)}


@contextlib.contextmanager
def own_environment(keep: Collection[str] = ()) -> Iterator[tuple[str, ...]]:
    """Take foreign variables out of this process's environment, and put them back at the end.

    Parameters
    ----------
    keep : names that stay.

    Yields
    ------
    The names that were taken out.
    """
    found = {n: v for n, v in os.environ.items() if is_foreign(n) and n not in keep}
    for name in found:
        del os.environ[name]
    try:
        yield tuple(sorted(found))
    finally:
        os.environ.update(found)


def revision_and_changes(folder: Path) -> dict[str, Any]:
    """Return a checkout's revision and whether it has changes; empty outside of git."""
    revision = git_says(folder, "rev-parse", "HEAD")
    if not revision:
        return {}
    return {"revision": revision, "dirty": bool(git_says(folder, "status", "--porcelain"))}


def git_says(folder: Path, *arguments: str) -> str:
    """Return what git prints; empty where it fails or is not there."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


DESCRIBE_S = 60.0


def environment(code: Path = CHECKOUT) -> dict[str, str]:
    """Return the environment of a child: our own, with a checkout's code first on the path."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    others = [path for path in paths if Path(path) not in (code, CHECKOUT)]
    return without_foreign(os.environ) | {"PYTHONPATH": os.pathsep.join([str(code), *others])}


def resolve(at: str, root: Path | None = None) -> tuple[Path, Path]:
    """Return the code and the interpreter that a path stands for.

    Parameters
    ----------
    at : of a checkout (its ``.venv`` is used where it has one), of a virtual environment, or of an
        interpreter itself, a free-threaded one perhaps.
    root : where a relative path starts; default: the working directory.

    Raises
    ------
    UsageError : it is none of them.
    """
    path = ((root or Path.cwd()) / Path(at).expanduser()).resolve()
    if (path / "asyncdb_bench" / "app").is_dir():
        own = path / ".venv" / "bin" / "python"
        return path, own if own.exists() else Path(sys.executable)
    if (path / "bin" / "python").exists():
        return CHECKOUT, path / "bin" / "python"
    if path.is_file() and os.access(path, os.X_OK):
        # a link to an interpreter is what makes it an environment's, so it is not followed
        return CHECKOUT, (root or Path.cwd()) / Path(at).expanduser()
    what = "is neither a checkout of this project, a virtual environment nor an interpreter"
    raise UsageError(f"@{at}: {path} {what if path.exists() else 'does not exist'}")


def make_variant_elsewhere(spec: Spec, budget: int, cache: Path | None = None) -> Variant:
    """Return a variant as the code that runs it describes it.

    Parameters
    ----------
    spec : with a path or versions in `at`.
    budget : database connections that each strategy may use.
    cache : folder of the environments for named versions; None: the usual one.

    Raises
    ------
    UsageError : the path is wrong, that code refuses the request or does not import, or it speaks
        another protocol.
    NotMadeError : named versions cannot be had, or do not start.
    """
    if not is_named(spec.at):
        code, python = resolve(spec.at)
        return _described(spec, budget, code, python)
    kept = environment_of(spec.at, EnvironmentCache(cache))
    try:
        found = _described(spec, budget, code_of(kept), kept.python)
    except UsageError as error:
        raise NotMadeError(str(error)) from error
    assert found.elsewhere is not None
    ours, theirs = platform.python_version(), found.elsewhere.versions["python"]
    interpreter = {"python": (ours, theirs)} if theirs != ours else {}
    differs = {**interpreter, **kept.note.differs}
    return replace(found, elsewhere=replace(found.elsewhere, differs=differs))


def _described(spec: Spec, budget: int, code: Path, python: Path) -> Variant:
    question = Describe(spec.name, dict(spec.knobs), budget)
    try:
        said = subprocess.run(
            [str(python), "-P", "-m", "asyncdb_bench.describe"],
            input=msgspec.json.encode(question),
            capture_output=True,
            env=environment(code),
            cwd=code,
            timeout=DESCRIBE_S,
            check=True,
        )
        answer = msgspec.json.decode(said.stdout.splitlines()[-1], type=Description)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise UsageError(f"{spec.label}: {code} with {python}: {lines[-1][:300]}") from error
    except (OSError, subprocess.TimeoutExpired, IndexError, msgspec.DecodeError) as error:
        raise UsageError(f"{spec.label}: {code} with {python} does not answer: {error}") from error
    if answer.protocol not in SPOKEN:
        raise UsageError(
            f"{spec.label}: {code} speaks protocol {answer.protocol}, this checkout"
            f" {SPOKEN[0]} to {SPOKEN[-1]}: update the older of the two"
        )
    elsewhere = Elsewhere(
        path=spec.at,
        code=str(code),
        python=str(python),
        git=answer.git,
        versions=answer.versions,
        protocol=answer.protocol,
    )
    return replace(answer.variant, label=spec.label, request=spec.request, elsewhere=elsewhere)
