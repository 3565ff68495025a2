"""How far away the database was, in words, and what was measured at another distance. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.verdict import Verdict
from asyncdb_bench.records.plan import PlannedScenario, Reach
from asyncdb_bench.records.step import RoundTrip
from asyncdb_bench.text import number

LOOPBACK_MS = 0.2
"""A round trip below it, with nothing added, is loopback's."""
OFF_MS, OFF = 0.08, 0.10
"""How far off a round trip may be, milliseconds or a share, before the measured one is named."""


def away(reach: Reach, found: Sequence[RoundTrip]) -> str:
    """Say how far away the database was, as it was measured; empty where it was not.

    Parameters
    ----------
    reach : how it was reached.
    found : round trips of the trials.
    """
    measured = measured_ms(found, "database")
    if not measured:
        return ""
    if not reach.rtt_ms and measured < LOOPBACK_MS:
        where = f"with the database on loopback ({measured:.2f} ms)"
    elif not reach.rtt_ms:
        where = f"with the database {number(measured)} ms away, as it is"
    elif is_off(reach.rtt_ms, measured):
        where = f"with the database {number(measured, 2)} ms away, not {reach.rtt_ms:g}"
    else:
        where = f"with the database {reach.rtt_ms:g} ms away"
    if reach.via == "pgbouncer":
        where += " behind PgBouncer"
    if reach.tls:
        where += " over TLS"
    if reach.broker_rtt_ms:
        where += f" and the broker {reach.broker_rtt_ms:g} ms"
    return where


def is_off(asked_ms: float, measured_ms_: float) -> bool:
    """Return whether a round trip was not what was asked for, so that the measured one is named."""
    return abs(measured_ms_ - asked_ms) > max(OFF_MS, OFF * asked_ms)


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
