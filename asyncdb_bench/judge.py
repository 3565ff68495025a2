"""Judging a step: does the objective hold, is the measurement sound, is the variant saturated.

All of it pure. The two questions are kept apart: a saturated server is a finding, a saturated
client is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asyncdb_bench.model import Audit, Ledger, Objective, Percentiles, Tolerance

STOLEN = 0.05
"""Share of stolen CPU time from which on a reader should know of it."""
AUDIT_SLACK = 3
"""Transactions or rows that do not matter, whatever their share: a reconnection's own."""


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
    offered_rps, arrivals_rps : asked for, and really sent within the window.
    audit : what the database counted; None: it was not asked or does not tell.
    calibrated_rps : the highest rate that the client offers on schedule here; None: not known.
    intruder : who else held the machine, in words; empty: nobody.
    window_s : of the step: a rate times it is rounded to whole arrivals; 0: not considered.
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
    offered_rps: float
    arrivals_rps: float
    audit: Audit | None = None
    calibrated_rps: float | None = None
    intruder: str = ""
    window_s: float = 0.0


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


def doubts(evidence: Evidence, tolerance: Tolerance) -> tuple[str, ...]:
    """Return why the measurement is not sound, in words and figures; empty where it is."""
    return (*lasting_doubts(evidence, tolerance), *client_doubts(evidence, tolerance))


def lasting_doubts(evidence: Evidence, tolerance: Tolerance) -> list[str]:
    """Return those reasons that would be there again if the step were repeated."""
    ledger = evidence.ledger
    reasons = [] if ledger.adds_up else [f"the ledger does not add up: {ledger}"]
    if evidence.counted + ledger.undrained + ledger.skipped != ledger.scheduled:
        reasons.append(
            f"Locust counted {evidence.counted} requests, the recorder {evidence.attempted}"
        )
    if ledger.skipped:
        reasons.append(f"{ledger.skipped} arrivals skipped: too many requests under way")
    if evidence.wrong_answers:
        reasons.append(f"{evidence.wrong_answers} wrong answers")
    if evidence.connections_peak is not None and evidence.connections_peak > evidence.budget:
        reasons.append(
            f"{evidence.connections_peak} database connections, {evidence.budget} declared"
        )
    if evidence.intruder:
        reasons.append(f"another run held the machine: {evidence.intruder}")
    calibrated = evidence.calibrated_rps
    if calibrated is not None and evidence.offered_rps > calibrated:
        reasons.append(
            f"{evidence.offered_rps:,.0f}/s is beyond what the load generator offers on schedule"
            f" here ({calibrated:,.0f}/s by `bench.py calibrate`)"
        )
    return reasons + audit_doubts(evidence.audit, tolerance.audit)


def client_doubts(evidence: Evidence, tolerance: Tolerance) -> list[str]:
    """Return where the load generator was held up or near its limits, which may pass."""
    reasons = []
    if evidence.client_busy > tolerance.client_busy:
        reasons.append(
            f"the load generator was busy {evidence.client_busy:.0%} of a core"
            f" (limit {tolerance.client_busy:.0%}): spread the load or ask for less"
        )
    sendable = evidence.offered_rps * (1 - _share(evidence.ledger.skipped, evidence.ledger))
    off = abs(evidence.arrivals_rps - sendable)
    rounding = 0.5 / evidence.window_s if evidence.window_s else 0.0
    if off > tolerance.arrivals * evidence.offered_rps + rounding:
        reasons.append(
            f"arrivals at {evidence.arrivals_rps:,.1f}/s instead of {evidence.offered_rps:,.1f}/s"
            f" (limit {tolerance.arrivals:.0%})"
        )
    return reasons + _late_sends(evidence.send_lag, evidence.latency, tolerance)


def _share(count: int, ledger: Ledger) -> float:
    return count / ledger.scheduled if ledger.scheduled else 0.0


def _late_sends(send_lag: Percentiles, latency: Percentiles, tolerance: Tolerance) -> list[str]:
    late = []
    shares = {"p50": tolerance.send_lag_p50_share, "p99": tolerance.send_lag_p99_share}
    for level, share in shares.items():
        lag, whole = getattr(send_lag, f"{level}_ms"), getattr(latency, f"{level}_ms")
        if lag is None or whole is None:
            continue
        limit = max(tolerance.send_lag_floor_ms, share * whole)
        if lag > limit:
            late.append(
                f"the load generator sent late: send lag {level} {lag:.1f} ms"
                f" (limit {limit:.1f} ms)"
            )
    return late


def audit_doubts(audit: Audit | None, share: float) -> list[str]:
    """Return where the database did more or less than the ledger says.

    Parameters
    ----------
    audit : None: not known.
    share : by which they may differ.
    """
    if audit is None:
        return []
    reasons = []
    for what, seen, least, most in (
        ("transactions", audit.transactions, audit.transactions_least, audit.transactions_most),
        ("rows", audit.rows, audit.rows_least, audit.rows_most),
    ):
        if seen is None or least is None or most is None:
            continue
        low, high = least * (1 - share) - AUDIT_SLACK, most * (1 + share) + AUDIT_SLACK
        if not low <= seen <= high:
            expected = f"{least:,}" if least == most else f"{least:,} to {most:,}"
            reasons.append(
                f"the database counted {seen:,} {what}, the ledger says {expected} ({audit.source})"
            )
    return reasons


def circumstances(
    drift: float | None, *, steady: bool, jump_s: float, stolen: float = 0.0
) -> list[str]:
    """Return what a reader should know of a step that is sound nevertheless.

    Parameters
    ----------
    drift : median latency of the second half over that of the first.
    steady : whether that is within what chance makes.
    jump_s : by how much the wall clock ran away from the monotonic one, seconds.
    stolen : share of the CPU time asked for that a hypervisor took.
    """
    notes = []
    if not steady and drift is not None:
        notes.append(f"not steady: the second half's median latency is {drift:.2g} x the first's")
    if abs(jump_s) > 0.1:
        notes.append(
            f"the wall clock jumped by {jump_s:+.1f} s; latencies are on CLOCK_MONOTONIC and stand"
        )
    if stolen > STOLEN:
        notes.append(
            f"the hypervisor took more than {STOLEN:.0%} of the CPU time asked for (steal)"
        )
    return notes


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
