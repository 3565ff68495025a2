"""The one thing that is copied to a host: our packages as a wheel (PEP 427), packed in memory."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import asyncdb_bench_attach
from asyncdb_bench.plan.registry import CHECKOUT, PACKAGE

NAME, ATTACH = "asyncdb_bench", asyncdb_bench_attach.__name__
VERSION = asyncdb_bench_attach.__version__
CARRIED = ("strategies", "scenarios")
STAMP = (2020, 1, 1, 0, 0, 0)
"""Of all files, so that the same code is the same wheel."""
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
"""Run there with nothing but Python: unpacks the wheel from its standard input."""


@functools.cache
def packed() -> bytes:
    """Return the wheel: the packages with the strategies, scenarios and profiles they need."""
    made = io.BytesIO()
    info = f"{NAME}-{VERSION}.dist-info"
    files = dict(_files())
    about = f"Metadata-Version: 2.1\nName: asyncdb-bench\nVersion: {VERSION}\n"
    files[f"{info}/METADATA"] = about.encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in sorted(files.items())]
    record = f"{info}/RECORD"
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in sorted(files.items()):
            wheel.writestr(zipfile.ZipInfo(name, STAMP), data, zipfile.ZIP_DEFLATED)
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


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
