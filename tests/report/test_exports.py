"""The same tables for machines, spreadsheets, pull requests and CI."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.report.write import Written
from tests.command_line import ROOT
from tests.factories import LATE, end, manifest, turn
from tests.made_turns import Truth, measured_turns
from tests.report.made import climbed, reported, without_figures

ODD = '=cmd|"x"\n<b>\u202eevil'
SCHEMA = json.loads((ROOT / "docs" / "summary.schema.json").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Written, list[dict[str, Any]]]:
    """A written report and its ``summary.json``: turns, a ladder, full speed alone."""
    folder = tmp_path_factory.mktemp("run")
    made = manifest(("native", ODD, "celery", "shaky"), ("read", "climbed", "quick"))
    truths = {"native": Truth(1000, 5), ODD: Truth(500, 8)}
    steps = measured_turns(truths, launches=2, rounds=6)
    steps += [turn("shaky", 900, number=n, valid=False, reasons=(LATE,)) for n in range(3)]
    steps += climbed("native", ODD, scenario="climbed")
    steps += [turn(name, 50, number=n, scenario="quick") for n in range(4) for name in truths]
    steps += [turn("shaky", 50, "common", valid=False, reasons=(LATE,))]
    with without_figures():
        written = reported(folder, made, steps, [end("celery", failure="no broker")])
    return written, RunFolder(folder / "results" / made.run_id).summary()


def test_a_written_summary_is_as_its_schema_says(
    run: tuple[Written, list[dict[str, Any]]],
) -> None:
    rows = run[1]
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(rows, SCHEMA)
    assert {row["measured"] for row in rows} == {"turns", "ladder"}
    for row in rows:
        assert set(row) == set(SCHEMA["items"]["properties"]) == set(SCHEMA["items"]["required"])
    for name, wrong in (("p99_ms", "fast"), ("schema_version", 6), ("measured", "guessed")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([rows[0] | {name: wrong}], SCHEMA)


def test_the_committed_reference_is_as_its_schema_says() -> None:
    rows = json.loads((ROOT / "results" / "reference" / "summary.json").read_text())
    assert rows
    jsonschema.validate(rows, SCHEMA)


def test_a_variant_asked_at_full_speed_alone_has_one_row_with_its_pace(
    run: tuple[Written, list[dict[str, Any]]],
) -> None:
    rows = [row for row in run[1] if row["scenario"] == "quick" and row["variant"] == "native"]
    (row,) = rows
    assert (row["offered_rps"], row["at_common_load"]) == (None, False)
    assert row["pace_rps"] == pytest.approx(50)
    assert not row["capacity_tried"]


def test_figures_and_answers_are_those_of_the_page(
    run: tuple[Written, list[dict[str, Any]]],
) -> None:
    written, rows = run
    found = written.comparisons[0].findings
    own = [row for row in rows if row["scenario"] == "read" and row["at_common_load"]]
    assert {row["variant"] for row in own} >= {"native", ODD}
    for row in own:
        assert row["pace_rps"] == pytest.approx(found.tables["pace_rps"].values[row["variant"]])
    beside = next(row for row in own if row["variant"] == ODD)["beside_leader"]
    assert beside["pace_rps"]["said"] == beside["p50_ms"]["said"] == "worse"
    assert beside["pace_rps"]["low"] < 0.5 < beside["pace_rps"]["high"]


def test_the_csv_reads_back_and_holds_no_formula(
    run: tuple[Written, list[dict[str, Any]]],
) -> None:
    path: Path = run[0].path.with_name("summary.csv")
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode())))
    assert len(rows) == len(run[1])
    assert f"'{ODD}" in {row["variant"] for row in rows}
    assert ODD not in {row["variant"] for row in rows}
    native = next(row for row in rows if row["scenario"] == "climbed")
    assert native["p99_ms"] == "20.0"


def test_junit_errs_on_invalid_and_skips_what_did_not_run(
    run: tuple[Written, list[dict[str, Any]]],
) -> None:
    root = ET.fromstring(run[0].path.with_name("junit.xml").read_bytes())
    tags = {
        str(case.get("name")): [child.tag for child in case]
        for case in root.iter("testcase")
        if case.get("classname") == "read"
    }
    assert tags["native"] == ["system-out"]
    assert tags["celery"] == ["skipped"]
    assert tags["shaky"] == ["error"]
    assert root[0].get("failures") == "0"
