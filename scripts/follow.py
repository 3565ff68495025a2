"""Follow a tutorial word for word in an empty folder, and say how many minutes each part took.

``.venv/bin/python scripts/follow.py docs/tutorials/decide.md``. Blocks marked ``sh`` are run,
others that have a title are written to that file, one after another as in one terminal. This
checkout lies where the tutorials expect a clone.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(
    r'^(## [^\n]+)$|^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced block: under which heading, in which language, to which file, with which text."""

    heading: str
    language: str
    title: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page that are to be followed, in order.

    Parameters
    ----------
    page : its Markdown.
    """
    heading = ""
    for found in _BLOCK.finditer(page):
        if found[1]:
            heading = found[1].removeprefix("## ")
        elif found[2] == "sh" or found[3]:
            yield Block(heading, found[2], found[3] or "", found[4])


def follow(page: Path, folder: Path) -> dict[str, float]:
    """Follow a tutorial; return the seconds of each of its parts by heading.

    Parameters
    ----------
    page : the tutorial.
    folder : empty; what is run begins there.

    Raises
    ------
    subprocess.CalledProcessError : a block failed.
    """
    took: dict[str, float] = {}
    (folder / "asyncdb-bench").symlink_to(ROOT)
    here, where = folder, folder / ".where"
    for block in blocks(page.read_text()):
        began = time.monotonic()
        if block.title:
            (here / block.title).write_text(block.text)
        else:
            script = f"{block.text}\npwd >{shlex.quote(str(where))}"
            subprocess.run(["bash", "-ec", script], cwd=here, check=True)
            here = Path(where.read_text().strip())
        took[block.heading] = took.get(block.heading, 0.0) + time.monotonic() - began
    return took


def main() -> None:
    """Follow the tutorials that are named."""
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory(prefix="asyncdb-bench-tutorial-") as folder:
            took = follow(Path(name), Path(folder))
        print(f"{name}: {sum(took.values()) / 60:.1f} min")
        for heading, seconds in took.items():
            print(f"  {seconds:6.1f} s  {heading or 'the beginning'}")


if __name__ == "__main__":
    main()
