"""Runs read from Python: frames, comparisons, verdicts; and a run from a script."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

import asyncdb_bench
from asyncdb_bench.errors import StoreError, UsageError
from tests.command_line import ROOT

REFERENCE = ROOT / "results" / "reference"


@pytest.fixture(scope="module")
def loaded() -> asyncdb_bench.LoadedRun:
    return asyncdb_bench.load_run(REFERENCE)


def test_all_tables_of_a_run_are_frames(loaded: asyncdb_bench.LoadedRun) -> None:
    assert {"scenario", "variant", "offered_rps", "p99_ms"} <= set(loaded.steps)
    assert {"scenario", "variant", "pace_rps", "beside_leader"} <= set(loaded.summary)
    assert {"scenario", "variant", "trial", "operation", "latency_us"} <= set(loaded.requests)
    assert {"scenario", "variant", "trial"} <= set(loaded.series)
    variants = {each.label for each in loaded.manifest.plan.variants}
    assert set(loaded.requests.variant.dropna()) == variants


def test_a_percentile_of_the_requests_is_that_of_the_steps(
    loaded: asyncdb_bench.LoadedRun,
) -> None:
    step = loaded.steps[loaded.steps.requests > 1000].iloc[0]
    own = loaded.requests[
        (loaded.requests.trial == step.trial) & (loaded.requests.step == step.step)
    ]
    measured = own.latency_us.dropna().quantile(0.5) / 1000
    assert measured == pytest.approx(step.p50_ms, rel=0.02)


def test_verdicts_are_those_of_the_report(loaded: asyncdb_bench.LoadedRun) -> None:
    scenarios = [each.label for each in loaded.manifest.plan.scenarios]
    assert [each.scenario for each in loaded.verdicts] == scenarios
    assert all(each.sentence for each in loaded.verdicts)


def test_two_variants_are_compared(tmp_path: Path) -> None:
    shutil.copytree(REFERENCE, tmp_path / "latest")
    frame = asyncdb_bench.compare("native", "executor", results=tmp_path)
    assert {"scenario", "figure", "ratio", "low", "high", "verdict"} <= set(frame)
    known = frame.dropna(subset=["low"])
    assert ((known.low <= known.ratio) & (known.ratio <= known.high)).all()
    assert isinstance(frame.attrs["warnings"], list)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no run 'nothing'"):
        asyncdb_bench.load_run("nothing", results=tmp_path)
    with pytest.raises(UsageError):
        asyncdb_bench.compare(REFERENCE, REFERENCE)
    with pytest.raises(UsageError, match="unknown strategy"):
        asyncdb_bench.make_plan(strategy="nativ", scenario="read")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = asyncdb_bench.nothing


@pytest.mark.services
def test_a_run_from_a_script(tmp_path: Path) -> None:
    said: list[str] = []
    planned = asyncdb_bench.make_plan("blocking,native", "read:rows=1000", "smoke", seed=5)
    assert [each.label for each in planned.variants] == ["blocking", "native"]
    found = asyncdb_bench.run(planned, tmp_path / "results", tmp_path / "reports", said.append)
    assert said[0] == "starting PostgreSQL"
    assert isinstance(found.steps, pd.DataFrame)
    assert set(found.steps.variant) == {"blocking", "native"}
    assert found.manifest.seed == 5
    assert (tmp_path / "reports" / "latest" / "index.html").is_file()


def test_the_notebook_runs_to_its_end(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "analyse.ipynb").read_text()
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    assert all(not cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    shutil.copytree(REFERENCE, tmp_path / "results" / "latest")
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
    shown = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    assert any("image/png" in out.get("data", {}) for out in shown)
    assert any("text/html" in out.get("data", {}) for out in shown)
