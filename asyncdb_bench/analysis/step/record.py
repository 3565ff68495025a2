"""A step's records -> the line of ``steps.jsonl`` that judges it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.step.durations import Times, WaitingCurve, summarised
from asyncdb_bench.analysis.step.histogram import counts_of
from asyncdb_bench.analysis.step.overload import doubts_of
from asyncdb_bench.analysis.step.series import chat_summary
from asyncdb_bench.analysis.step.validity import (
    Evidence,
    account_doubts,
    behind,
    circumstances,
    client_doubts,
    dead,
    misses,
    turn_notes,
    undecided,
)
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.plan import (
    Objective,
    Segment,
    Tolerance,
    Trial,
    TurnKind,
    Variant,
    mean_factor,
)
from asyncdb_bench.records.step import (
    OPEN_KINDS,
    Audit,
    Backlog,
    Chat,
    Ledger,
    Observed,
    Overloaded,
    Percentiles,
    Step,
    TaskQueue,
    Turn,
)

NOTHING = Percentiles(0)
LOADED: tuple[TurnKind, ...] = (*OPEN_KINDS, "rung")
"""Turns of which it is asked whether the objective held."""


def resting_step(
    context: TrialContext,
    number: int,
    turn: Turn,
    window_s: float,
    started_at: str,
    observed: Observed,
    other_run: str,
) -> Step:
    """Return the step of a variant that had nothing to do.

    Parameters
    ----------
    context, number : of the trial, and which of its steps it is.
    turn, window_s, started_at : of the turn.
    observed : what was used meanwhile.
    other_run : who else held the machine; empty: no one.
    """
    return Step(
        **_shared(context, number, turn, observed),
        offered_rps=0.0,
        achieved_rps=0.0,
        window_s=window_s,
        lasted_s=window_s,
        started_at=started_at,
        ledger=Ledger(0, 0, 0, 0, 0, 0),
        errors={},
        latency=NOTHING,
        latency_bounds={},
        service=NOTHING,
        send_lag=NOTHING,
        loop_lag=NOTHING,
        gauges={},
        holds=True,
        misses=(),
        valid=not other_run,
        reasons=(Doubt(DoubtKind.OTHER_RUN, subject=other_run),) if other_run else (),
        notes=tuple(turn_notes(turn, window_s)),
    )


def _shared(context: TrialContext, number: int, turn: Turn, observed: Observed) -> dict[str, Any]:
    """Return what a step is of, and what was used meanwhile."""
    trial = context.trial
    return {
        "run_id": context.run_id,
        "trial": trial.id,
        "block": trial.block,
        "scenario": trial.scenario,
        "variant": trial.variant,
        "purpose": trial.purpose,
        "strategy": context.variant.strategy,
        "step": number,
        "turn": turn,
        "usage": observed.usage,
        "threads": observed.threads,
        "stolen": observed.stolen,
        "others_cores": observed.others_cores,
        "connections_peak": observed.connections_peak,
        "connections_active_peak": observed.connections_active_peak,
    }


@dataclass(frozen=True, slots=True)
class Measured:
    """A step's records, before they are judged.

    Parameters
    ----------
    number, turn : of the step in its trial, and what it was for.
    rate, window_s : what was offered.
    started_at, jump_s : wall clock at the start, and how far it left the monotonic one.
    times, reply, observed, lag_us, gauges, waiting, tasks : what was recorded.
    lead_s : load before the window.
    broken : what was lost meanwhile: the step is void.
    lowest : whether no lower load is offered.
    shape : how the arrival rate changed; empty: it did not.
    overload : what was done in an overload; None: it was none.
    """

    number: int
    turn: Turn
    rate: float
    window_s: float
    started_at: str
    jump_s: float
    times: Times
    reply: StepReply
    observed: Observed
    lag_us: Any
    gauges: dict[str, float]
    waiting: WaitingCurve | None = None
    tasks: TaskQueue | None = None
    lead_s: float = 0.0
    broken: tuple[Doubt, ...] = ()
    lowest: bool = False
    shape: tuple[Segment, ...] = ()
    overload: Overloaded | None = None


@dataclass(frozen=True, slots=True)
class TrialContext:
    """What all steps of a trial have in common.

    Parameters
    ----------
    run_id, trial, variant, objective, tolerance : of the run.
    counts_rows : whether every operation of the scenario declares its rows.
    autocommit : what only reads runs without COMMIT.
    """

    run_id: str
    trial: Trial
    variant: Variant
    objective: Objective
    tolerance: Tolerance
    counts_rows: bool
    autocommit: bool = False


def judged_step(context: TrialContext, measured: Measured, other_run: str) -> Step:
    """Return a step with its figures and what they are worth.

    Parameters
    ----------
    context : of the trial.
    measured : the records.
    other_run : who else held the machine meanwhile; empty: no one.
    """
    times, reply, observed, turn = measured.times, measured.reply, measured.observed, measured.turn
    latency = statistics.percentiles(times.latency_us)
    service = statistics.percentiles(times.service_us)
    missed = misses(context.objective, reply.ledger, latency)
    if turn.kind not in ("pace", "rung", "overload"):
        missed += behind(measured.rate, times.achieved_rps)
    evidence = evidence_of(context, measured, other_run)
    uncertain = tuple(client_doubts(evidence, context.tolerance))
    found = (
        *(measured.broken or dead(reply, turn, lowest=measured.lowest)),
        *account_doubts(evidence, context.tolerance),
        *(undecided(context.objective, latency, service, uncertain) if turn.kind in LOADED else ()),
        *(doubts_of(measured.overload, reply) if measured.overload is not None else ()),
    )
    return Step(
        **_shared(context, measured.number, turn, observed),
        offered_rps=measured.rate,
        achieved_rps=times.achieved_rps,
        arrivals_rps=times.arrivals_rps,
        window_s=measured.window_s,
        lasted_s=times.lasted_s,
        started_at=measured.started_at,
        ledger=reply.ledger,
        errors=reply.errors,
        latency=latency,
        latency_bounds=statistics.bounds(times.latency_us) if turn.kind == "rung" else {},
        service=service,
        send_lag=statistics.percentiles(times.send_lag_us),
        closed_loop=statistics.percentiles(times.closed_loop_us),
        closed_loop_users=times.closed_loop_users,
        loop_lag=statistics.percentiles(measured.lag_us),
        probe=statistics.percentiles(times.probes_ns[:, 1] / 1000),
        phases={
            name: statistics.percentiles(us) for name, us in times.phases_us.items() if len(us)
        },
        wire=_wire(reply, observed),
        connections_active_mean=observed.connections_active_mean,
        gauges=measured.gauges,
        audit=step_audit(context, measured),
        drift=times.drift,
        steady=times.steady or turn.kind == "overload",
        backlog=backlog_of(measured),
        tasks=measured.tasks,
        chat=chat_of(times),
        outages=times.outages,
        holds=not missed,
        misses=missed,
        valid=not found,
        reasons=found,
        doubts=uncertain,
        notes=(
            *circumstances(measured.jump_s, observed.problem),
            *turn_notes(turn, measured.window_s),
        ),
        latency_counts=counts_of(times.latency_us),
        service_counts=counts_of(times.service_us) if uncertain else (),
        lag_counts=counts_of(measured.lag_us),
        load=reply.workers,
        overload=measured.overload,
    )


def evidence_of(context: TrialContext, measured: Measured, other_run: str) -> Evidence:
    """Return what the judgement of a step rests on; parameters as :func:`judged_step`."""
    times, reply = measured.times, measured.reply
    return Evidence(
        ledger=reply.ledger,
        latency=statistics.percentiles(times.latency_us),
        send_lag=statistics.percentiles(times.send_lag_us),
        client_busy=busiest_s(reply) / (measured.window_s + measured.lead_s),
        load=reply.workers,
        attempted=reply.attempted,
        counted=reply.locust_count,
        wrong_answers=reply.wrong_answers,
        budget=context.variant.budget,
        # a connection that was given up is closed by the server when its query ends: those beyond
        # the budget then are what is found, and no unfairness
        connections_peak=None
        if measured.turn.kind == "overload"
        else measured.observed.connections_peak,
        offered_rps=measured.rate * mean_factor(measured.shape),
        arrivals_rps=times.arrivals_rps,
        audit=step_audit(context, measured),
        other_run=other_run,
        window_s=measured.window_s,
        delay_busy=delay_busy(measured),
    )


def busiest_s(reply: StepReply) -> float:
    """Return the CPU seconds of the load process that used most."""
    return max((each.cpu_s for each in reply.workers), default=reply.cpu_s)


def delay_busy(measured: Measured) -> float | None:
    """Return the share of a core that the delay proxy used; None: there is none."""
    used = measured.observed.usage.get("delay")
    return used.cpu_s / (measured.window_s + measured.lead_s) if used is not None else None


def chat_of(times: Times) -> Chat | None:
    """Return what the members felt, where the step was a chat's."""
    if times.chat_columns is None:
        return None
    end_us = times.start_us + int(times.lasted_s * 1e6)
    return chat_summary(times.chat_columns, times.right, end_us)


def backlog_of(measured: Measured) -> Backlog | None:
    """Return what waited during the step, and how long a surge took to be worked off."""
    if measured.waiting is None:
        return None
    surge_end, calm = None, None
    factors = [segment.factor for segment in measured.shape]
    if factors and max(factors) > factors[0]:
        ends = np.cumsum([segment.seconds for segment in measured.shape]) * 1e6
        start = measured.times.start_us
        surge_end = start + int(ends[factors.index(max(factors))])
        calm = (start, start + int(ends[0]))
    return summarised(measured.waiting, surge_end, calm)


def step_audit(context: TrialContext, measured: Measured) -> Audit | None:
    """Compare what statements did with the ledger; None where the database does not tell."""
    reply, work = measured.reply, measured.observed.work
    ledger, rows, joined = reply.ledger, reply.rows, reply.joined
    if work is None:
        return None
    per_request = rows / ledger.ok if ledger.ok else 0
    most = max(ledger.ok, reply.transactions)
    each = math.ceil(most / max(ledger.ok, 1))
    counts = context.counts_rows and (ledger.ok or not unsure(ledger))
    return Audit(
        source="pg_stat_statements",
        # without an explicit commit each statement is a transaction of its own, which this view
        # does not count as one
        transactions=work.commits or None,
        transactions_least=ledger.ok + joined - (reply.reads if context.autocommit else 0),
        transactions_most=most + joined + max(1, each) * unsure(ledger),
        rows=work.rows if counts else None,
        rows_least=rows if counts else None,
        rows_most=rows + math.ceil(per_request * unsure(ledger)) if counts else None,
    )


def whole_audit(
    ledgers: Sequence[Ledger], before: int | None, after: int | None, besides: int
) -> Audit | None:
    """Compare a whole trial's transactions, warm-up included, with ``pg_stat_database``.

    Parameters
    ----------
    ledgers : of the warm-up and of every step.
    before, after : the database's count; None: it does not tell.
    besides : transactions that there may be besides: a backend starts in one of its own, which is
        counted when it first reports; those of requests that may take several; and what the server
        does by itself.
    """
    if before is None or after is None:
        return None
    least = sum(ledger.ok for ledger in ledgers)
    most = least + sum(unsure(ledger) for ledger in ledgers) + besides
    return Audit("pg_stat_database", after - before, least, most)


def unsure(ledger: Ledger) -> int:
    """Return how many requests may or may not have been carried out by the database."""
    return ledger.error + ledger.timeout + ledger.undrained


def _wire(reply: StepReply, observed: Observed) -> dict[str, int]:
    """Return the bytes that passed: the client's own, and all of the loopback interface's."""
    wire = {"client_sent": reply.bytes_sent, "client_received": reply.bytes_received}
    if observed.loopback_bytes is not None:
        wire["loopback"] = observed.loopback_bytes
    return wire
