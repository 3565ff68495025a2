"""How far away the database was, in words, and what was measured at another distance. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.turn_verdict import pace_sentence
from asyncdb_bench.analysis.verdict_parts import Verdict
from asyncdb_bench.records.plan import PlannedScenario, Reach
from asyncdb_bench.records.step import RoundTrip
from asyncdb_bench.text import number

LOOPBACK_MS = 0.2
"""A round trip below it, with nothing added, is loopback's."""


def away(reach: Reach, found: Sequence[RoundTrip]) -> str:
    """Say how far away the database was; empty where that was not measured.

    Parameters
    ----------
    reach : how it was reached.
    found : round trips of the trials.
    """
    measured = measured_ms(found, "database")
    if reach.rtt_ms:
        where = f"with the database {reach.rtt_ms:g} ms away"
    elif not measured:
        return ""
    elif measured < LOOPBACK_MS:
        where = f"with the database on loopback ({measured:.2f} ms)"
    else:
        where = f"with the database {number(measured)} ms away, as it is"
    if reach.via == "pgbouncer":
        where += " behind PgBouncer"
    if reach.tls:
        where += " over TLS"
    if reach.broker_rtt_ms:
        where += f" and the broker {reach.broker_rtt_ms:g} ms"
    return where


def measured_ms(found: Sequence[RoundTrip], to: str) -> float:
    """Return the median of what was measured, milliseconds; 0: nothing was."""
    known = sorted(
        each.measured_ms for each in found if each.to == to and each.measured_ms is not None
    )
    return known[len(known) // 2] if known else 0.0


def placed(verdict: Verdict, asked: PlannedScenario, comparison: Comparison) -> Verdict:
    """Return a verdict that says how far away the database was.

    Parameters
    ----------
    verdict, comparison : of the scenario.
    asked : it; where variants differ in how they reach the database nothing is said.
    """
    where = away(asked.reach, comparison.round_trips)
    asked_ms = {each.asked_ms for each in comparison.round_trips if each.to == "database"}
    if not where or len(asked_ms) > 1:
        return verdict
    return replace(verdict, sentence=f"{where}, {verdict.sentence}")


def beside(asked: PlannedScenario, comparison: Comparison, verdict: Verdict) -> Verdict:
    """Return a verdict that says what the pace was at another distance, too.

    Parameters
    ----------
    asked, comparison : of the scenario that was measured beside it.
    verdict : of the main one.
    """
    found = comparison.turns
    if found is None or not found.leader:
        return verdict
    where = away(asked.reach, comparison.round_trips) or f"{asked.reach.rtt_ms:g} ms away"
    text = f"{where} instead, {pace_sentence(found)}"
    return replace(verdict, conditions=(*verdict.conditions, text))


def trip_rows(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return the round trips that trials really had, by scenario and what they lead to."""
    rows = []
    for comparison in comparisons:
        for to, asked_ms in dict.fromkeys((t.to, t.asked_ms) for t in comparison.round_trips):
            seen = [
                value
                for each in comparison.round_trips
                if (each.to, each.asked_ms) == (to, asked_ms)
                for value in (each.before_ms, each.after_ms)
                if value is not None
            ]
            rows.append(
                {
                    "scenario": comparison.scenario,
                    "to": to,
                    "asked_ms": asked_ms,
                    "median_ms": sorted(seen)[len(seen) // 2],
                    "low_ms": min(seen),
                    "high_ms": max(seen),
                    "looks": len(seen),
                }
            )
    return rows
