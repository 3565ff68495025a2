"""Judging a step: does the objective hold, is the measurement sound, is the variant saturated.

All of it pure. The two questions are kept apart: a saturated server is a finding, a saturated
client is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.plan import Objective, Tolerance
from asyncdb_bench.records.step import Audit, Ledger, LoadWorker, Percentiles, Turn

STOLEN = 0.05
"""Share of stolen CPU time from which on a reader should know of it."""
AUDIT_SLACK = 3
"""Transactions or rows that do not matter, whatever their share: a reconnection's own."""
CLOCK_JUMP_S = 0.1
USED_PAUSED_S = 0.002
USED_PAUSED_SHARE = 0.005
"""CPU time that a variant may use while it is paused, seconds or a share of its window: paused
processes use none."""
START_MS = 5.0
"""By how much several load processes may begin a window apart."""
BEHIND = 0.03
"""Share of the offered load that may be missing from what was completed in a turn's window."""


FAILING = 0.01
"""Share of failures from which on a closed loop of few connections, or half of a pace, is not a
load that was too much, but a variant or a service that is broken."""
FEW_FAILED = 3
REFUSALS = re.compile(
    r"read-only transaction|no space left|disk full|could not (extend|write)|too many clients"
    r"|too many connections|remaining connection slots|OOM command not allowed|maxmemory"
    r"|connection\.blocked|resource alarm|READONLY You can't write",
    re.IGNORECASE,
)
"""Words of PostgreSQL, RabbitMQ and Redis that say that they will not, whatever the load."""


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
    other_run : who else held the machine; empty: no one.
    window_s : of the step: a rate times it is rounded to whole arrivals; 0: not considered.
    delay_busy : share of a core that the delay proxy used; None: there is none.
    load : what each of several load processes did; empty: there was one.
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
    other_run: str = ""
    window_s: float = 0.0
    delay_busy: float | None = None
    load: tuple[LoadWorker, ...] = ()


def misses(objective: Objective, ledger: Ledger, latency: Percentiles) -> tuple[Doubt, ...]:
    """Return in what the objective was missed; empty where it holds."""
    missed = []
    if latency.p99_ms is None or ledger.ok == 0:
        missed.append(Doubt(DoubtKind.NO_SUCCESS))
    elif latency.p99_ms >= objective.p99_ms:
        missed.append(Doubt(DoubtKind.P99, latency.p99_ms, objective.p99_ms))
    if ledger.failed_share > objective.error_rate:
        missed.append(Doubt(DoubtKind.FAILED_SHARE, ledger.failed_share, objective.error_rate))
    return tuple(missed)


def dead(reply: StepReply, turn: Turn, *, lowest: bool) -> tuple[Doubt, ...]:
    """Return that a variant or a service is broken, by what was answered.

    Parameters
    ----------
    reply : of the load.
    turn : what it was for.
    lowest : whether no lower load is offered.
    """
    if turn.kind == "overload":
        # whatever fails in it is what it is for
        return ()
    ledger = reply.ledger
    most = max(reply.errors, key=lambda each: reply.errors[each], default="no answer")
    refused = {text: count for text, count in reply.errors.items() if REFUSALS.search(text)}
    if (times := sum(refused.values())) >= FEW_FAILED:
        text = max(refused, key=lambda each: refused[each])
        subject = f"a service refused {times} of {ledger.scheduled} requests: {text}"
        return (Doubt(DoubtKind.REFUSED, times / ledger.scheduled, subject=subject),)
    # a wrong answer is an answer, and what was not answered yet may have to wait its turn
    failed = ledger.error + ledger.timeout - reply.wrong_answers
    unanswered = failed + ledger.undrained
    if not ledger.ok and unanswered >= FEW_FAILED and (lowest or turn.kind != "rung"):
        subject = f"it answered none of {ledger.scheduled} requests: {most}"
        return (Doubt(DoubtKind.SILENT, 1.0, subject=subject),)
    within = turn.kind in ("pace", "common")
    if within and failed >= FEW_FAILED and failed > FAILING * ledger.scheduled:
        share = failed / ledger.scheduled
        subject = (
            f"{failed} of {ledger.scheduled} requests failed at a load that it carries: {most}"
        )
        return (Doubt(DoubtKind.SILENT, share, FAILING, subject=subject),)
    return ()


def behind(offered_rps: float, achieved_rps: float) -> tuple[Doubt, ...]:
    """Return that a variant did not keep up in a turn: what it leaves undone grows for ever.

    In a second a backlog stays short whatever the load, so the p99 alone would call loads carried
    that are not.
    """
    if achieved_rps >= (1 - BEHIND) * offered_rps:
        return ()
    return (Doubt(DoubtKind.BEHIND, achieved_rps, offered_rps),)


def account_doubts(evidence: Evidence, tolerance: Tolerance) -> list[Doubt]:
    """Return where a step's accounts contradict one another, or it was not alone: it is void."""
    ledger = evidence.ledger
    found = [] if ledger.adds_up else [Doubt(DoubtKind.LEDGER, subject=str(ledger))]
    if evidence.counted + ledger.undrained + ledger.skipped != ledger.scheduled:
        found.append(Doubt(DoubtKind.COUNT, evidence.counted, low=evidence.attempted))
    if ledger.skipped:
        found.append(Doubt(DoubtKind.SKIPPED, ledger.skipped))
    if evidence.wrong_answers:
        found.append(Doubt(DoubtKind.WRONG_ANSWERS, evidence.wrong_answers))
    if evidence.connections_peak is not None and evidence.connections_peak > evidence.budget:
        found.append(Doubt(DoubtKind.BUDGET, evidence.connections_peak, evidence.budget))
    if evidence.other_run:
        found.append(Doubt(DoubtKind.OTHER_RUN, subject=evidence.other_run))
    return found + audit_doubts(evidence.audit, tolerance.audit)


def client_doubts(evidence: Evidence, tolerance: Tolerance) -> list[Doubt]:
    """Return where the load generator, or the delay proxy, was late or near its limits.

    Each has a size, which is carried into the intervals of the figures that it touches; see
    :mod:`asyncdb_bench.analysis.values`.
    """
    found = []
    if evidence.client_busy > tolerance.client_busy:
        found.append(Doubt(DoubtKind.CLIENT_BUSY, evidence.client_busy, tolerance.client_busy))
    apart = max(evidence.load, key=lambda each: each.apart_ms, default=None)
    if apart is not None and apart.apart_ms > START_MS:
        found.append(Doubt(DoubtKind.STARTS_APART, apart.apart_ms, START_MS, subject=apart.name))
    if evidence.delay_busy is not None and evidence.delay_busy > tolerance.delay_busy:
        found.append(Doubt(DoubtKind.DELAY_BUSY, evidence.delay_busy, tolerance.delay_busy))
    ledger, offered = evidence.ledger, evidence.offered_rps
    skipped = ledger.skipped / ledger.scheduled if ledger.scheduled else 0.0
    off = abs(evidence.arrivals_rps - offered * (1 - skipped))
    rounding = 0.5 / evidence.window_s if evidence.window_s else 0.0
    if off > tolerance.arrivals * offered + rounding:
        found.append(
            Doubt(DoubtKind.ARRIVALS, evidence.arrivals_rps, tolerance.arrivals, offered, offered)
        )
    return found + _late_sends(evidence.send_lag, evidence.latency, tolerance)


def _late_sends(send_lag: Percentiles, latency: Percentiles, tolerance: Tolerance) -> list[Doubt]:
    late = []
    for level, lag, whole, share in (
        ("p50", send_lag.p50_ms, latency.p50_ms, tolerance.send_lag_p50_share),
        ("p99", send_lag.p99_ms, latency.p99_ms, tolerance.send_lag_p99_share),
    ):
        if lag is None or whole is None:
            continue
        limit = max(tolerance.send_lag_floor_ms, share * whole)
        if lag > limit:
            late.append(Doubt(DoubtKind.SEND_LAG, lag, limit, subject=level))
    return late


def audit_doubts(audit: Audit | None, share: float) -> list[Doubt]:
    """Return where the database did more or less than the ledger says.

    Parameters
    ----------
    audit : None: not known.
    share : by which they may differ.
    """
    if audit is None:
        return []
    found = []
    for kind, seen, least, most in (
        (
            DoubtKind.TRANSACTIONS,
            audit.transactions,
            audit.transactions_least,
            audit.transactions_most,
        ),
        (DoubtKind.ROWS, audit.rows, audit.rows_least, audit.rows_most),
    ):
        if seen is None or least is None or most is None:
            continue
        low, high = least * (1 - share) - AUDIT_SLACK, most * (1 + share) + AUDIT_SLACK
        if not low <= seen <= high:
            found.append(Doubt(kind, seen, share, least, most, audit.source))
    return found


def undecided(
    objective: Objective, latency: Percentiles, service: Percentiles, doubts: Sequence[Doubt]
) -> tuple[Doubt, ...]:
    """Return the doubts that leave open whether the objective held.

    What the client sent late it waited itself: the true p99 lies between that from the actual send
    and that from the intended arrival.

    Parameters
    ----------
    objective : of the scenario.
    latency, service : from the intended arrival, and from the actual send.
    doubts : of the client.
    """
    high, low = latency.p99_ms, service.p99_ms
    late = tuple(each for each in doubts if each.kind is DoubtKind.SEND_LAG)
    if not late or high is None or low is None or not low < objective.p99_ms <= high:
        return ()
    return late


def circumstances(jump_s: float, unwatched: str = "") -> list[Doubt]:
    """Return what a reader should know of a step that is sound nevertheless.

    Parameters
    ----------
    jump_s : by how much the wall clock ran away from the monotonic one, seconds.
    unwatched : why the database could not be watched; empty: it could.
    """
    found = []
    if abs(jump_s) > CLOCK_JUMP_S:
        found.append(Doubt(DoubtKind.CLOCK_JUMP, jump_s, CLOCK_JUMP_S))
    if unwatched:
        found.append(Doubt(DoubtKind.UNWATCHED, subject=unwatched))
    return found


def turn_notes(turn: Turn, window_s: float) -> list[Doubt]:
    """Return that a variant used CPU time while it was paused, more than signals take.

    Parameters
    ----------
    turn : of the variant.
    window_s : length of its window, for the share that it makes.
    """
    if turn.used_while_paused <= max(USED_PAUSED_S, USED_PAUSED_SHARE * window_s):
        return []
    return [Doubt(DoubtKind.OTHERS_RAN, turn.used_while_paused, USED_PAUSED_S)]


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
