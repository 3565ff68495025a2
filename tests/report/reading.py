"""The committed reference, reported anew: what tests of reading look at."""

from __future__ import annotations

import shutil
from pathlib import Path

from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.report import Written, write
from tests.command_line import ROOT

REFERENCE = ROOT / "results" / "reference"


def reported_reference(folder: Path) -> Written:
    """Write the reference's report into a folder, and leave the committed files as they are."""
    copied = folder / "results" / "reference"
    shutil.copytree(REFERENCE, copied)
    return write(RunFolder(copied), folder / "reports")
