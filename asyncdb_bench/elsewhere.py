"""Variants of another checkout or environment: ``native@../base``, ``native@/path/to/venv``.

What a variant is (knobs with their defaults, parts, shares) is asked of the code that will run it:
a default that differs between two revisions is part of the difference. Load, services and
recording are this checkout's for all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from asyncdb_bench.errors import UsageError
from asyncdb_bench.model import Elsewhere, Part, Variant
from asyncdb_bench.plugins import CHECKOUT, Spec

DESCRIBE_S = 60.0
DESCRIBE = """
import json, sys
from dataclasses import asdict
from asyncdb_bench.knob import make_knobs, split_knobs, values_of
from asyncdb_bench.machine import git, versions
from asyncdb_bench.plan import make_variant
from asyncdb_bench.plugins import CHECKOUT, Spec, strategy_class
wanted = json.loads(sys.stdin.read())
variant = make_variant(Spec(wanted["name"], wanted["knobs"]), wanted["budget"])
cls = strategy_class(variant.strategy)
knobs = make_knobs(cls.Knobs, variant.knobs, owner=cls.name, budget=0)
shares = [
    values_of(split_knobs(knobs, knobs.processes, place, owner=cls.name))
    for place in range(knobs.processes)
]
parts = [asdict(part) for part in cls.parts(knobs)]
print(json.dumps({
    "variant": asdict(variant), "shares": shares, "parts": parts,
    "git": git(CHECKOUT), "versions": versions(),
}))
"""


def environment(code: Path = CHECKOUT) -> dict[str, str]:
    """Return the environment of a child: ours with a checkout's code first on the path."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    others = [path for path in paths if Path(path) not in (code, CHECKOUT)]
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(code), *others])}


def resolve(at: str, root: Path | None = None) -> tuple[Path, Path]:
    """Return the code and the interpreter that a path stands for.

    Parameters
    ----------
    at : of a checkout (its ``.venv`` is used where it has one) or of a virtual environment.
    root : where a relative path starts; default: the working directory.

    Raises
    ------
    UsageError : it is neither.
    """
    path = ((root or Path.cwd()) / Path(at).expanduser()).resolve()
    if (path / "asyncdb_bench" / "app").is_dir():
        own = path / ".venv" / "bin" / "python"
        return path, own if own.exists() else Path(sys.executable)
    if (path / "bin" / "python").exists():
        return CHECKOUT, path / "bin" / "python"
    what = "is neither a checkout of this project nor a virtual environment"
    raise UsageError(f"@{at}: {path} {what if path.exists() else 'does not exist'}")


def make_variant_elsewhere(spec: Spec, budget: int) -> Variant:
    """Return a variant as the code that runs it describes it.

    Parameters
    ----------
    spec : with a path in `at`.
    budget : database connections that each strategy may use.

    Raises
    ------
    UsageError : the path is wrong, or that code refuses the request or does not import.
    """
    code, python = resolve(spec.at)
    wanted = {"name": spec.name, "knobs": dict(spec.knobs), "budget": budget}
    try:
        said = subprocess.run(
            [str(python), "-P", "-c", DESCRIBE],
            input=msgspec.json.encode(wanted),
            capture_output=True,
            env=environment(code),
            cwd=code,
            timeout=DESCRIBE_S,
            check=True,
        )
        answer = msgspec.json.decode(said.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise UsageError(f"{spec.label}: {code} with {python}: {lines[-1][:300]}") from error
    except (OSError, subprocess.TimeoutExpired, IndexError, msgspec.DecodeError) as error:
        raise UsageError(f"{spec.label}: {code} with {python} does not answer: {error}") from error
    elsewhere = Elsewhere(
        path=spec.at,
        code=str(code),
        python=str(python),
        git=answer["git"],
        versions=answer["versions"],
        shares=tuple(answer["shares"]),
        parts=tuple(msgspec.convert(answer["parts"], list[Part])),
    )
    variant = msgspec.convert(answer["variant"], Variant)
    return replace(variant, label=spec.label, elsewhere=elsewhere)
