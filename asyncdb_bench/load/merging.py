"""What several load workers say of a step, as what one would say."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from asyncdb_bench.load.arrivals import StepPlan
from asyncdb_bench.load.members import Member
from asyncdb_bench.load.set_messages import whole
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.step import Ledger, LoadWorker


def nothing(*lost: str) -> StepReply:
    """Return the answer of a step that was not offered."""
    return StepReply(
        started_ns=time.monotonic_ns(),
        ledger=Ledger(0, 0, 0, 0, 0, 0),
        attempted=0,
        locust_count=0,
        wrong_answers=0,
        errors={},
        cpu_s=0.0,
        connections=0,
        rows=0,
        joined=0,
        bytes_sent=0,
        bytes_received=0,
        lost=lost,
    )


def merged_reply(
    everyone: Sequence[Member], plan: StepPlan | None, started_ns: int, lost: dict[str, str]
) -> StepReply:
    """Return what all together say of a step.

    What a worker that was lost had to offer is undrained: no one knows what became of it.
    """
    replies = [each.window.done.reply for each in everyone if each.window.done is not None]
    ledgers = [each.ledger for each in replies]
    sums = {
        name: sum(getattr(each, name) for each in ledgers)
        for name in ("scheduled", "ok", "error", "timeout", "skipped", "undrained")
    }
    if plan is not None:
        unknown = len(plan.intended_ns) - sums["scheduled"]
        sums["scheduled"] += unknown
        sums["undrained"] += unknown
    errors: Counter[str] = Counter()
    for each in replies:
        errors.update(each.errors)
    totals = {
        name: sum(getattr(each, name) for each in replies)
        for name in (
            "attempted",
            "locust_count",
            "wrong_answers",
            "cpu_s",
            "connections",
            "rows",
            "joined",
            "bytes_sent",
            "bytes_received",
            "transactions",
            "reads",
        )
    }
    return StepReply(
        started_ns=started_ns,
        ledger=Ledger(**sums),
        errors=dict(errors),
        workers=tuple(_told(each, started_ns) for each in everyone),
        lost=tuple(lost.values()),
        **totals,
    )


def _told(member: Member, started_ns: int) -> LoadWorker:
    window, done = member.window, member.window.done
    lag_us = done.send_lag_p50_us if done is not None else None
    return LoadWorker(
        name=member.name,
        host=member.identity.host,
        arrivals=done.reply.ledger.scheduled if done is not None else window.arrivals,
        cpu_s=done.reply.cpu_s if done is not None else 0.0,
        offset_ms=member.offset.ns / 1e6,
        error_ms=member.offset.error_ns / 1e6,
        late_ms=done.late_ns / 1e6 if done is not None else 0.0,
        send_lag_p50_ms=lag_us / 1000 if lag_us is not None else None,
        handed_over_s=max(0.0, window.ended - (started_ns + done.served_ns) / 1e9) if done else 0.0,
    )


def records_of(
    everyone: Sequence[Member], plan: StepPlan | None, started_ns: int
) -> tuple[dict[str, Any], Any]:
    """Return the columns of a step, and its probes."""
    columns = whole(
        [each.window.batches for each in everyone],
        plan.intended_ns if plan is not None else None,
        plan.chosen if plan is not None else None,
        started_ns,
    )
    probes = [
        np.frombuffer(each.window.done.probes, np.int64).reshape(-1, 2)
        for each in everyone
        if each.window.done is not None
    ]
    together = np.concatenate(probes) if probes else np.zeros((0, 2), np.int64)
    return columns, together + np.array([started_ns, 0])
