"""The same tables for machines, spreadsheets, pull requests and CI."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from asyncdb_bench.analysis.comparison import Comparison, compare_scenarios
from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.report.exports import as_csv, as_junit, summary_rows
from tests.factories import LATE, end, manifest, step

ROOT = Path(__file__).parents[2]
ODD = '=cmd|"x"\n<b>\u202eevil'


@pytest.fixture
def tables() -> tuple[Manifest, list[Comparison]]:
    made = manifest(("native", ODD, "celery", "shaky"))
    steps = [
        step(name, load, p99=20 if load < top else 400)
        for name, top in (("native", 300), (ODD, 200))
        for load in (100, 200, 300)
    ]
    steps.append(step("shaky", 100, valid=False, reasons=(LATE,)))
    return made, compare_scenarios(
        made, steps_table(steps), [end("celery", failure="no broker")], steps
    )


def test_the_rows_fit_the_documented_schema(tables: tuple[Manifest, list[Comparison]]) -> None:
    schema = json.loads((ROOT / "docs" / "summary.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    rows = json.loads(json.dumps(summary_rows(tables[1])))
    assert len(rows) == 7
    jsonschema.validate(rows, schema)
    for name in ("p99_ms", "valid", "schema_version"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([{k: v for k, v in rows[0].items() if k != name}], schema)


def test_the_committed_reference_fits_the_schema() -> None:
    schema = json.loads((ROOT / "docs" / "summary.schema.json").read_text())
    rows = json.loads((ROOT / "results" / "reference" / "summary.json").read_text())
    jsonschema.validate(rows, schema)


def test_the_schema_describes_every_column(tables: tuple[Manifest, list[Comparison]]) -> None:
    schema = json.loads((ROOT / "docs" / "summary.schema.json").read_text())
    assert set(summary_rows(tables[1])[0]) == set(schema["items"]["properties"])


def test_the_csv_reads_back_and_holds_no_formula(tables: tuple[Manifest, list[Comparison]]) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(summary_rows(tables[1])))))
    assert len(rows) == 7
    odd = next(row["variant"] for row in rows if "evil" in row["variant"])
    assert odd == f"'{ODD}"
    assert next(r for r in rows if r["variant"] == "native")["p99_ms"] == "20.0"
    assert next(r for r in rows if r["variant"] == "shaky")["reasons"].startswith(
        "the load generator sent late: send lag p50 9.0 ms"
    )
    assert as_csv([]).strip() == ""


def test_junit_errs_on_invalid_and_skips_what_did_not_run(
    tables: tuple[Manifest, list[Comparison]],
) -> None:
    made, comparisons = tables
    suite = ET.fromstring(as_junit(made, comparisons))[0]
    assert suite.attrib | {"name": ""} == {
        "name": "", "tests": "4", "errors": "1", "skipped": "1", "failures": "0",
    }  # fmt: skip
    by_name = {case.get("name"): [child.tag for child in case] for case in suite}
    assert by_name["celery"] == ["skipped"]
    assert by_name["shaky"] == ["error"]
    assert by_name["native"] == ["system-out"]
