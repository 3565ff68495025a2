"""What tests of the report share: the committed reference, reported anew."""

from __future__ import annotations

import shutil

import pytest

from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.report.write import Written, write
from tests.command_line import ROOT


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The reference's report, written anew; the committed files stay as they are."""
    folder = tmp_path_factory.mktemp("reference")
    copied = folder / "results" / "reference"
    shutil.copytree(ROOT / "results" / "reference", copied)
    return write(RunFolder(copied), folder / "reports")
