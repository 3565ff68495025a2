"""Runs read from Python: frames, comparisons, verdicts; and a run from a script."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import asyncdb_bench
from asyncdb_bench.errors import StoreError, UsageError
from tests.command_line import ROOT

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run two ways and two scenarios from a script; they share their launches."""
    root, said = tmp_path_factory.mktemp("script"), list[str]()
    planned = asyncdb_bench.make_plan(
        "blocking,native", "read:rows=1000,mixed:rows=1000,ms=5", "smoke", seed=5
    )
    assert [each.label for each in planned.variants] == ["blocking", "native"]
    found = asyncdb_bench.run(planned, root / "results", root / "reports", said.append)
    assert said[0] == "starting PostgreSQL"
    assert found.manifest.seed == 5
    assert (root / "reports" / "latest" / "index.html").is_file()
    return root


@pytest.fixture(scope="module")
def loaded(folder: Path) -> asyncdb_bench.LoadedRun:
    return asyncdb_bench.load_run(results=folder / "results")


def test_all_tables_of_a_run_are_frames(loaded: asyncdb_bench.LoadedRun) -> None:
    assert {"scenario", "variant", "offered_rps", "p99_ms"} <= set(loaded.steps)
    assert {"scenario", "variant", "pace_rps", "beside_leader"} <= set(loaded.summary)
    assert {"scenario", "variant", "trial", "operation", "latency_us"} <= set(loaded.requests)
    assert {"scenario", "variant", "trial"} <= set(loaded.series)
    asked = {each.label for each in loaded.manifest.plan.scenarios}
    variants = {each.label for each in loaded.manifest.plan.variants}
    for frame in (loaded.steps, loaded.requests):
        assert set(frame.scenario) == asked
        assert set(frame.variant) == variants


def test_requests_are_those_of_their_step_and_its_ledger_adds_up(
    loaded: asyncdb_bench.LoadedRun,
) -> None:
    counts = loaded.requests.groupby(["trial", "step"]).size()
    for step in loaded.folder.steps():
        if step.turn.kind == "idle":
            continue
        assert step.ledger.adds_up
        key = (step.trial, step.step)
        assert counts[key] == step.ledger.scheduled
        own = loaded.requests[(loaded.requests.trial == key[0]) & (loaded.requests.step == key[1])]
        assert set(own.scenario) == {step.scenario}
        assert set(own.operation) <= {"read", "write", "slow"}
        measured = own.latency_us.dropna()
        assert len(measured) == step.latency.n
        if len(measured):
            assert measured.max() / 1000 == pytest.approx(step.latency.max_ms, abs=0.002)


def test_verdicts_are_those_of_the_report(loaded: asyncdb_bench.LoadedRun) -> None:
    scenarios = [each.label for each in loaded.manifest.plan.scenarios]
    assert [each.scenario for each in loaded.verdicts] == scenarios
    assert all(each.sentence for each in loaded.verdicts)


def test_two_variants_are_compared(folder: Path) -> None:
    frame = asyncdb_bench.compare("native", "blocking", results=folder / "results")
    assert {"scenario", "metric", "ratio", "low", "high", "said"} <= set(frame)
    known = frame.dropna(subset=["low"])
    assert len(known)
    assert ((known.low <= known.ratio) & (known.ratio <= known.high)).all()
    assert isinstance(frame.attrs["warnings"], list)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no run 'nothing'"):
        asyncdb_bench.load_run("nothing", results=tmp_path)
    with pytest.raises((UsageError, StoreError)):
        asyncdb_bench.compare("native", "native", results=tmp_path)
    with pytest.raises(UsageError, match="unknown strategy"):
        asyncdb_bench.make_plan(strategy="nativ", scenario="read")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = asyncdb_bench.nothing


def test_the_notebook_runs_to_its_end(folder: Path) -> None:
    text = (ROOT / "docs" / "analyse.ipynb").read_text()
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    assert all(not cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
    shown = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    assert any("image/png" in out.get("data", {}) for out in shown)
    assert any("text/html" in out.get("data", {}) for out in shown)
