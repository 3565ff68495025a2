"""Judging a step: does the objective hold, is the measurement sound, is the variant saturated.

All of it pure. The two questions are kept apart: a saturated server is a finding, a saturated
client is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asyncdb_bench.model import Ledger, Objective, Percentiles

SEND_LAG_FLOOR_MS = 2.0
SEND_LAG_SHARE = {"p50": 0.05, "p99": 0.10}
CLIENT_BUSY = 0.90


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a step's judgement rests on.

    Parameters
    ----------
    ledger : of the step.
    latency, send_lag : milliseconds.
    client_busy : share of one core that the load generator used during the window.
    attempted, counted : requests that our recorder and that Locust itself saw.
    wrong_answers : answers that failed their operation's check.
    budget, connections_peak : declared and observed database connections; None: not observed.
    """

    ledger: Ledger
    latency: Percentiles
    send_lag: Percentiles
    client_busy: float
    attempted: int
    counted: int
    wrong_answers: int
    budget: int
    connections_peak: int | None


def misses(objective: Objective, ledger: Ledger, latency: Percentiles) -> tuple[str, ...]:
    """Return in what the objective was missed; empty where it holds."""
    missed = []
    if latency.p99_ms is None or ledger.ok == 0:
        missed.append("no request succeeded")
    elif latency.p99_ms >= objective.p99_ms:
        missed.append(f"p99 {latency.p99_ms:.0f} ms, objective < {objective.p99_ms:g} ms")
    if ledger.failed_share > objective.error_rate:
        missed.append(f"{ledger.failed_share:.1%} failed, objective < {objective.error_rate:.1%}")
    return tuple(missed)


def doubts(evidence: Evidence) -> tuple[str, ...]:
    """Return why the measurement is not sound, in words and figures; empty where it is."""
    reasons = []
    ledger = evidence.ledger
    if not ledger.adds_up:
        reasons.append(f"the ledger does not add up: {ledger}")
    if evidence.counted + ledger.undrained + ledger.skipped != ledger.scheduled:
        reasons.append(
            f"Locust counted {evidence.counted} requests, the recorder {evidence.attempted}"
        )
    if evidence.client_busy > CLIENT_BUSY:
        reasons.append(
            f"the load generator was busy {evidence.client_busy:.0%} of a core"
            f" (limit {CLIENT_BUSY:.0%}): spread the load or ask for less"
        )
    if ledger.skipped:
        reasons.append(f"{ledger.skipped} arrivals skipped: too many requests under way")
    if evidence.wrong_answers:
        reasons.append(f"{evidence.wrong_answers} wrong answers")
    if evidence.connections_peak is not None and evidence.connections_peak > evidence.budget:
        reasons.append(
            f"{evidence.connections_peak} database connections, {evidence.budget} declared"
        )
    return (*reasons, *_late_sends(evidence.send_lag, evidence.latency))


def _late_sends(send_lag: Percentiles, latency: Percentiles) -> list[str]:
    late = []
    for level, share in SEND_LAG_SHARE.items():
        lag, whole = getattr(send_lag, f"{level}_ms"), getattr(latency, f"{level}_ms")
        if lag is None or whole is None:
            continue
        limit = max(SEND_LAG_FLOOR_MS, share * whole)
        if lag > limit:
            late.append(
                f"the load generator sent late: send lag {level} {lag:.1f} ms"
                f" (limit {limit:.1f} ms)"
            )
    return late


def is_saturated(
    objective: Objective,
    ledger: Ledger,
    latency: Percentiles,
    offered_rps: float,
    achieved_rps: float,
) -> bool:
    """Return whether the variant is so far beyond its capacity that higher loads add nothing."""
    far = latency.p99_ms is None or latency.p99_ms > 3 * objective.p99_ms
    return far or ledger.failed_share > 0.05 or achieved_rps < 0.85 * offered_rps


def describe_errors(errors: Mapping[str, int], most: int = 3) -> str:
    """Return the most frequent reasons of failure in one line."""
    ranked = sorted(errors.items(), key=lambda each: -each[1])[:most]
    return "; ".join(f"{count} x {reason}" for reason, count in ranked)
