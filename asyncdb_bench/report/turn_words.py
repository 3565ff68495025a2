"""Answers as a table's cells: ratio, interval, and which of the three answers it is. Pure."""

from __future__ import annotations

from asyncdb_bench.analysis.turn_verdict import percent_within, times
from asyncdb_bench.analysis.turns.answers import Answer, Said
from asyncdb_bench.analysis.turns.findings import CAPACITY, TurnFindings
from asyncdb_bench.analysis.turns.values import CPU, FREEZE, P50, P95, P99, PACE

AXES_SHOWN = (
    (PACE.name, "pace"),
    (CAPACITY.name, "capacity"),
    (P50.name, "p50"),
    (P95.name, "p95"),
    (P99.name, "p99"),
    (FREEZE.name, "loop lag p99"),
    (CPU.name, "CPU per request"),
)


def ratio_text(each: Answer) -> str:
    """Return a ratio with its interval."""
    assert each.ratio is not None
    bounds = each.ratio.bounds
    if bounds is None:
        return f"{each.ratio.ratio:.2f} x"
    return times((each.ratio.ratio, *bounds))


def said_text(each: Answer) -> str:
    """Return an answer in a word or two."""
    if each.said is Said.SAME and each.ratio is not None:
        return f"the same within {percent_within(each.ratio)}"
    return "not known" if each.said is Said.UNKNOWN else str(each.said)


def beside_leader(found: TurnFindings, variant: str) -> str:
    """Return a pace beside the best: ``best``, or the ratio and what is said of it."""
    if variant == found.leader:
        return "best"
    each = found.said(PACE.name, variant)
    if each is None or each.ratio is None:
        return "not compared"
    text = ratio_text(each)
    return text if each.said in (Said.WORSE, Said.BETTER) else f"{text}, {said_text(each)}"
