"""Doubts: typed on disk, words only where people read; other schemas are refused."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.errors import StoreError
from asyncdb_bench.records.doubts import BREAKING, Doubt, DoubtKind, sentence, sentences
from asyncdb_bench.records.plan import Pinning
from asyncdb_bench.records.run import SCHEMA_VERSION
from asyncdb_bench.records.run_folder import RunFolder, make_run_folder
from asyncdb_bench.report.parts.doubts import remedies_of
from tests.factories import manifest, step

numbers = st.one_of(st.none(), st.floats(0, 1e9, allow_nan=False))


@given(st.sampled_from(DoubtKind), numbers, numbers, numbers, st.text(max_size=30))
def test_every_kind_has_words_whatever_its_figures(
    kind: DoubtKind, measured: float | None, limit: float | None, low: float | None, subject: str
) -> None:
    said = sentence(Doubt(kind, measured, limit, low, low, subject))
    assert isinstance(said, str)
    assert "None" not in said.replace(subject, "")
    assert "{" not in said.replace(subject, "")


@given(st.sampled_from(DoubtKind), numbers, st.text(max_size=30))
def test_a_doubt_survives_the_disk(kind: DoubtKind, measured: float | None, subject: str) -> None:
    doubt = Doubt(kind, measured, subject=subject)
    assert msgspec.json.decode(msgspec.json.encode(doubt), type=Doubt) == doubt


def test_what_breaks_a_trial_and_what_to_do() -> None:
    assert not Doubt(DoubtKind.SEND_LAG).breaking
    assert Doubt(DoubtKind.DIED).breaking
    assert all(Doubt(kind).remedy for kind in BREAKING)
    assert Doubt(DoubtKind.P99).remedy == "", "a slow server is a finding"


def test_who_has_a_core_of_its_own_is_not_told_to_get_one() -> None:
    late = [step("native", valid=False, reasons=(Doubt(DoubtKind.SEND_LAG, 9, 2),))]
    shares = Pinning({"app": (0,), "postgresql": (1,), "load": (1,)})
    alone = Pinning({"app": (0,), "postgresql": (1,), "load": (2,)})
    for pinning in (Pinning(), shares):
        assert "a core of its own (--cpus)" in remedies_of(late, (), pinning)[0]
    assert remedies_of(late, (), alone)[0].startswith("leave the load generator's core to it alone")


def test_several_are_one_line() -> None:
    said = sentences([Doubt(DoubtKind.BUDGET, 9, 8), Doubt(DoubtKind.WRONG_ANSWERS, 3)])
    assert said == "9 database connections, 8 declared; 3 wrong answers"


def test_a_step_keeps_its_doubts_on_disk(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path, "run")
    folder.write_manifest(manifest())
    why = Doubt(DoubtKind.SEND_LAG, 9, 2, subject="p50")
    folder.append_step(step("native", valid=False, reasons=(why,)))
    (line,) = (folder.path / "steps.jsonl").read_text().splitlines()
    (stored,) = json.loads(line)["reasons"]
    assert (stored["kind"], stored["measured"], stored["limit"]) == ("send_lag", 9, 2)
    (read,) = folder.steps()
    assert read.reasons == (why,)


@pytest.mark.parametrize("version", [1, SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
def test_other_schemas_are_refused(tmp_path: Path, version: int) -> None:
    folder = make_run_folder(tmp_path, "run")
    folder.write_manifest(manifest(schema_version=version))
    with pytest.raises(StoreError, match=f"schema {version}, this version reads {SCHEMA_VERSION}"):
        RunFolder(folder.path).manifest()
