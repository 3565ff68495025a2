"""What git says of a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any


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
