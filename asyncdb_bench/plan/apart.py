"""The environment of strategies whose packages exclude ours: its own few packages, then ours.

``python -m asyncdb_bench.plan.apart`` makes it, in a folder of the environment that it is run from.
Its interpreter finds what is in that folder first, and all else where we find it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

from asyncdb_bench.contract.strategy import Strategy

FOLDER = "queues"
COMMAND = "python -m asyncdb_bench.plan.apart"
LOCK = Path(__file__).resolve().parents[2] / "requirements-apart.lock"
WANTED = ("arq>=0.28", "saq[redis]>=0.26")
"""Where there is no lock; as the group `apart` of pyproject.toml."""
SITE = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


def is_apart() -> bool:
    """Return whether this process runs from such an environment."""
    return (Path(sys.prefix) / SITE / "ours.pth").is_file()


def environment_of(cls: type[Strategy[Any]]) -> str:
    """Return the environment that a strategy runs from; empty: this one, or it is not made yet."""
    made = Path(sys.prefix) / FOLDER
    if not cls.apart or is_apart() or not (made / SITE / "ours.pth").is_file():
        return ""
    return os.path.relpath(made) if made.is_relative_to(Path.cwd()) else str(made)


def main() -> int:
    """Make the environment anew; the last file written says that it is whole."""
    made = Path(sys.prefix) / FOLDER
    if is_apart():
        print("this is that environment: run it from the one beside it", file=sys.stderr)  # noqa: T201
        return 2
    shutil.rmtree(made, ignore_errors=True)
    venv.create(made, symlinks=True, with_pip=False)
    wanted = ["--no-deps", "--require-hashes", "-r", str(LOCK)] if LOCK.is_file() else [*WANTED]
    python = str(made / "bin" / "python")
    uv = Path(sys.prefix) / "bin" / "uv"
    command = [str(uv), "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    if not uv.exists():
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    if code := subprocess.run([*command, *wanted], check=False).returncode:
        print(f"error: arq and saq could not be installed into {made}", file=sys.stderr)  # noqa: T201
        return code
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (made / SITE / "ours.pth").write_text("".join(f"{each}\n" for each in sorted(ours)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
