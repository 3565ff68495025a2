"""The one thing that is copied to a host: our packages in a zip archive, made in memory."""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import asyncdb_bench_attach
from asyncdb_bench.plan.registry import CHECKOUT, PACKAGE

NAME, ATTACH = "asyncdb_bench", asyncdb_bench_attach.__name__
CARRIED = ("strategies", "scenarios")
RECEIVE = """
import io, json, os, sys, tempfile, zipfile
folder = tempfile.mkdtemp(prefix="asyncdb-bench-host-")
try:
    zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())).extractall(folder)
    missing = []
    for name in ("tornado", "sqlalchemy", "msgspec", "psutil", "locust", "celery", "pyarrow"):
        try:
            found = __import__("importlib.util").util.find_spec(name)
        except ImportError:
            found = None
        if found is None:
            missing.append(name)
    python = "%d.%d" % sys.version_info[:2]
    print(json.dumps({"folder": folder, "python": python, "missing": missing}))
except BaseException:
    __import__("shutil").rmtree(folder, ignore_errors=True)
    raise
"""
"""Run there with nothing but Python: unpacks the archive from its standard input."""


@functools.cache
def packed() -> bytes:
    """Return the archive: the packages with the strategies, scenarios and profiles they need."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _files():
            archive.writestr(name, data)
    return made.getvalue()


def _files() -> Iterator[tuple[str, bytes]]:
    yield from _folder(PACKAGE, NAME)
    yield from _folder(Path(asyncdb_bench_attach.__file__).parent, ATTACH)
    if (PACKAGE / "_builtin").is_dir():
        return
    for name in CARRIED:
        yield from _folder(CHECKOUT / name, f"{NAME}/_builtin/{name}")
    yield f"{NAME}/_builtin/bench.toml", (CHECKOUT / "bench.toml").read_bytes()


def _folder(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield f"{name}/{file.relative_to(path).as_posix()}", file.read_bytes()
