"""A step's records -> the line of ``steps.jsonl`` that judges it. No I/O but the clocks."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from asyncdb_bench import stats
from asyncdb_bench.backlog import Curve, summary
from asyncdb_bench.chatstats import chat
from asyncdb_bench.judge import Evidence, circumstances, doubts, lasting_doubts, misses
from asyncdb_bench.model import (
    Audit,
    Backlog,
    Chat,
    Ledger,
    Objective,
    Segment,
    Step,
    TaskQueue,
    Tolerance,
    Trial,
    Variant,
)
from asyncdb_bench.monitor import Observed
from asyncdb_bench.observe import Times
from asyncdb_bench.queues import doubts_about


class Clocks:
    """Wall clock and monotonic clock at one moment."""

    def __init__(self) -> None:
        self.started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._wall_s, self._monotonic_s = time.time(), time.monotonic()

    def jump_s(self) -> float:
        """Return by how much the wall clock has run away from the monotonic one since, seconds."""
        return (time.time() - self._wall_s) - (time.monotonic() - self._monotonic_s)


@dataclass(frozen=True, slots=True)
class Measured:
    """A step's records, before they are judged; `attempt` counts how often it was offered."""

    number: int
    rate: float
    window_s: float
    clocks: Clocks
    jump_s: float
    times: Times
    reply: dict[str, Any]
    seen: Observed
    lag_us: Any
    gauges: dict[str, float]
    waiting: Curve | None = None
    tasks: TaskQueue | None = None
    attempt: int = 1

    @property
    def ledger(self) -> Ledger:
        """Where its arrivals went."""
        return Ledger(**self.reply["ledger"])


@dataclass(frozen=True, slots=True)
class Context:
    """What all steps of a trial have in common.

    Parameters
    ----------
    run_id, trial, variant, objective, tolerance : of the run.
    calibrated_rps : the highest rate that the client offers on schedule; None: not calibrated.
    counts_rows : whether every operation of the scenario declares its rows.
    shape, mean_factor : how the arrival rate changes during a step, and its mean over the base.
    """

    run_id: str
    trial: Trial
    variant: Variant
    objective: Objective
    tolerance: Tolerance
    calibrated_rps: float | None
    counts_rows: bool
    shape: tuple[Segment, ...] = ()
    mean_factor: float = 1.0


def judged_step(
    context: Context, measured: Measured, intruder: str, *, may_repeat: bool = False
) -> Step:
    """Return a step with its figures and what they are worth.

    Parameters
    ----------
    context : of the trial.
    measured : the records.
    intruder : who else held the machine meanwhile, in words; empty: nobody.
    may_repeat : whether there is time to offer it again where what made it invalid may pass.
    """
    times, reply, seen = measured.times, measured.reply, measured.seen
    ledger = measured.ledger
    latency = stats.percentiles(times.latency_us)
    send_lag = stats.percentiles(times.send_lag_us)
    audit = step_audit(context, measured)
    evidence = Evidence(
        ledger=ledger,
        latency=latency,
        send_lag=send_lag,
        client_busy=reply["cpu_s"] / measured.window_s,
        attempted=reply["attempted"],
        counted=reply["locust_count"],
        wrong_answers=sum(
            count for why, count in reply["errors"].items() if why.startswith("wrong answer")
        ),
        budget=context.variant.budget,
        connections_peak=seen.connections_peak,
        offered_rps=measured.rate * context.mean_factor,
        arrivals_rps=times.arrivals_rps,
        audit=audit,
        calibrated_rps=context.calibrated_rps,
        intruder=intruder,
        window_s=measured.window_s,
    )
    missed = misses(context.objective, ledger, latency)
    reasons = doubts(evidence, context.tolerance)
    if may_repeat and measured.attempt == 1 and seen.stolen > context.tolerance.steal:
        # no reason to doubt the step, only to prefer another; where there is steal all the time
        # there is nothing to prefer
        reasons += (
            f"the hypervisor took {seen.stolen:.0%} of the CPU time asked for (limit"
            f" {context.tolerance.steal:.0%})",
        )
    notes = circumstances(
        times.drift, steady=times.steady, jump_s=measured.jump_s, stolen=seen.stolen
    )
    return Step(
        run_id=context.run_id,
        trial=context.trial.id,
        block=context.trial.block,
        scenario=context.trial.scenario,
        variant=context.trial.variant,
        strategy=context.variant.strategy,
        step=measured.number,
        offered_rps=measured.rate,
        achieved_rps=times.achieved_rps,
        window_s=measured.window_s,
        started_at=measured.clocks.started_at,
        ledger=ledger,
        latency=latency,
        latency_bounds=stats.bounds(times.latency_us),
        service=stats.percentiles(times.service_us),
        send_lag=send_lag,
        loop_lag=stats.percentiles(measured.lag_us),
        usage=seen.usage,
        connections_peak=seen.connections_peak,
        connections_active_peak=seen.connections_active_peak,
        gauges=measured.gauges,
        errors=reply["errors"],
        holds=not missed,
        misses=missed,
        valid=not reasons,
        reasons=reasons,
        arrivals_rps=times.arrivals_rps,
        probe=stats.percentiles(times.probes_ns[:, 1] / 1000),
        phases={name: stats.percentiles(us) for name, us in times.phases_us.items() if len(us)},
        connections_active_mean=seen.connections_active_mean,
        threads=seen.threads,
        wire=_wire(reply, seen),
        stolen=seen.stolen,
        lasted_s=times.lasted_s,
        repeated=may_repeat and bool(reasons) and not lasting_doubts(evidence, context.tolerance),
        closed_loop=stats.percentiles(times.closed_loop_us),
        closed_loop_users=times.closed_loop_users,
        audit=audit,
        drift=times.drift,
        steady=times.steady,
        notes=(*notes, *doubts_about(measured.tasks), *filter(None, [seen.problem])),
        backlog=backlog_of(context, measured),
        tasks=measured.tasks,
        chat=chat_of(times),
        outages=times.outages,
    )


def chat_of(times: Times) -> Chat | None:
    """Return what the members felt, where the step was a chat's."""
    if times.chat_columns is None:
        return None
    end_us = times.start_us + int(times.lasted_s * 1e6)
    return chat(times.chat_columns, times.right, end_us)


def backlog_of(context: Context, measured: Measured) -> Backlog | None:
    """Return what waited during the step, and how long a surge took to be worked off."""
    if measured.waiting is None:
        return None
    surge_end, calm = None, None
    factors = [segment.factor for segment in context.shape]
    if factors and max(factors) > factors[0]:
        ends = np.cumsum([segment.seconds for segment in context.shape]) * 1e6
        start = measured.times.start_us
        surge_end = start + int(ends[factors.index(max(factors))])
        calm = (start, start + int(ends[0]))
    return summary(measured.waiting, surge_end, calm)


def step_audit(context: Context, measured: Measured) -> Audit | None:
    """Compare what statements did with the ledger; None where the database does not tell."""
    ledger, rows, work = measured.ledger, measured.reply["rows"], measured.seen.work
    joined = measured.reply.get("joined", 0)
    if work is None:
        return None
    per_request = rows / ledger.ok if ledger.ok else 0
    counts = context.counts_rows and (ledger.ok or not unsure(ledger))
    return Audit(
        source="pg_stat_statements",
        # without an explicit commit each statement is a transaction of its own, which this view
        # does not count as one
        transactions=work.commits or None,
        transactions_least=ledger.ok + joined,
        transactions_most=ledger.ok + joined + unsure(ledger),
        rows=work.rows if counts else None,
        rows_least=rows if counts else None,
        rows_most=rows + math.ceil(per_request * unsure(ledger)) if counts else None,
    )


def whole_audit(
    ledgers: Sequence[Ledger], before: int | None, after: int | None, connections: int
) -> Audit | None:
    """Compare a whole trial's transactions, warm-up included, with ``pg_stat_database``.

    Parameters
    ----------
    ledgers : of the warm-up and of every step.
    before, after : the database's count; None: it does not tell.
    connections : that the variant opens: a backend starts in a transaction of its own, which is
        counted when it first reports.
    """
    if before is None or after is None:
        return None
    least = sum(ledger.ok for ledger in ledgers)
    most = least + sum(unsure(ledger) for ledger in ledgers) + connections
    return Audit("pg_stat_database", after - before, least, most)


def unsure(ledger: Ledger) -> int:
    """Return how many requests may or may not have been carried out by the database."""
    return ledger.error + ledger.timeout + ledger.undrained


def _wire(reply: dict[str, Any], seen: Observed) -> dict[str, int]:
    """Return the bytes that passed: the client's own, and all of the loopback interface's."""
    wire = {"client_sent": reply["bytes_sent"], "client_received": reply["bytes_received"]}
    if seen.loopback_bytes is not None:
        wire["loopback"] = seen.loopback_bytes
    return wire
