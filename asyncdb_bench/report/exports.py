"""A report's tables for machines, spreadsheets, pull requests and CI. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pandas as pd

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.decision import measured_ms
from asyncdb_bench.analysis.findings import ScenarioFindings
from asyncdb_bench.analysis.inference import CAPACITY, CPU, GOODPUT, PACE
from asyncdb_bench.analysis.limits import Limit
from asyncdb_bench.analysis.metric_table import Answer
from asyncdb_bench.analysis.tables import row_without_load
from asyncdb_bench.analysis.verdict import rate
from asyncdb_bench.records.doubts import Doubt, sentence, sentences
from asyncdb_bench.records.run import SCHEMA_VERSION, Manifest
from asyncdb_bench.records.step import RoundTrip
from asyncdb_bench.report.document import Document
from asyncdb_bench.report.quantities import beside_text
from asyncdb_bench.text import number, xml_text


def render_json(document: Document) -> str:
    """Return a document as JSON; figures without their drawings."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def read_json(text: str) -> Document:
    """Return the document that a JSON text holds.

    Raises
    ------
    msgspec.ValidationError : it holds none.
    """
    return msgspec.json.decode(text, type=Document)


def summary_rows(manifest: Manifest, comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return the rows of ``summary.json``: one per scenario, variant and offered load.

    A variant that was asked at full speed alone has one row, of no load. Their schema is
    ``docs/summary.schema.json``.
    """
    strategies = {each.label: each.strategy for each in manifest.plan.variants}
    rows: list[dict[str, Any]] = []
    for comparison in comparisons:
        rows += _rows_of(comparison, strategies)
    return rows


def _rows_of(comparison: Comparison, strategies: Mapping[str, str]) -> list[dict[str, Any]]:
    by_load: list[dict[Any, Any]] = comparison.by_load.to_dict("records")
    at_a_load = {row["variant"] for row in by_load}
    by_load += [
        row_without_load(comparison.scenario, name, strategies[name])
        | {
            "valid": name not in comparison.invalid,
            "reasons": list(comparison.invalid.get(name, ())),
        }
        for name in comparison.capacities
        if name not in at_a_load
    ]
    rows = []
    for row in by_load:
        carried = comparison.capacities[row["variant"]]
        rows.append(
            {"schema_version": SCHEMA_VERSION}
            | {str(key): _plain(value) for key, value in row.items()}
            | {
                "at_common_load": row["offered_rps"] is not None
                and row["offered_rps"] == comparison.common_rps,
                "capacity_rps": carried.rps,
                "capacity_rps_low": carried.low,
                "capacity_rps_high": carried.high,
                "capacity_open_ended": carried.open_ended,
                "capacity_tried": carried.tried,
                "capacity_sound": row["variant"] not in comparison.invalid,
            }
            | _trip_row(comparison.round_trips)
            | _findings_row(comparison.findings, row["variant"])
            | _overload_row(comparison.findings, row["variant"])
            | _limit_row(comparison.limits.get(row["variant"]))
        )
    return rows


def _trip_row(found: Sequence[RoundTrip]) -> dict[str, Any]:
    """Return the round trips of a scenario's trials: asked for (0: as it is), and measured."""
    asked = {each.asked_ms for each in found if each.to == "database"}
    return {
        "rtt_ms": asked.pop() if len(asked) == 1 else None,
        "rtt_measured_ms": measured_ms(found, "database") or None,
        "broker_rtt_measured_ms": measured_ms(found, "broker") or None,
    }


def _findings_row(found: ScenarioFindings, variant: str) -> dict[str, Any]:
    """Return a variant's figures by metric, and what they say of it beside the leader."""
    rest = found.rest.get(variant)
    return {
        "measured": "ladder" if found.main is CAPACITY else "turns",
        "pace_rps": found.tables[PACE.name].values.get(variant),
        "cpu_ms_net": found.tables[CPU.name].values.get(variant),
        "cpu_ms_gross": found.gross_ms.get(variant),
        "rest_cores": rest.busy if rest else None,
        "beside_leader": {
            metric: _answer_row(each)
            for metric, answers in found.answers.items()
            for each in answers
            if each.other == variant and each.ratio is not None
        },
    }


def _overload_row(found: ScenarioFindings, variant: str) -> dict[str, Any]:
    """Return what a variant's overloads come to; nulls where it had none."""
    own, table = found.overloads.get(variant), found.tables.get(GOODPUT.name)
    low, high = (table.bounds(variant) if table is not None else None) or (None, None)
    told = ("before", "during", "after", "recovery_s", "for_nobody", "sessions")
    return {
        "goodput_share": table.values.get(variant) if table is not None else None,
        "goodput_share_low": low,
        "goodput_share_high": high,
        **{f"overload_{name}": getattr(own, name) if own is not None else None for name in told},
    }


def _answer_row(each: Answer) -> dict[str, Any]:
    assert each.ratio is not None
    low, high = each.ratio.bounds or (None, None)
    within = each.ratio.within
    return {
        "leader": each.one,
        "ratio": each.ratio.ratio,
        "low": low,
        "high": high,
        "said": str(each.said),
        "within": within if np.isfinite(within) else None,
    }


def _limit_row(found: Limit | None) -> dict[str, Any]:
    diagnosis = found.diagnosis if found else None
    limit = found.ceiling if found else None
    return {
        "bottleneck": diagnosis.bottleneck if diagnosis else None,
        "evidence": diagnosis.evidence if diagnosis else None,
        "ceiling_rps": limit.rps if limit else None,
        "ceiling_law": limit.law if limit else None,
        "ceiling_ratio": found.ratio if found else None,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [sentence(each) if isinstance(each, Doubt) else each for each in value]
    if isinstance(value, float) and np.isnan(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows of ``summary.json`` as CSV (RFC 4180); lists joined by semicolons.

    A text that a spreadsheet would take for a formula is preceded by an apostrophe.
    """
    cells = [{name: _csv_cell(value) for name, value in row.items()} for row in rows]
    return pd.DataFrame(cells, dtype=object).to_csv(index=False, lineterminator="\r\n")


def _csv_cell(value: Any) -> Any:
    if isinstance(value, dict):
        value = "; ".join(
            f"{metric} {each['ratio']:.3g} {each['said']}" for metric, each in value.items()
        )
    if isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return value


def _in_words(comparison: Comparison, name: str) -> str:
    """Return a variant's figure by the metric that ranks, and how it stands beside the leader."""
    found = comparison.findings
    if found.main is GOODPUT and name in found.table.values:
        value = f"{number(found.table.values[name])} of its pace in an overload"
    elif found.main is GOODPUT:
        return "not overloaded"
    elif found.main is CAPACITY:
        value = rate(comparison.capacities[name])
    else:
        value = f"{number(found.table.values[name])}/s"
    if name == found.leader:
        return f"{value}, the best" if found.beside else f"{value}, nothing beside it"
    return f"{value}, {beside_text(found.said(found.main.name, name))}"


def as_junit(manifest: Manifest, comparisons: Sequence[Comparison]) -> str:
    """Return a test case per scenario and variant as JUnit XML.

    A capacity that rests on invalid steps is an error, a variant that did not run is skipped, each
    with its reason. A slow variant is no failure: a run compares, it does not demand.
    """
    return render_junit(f"asyncdb-bench {manifest.run_id}", _cases(comparisons))


def _cases(comparisons: Sequence[Comparison]) -> Iterator[Case]:
    for each in comparisons:
        for name in each.capacities:
            if reasons := each.invalid.get(name):
                yield Case(each.scenario, name, sentences(reasons), "error", "invalid")
            else:
                yield Case(each.scenario, name, _in_words(each, name))
        for name, reason in each.not_run.items():
            if name in each.invalid:
                yield Case(each.scenario, name, reason, "error", "invalid")
            else:
                yield Case(each.scenario, name, reason, "skipped")


class Case(NamedTuple):
    """A test case: group and name, a text, and what became of it with the kind of that.

    Without an outcome it passed, and the text is its output.
    """

    group: str
    name: str
    text: str
    outcome: Literal["", "error", "failure", "skipped"] = ""
    kind: str = ""


def render_junit(name: str, cases: Iterable[Case]) -> str:
    """Return test cases as JUnit XML.

    Parameters
    ----------
    name : of the suite.
    cases : in the order in which they are written.
    """
    suite = ET.Element("testsuite", name=xml_text(name))
    for each in cases:
        case = ET.SubElement(
            suite, "testcase", classname=xml_text(each.group), name=xml_text(each.name)
        )
        if each.outcome:
            how = {"type": each.kind} if each.kind else {}
            ET.SubElement(case, each.outcome, how, message=xml_text(each.text))
        else:
            ET.SubElement(case, "system-out").text = xml_text(each.text)
    counts = Counter(each.tag for each in suite.iter())
    for attribute, tag in (
        ("tests", "testcase"), ("errors", "error"), ("skipped", "skipped"), ("failures", "failure"),
    ):  # fmt: skip
        suite.set(attribute, str(counts[tag]))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
