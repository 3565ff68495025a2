"""What several load workers say of a step, as what one would say."""

from __future__ import annotations

import io
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.load import set_messages as m
from asyncdb_bench.load.arrivals import StepPlan
from asyncdb_bench.load.recorder import Recorder, save
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.step import Ledger, LoadWorker

if TYPE_CHECKING:
    # whose module imports Locust, which patches sockets and threads
    from asyncdb_bench.load.members import Member

SUMS = (
    *("attempted", "locust_count", "wrong_answers", "cpu_s", "connections", "rows", "joined"),
    *("bytes_sent", "bytes_received", "transactions", "reads", "late"),
)
"""Fields of a reply of which that of a set is the sum."""


@dataclass
class Window:
    """What came from a worker for one window.

    Parameters
    ----------
    number : of the window.
    plan : the arrivals that it is to offer; None: it offers a closed loop.
    connections : of a closed loop, that it has.
    prepared, done : what it has said.
    heard, gap_s : when it was last heard of, and the longest that it was not before `ends`.
    ended : when its last word came.
    ends : the window's end; all are monotonic seconds.
    """

    number: int
    plan: StepPlan | None = None
    connections: int = 0
    prepared: bool = False
    done: m.Done | None = None
    heard: float = field(default_factory=time.monotonic)
    gap_s: float = 0.0
    ended: float = 0.0
    ends: float = 0.0

    @property
    def arrivals(self) -> int:
        """How many it is to offer; of a closed loop its connections."""
        return self.connections if self.plan is None else len(self.plan.intended_ns)

    def take(self, body: m.Body) -> None:
        """Take in what the worker says of the window."""
        now = time.monotonic()
        # what it does afterwards takes as long as it takes
        self.gap_s = max(self.gap_s, min(now, self.ends) - self.heard)
        self.heard = now
        if isinstance(body, m.Prepared):
            self.prepared = True
        elif isinstance(body, m.Done):
            self.done, self.ended = body, now


def nothing(*lost: str) -> StepReply:
    """Return the answer of a step that was not offered."""
    none: dict[str, Any] = dict.fromkeys(SUMS, 0)
    ledger = Ledger(0, 0, 0, 0, 0, 0)
    return StepReply(started_ns=time.monotonic_ns(), ledger=ledger, errors={}, lost=lost, **none)


def merged_reply(everyone: Sequence[Member], started_ns: int, lost: Sequence[str]) -> StepReply:
    """Return what all together say of a step.

    What a worker that was lost had to offer is undrained: no one knows what became of it.
    """
    replies = [each.window.done.reply for each in everyone if each.window.done is not None]
    kinds = [each.name for each in fields(Ledger)]
    sums = {kind: sum(getattr(each.ledger, kind) for each in replies) for kind in kinds}
    unknown = sum(
        each.window.arrivals
        for each in everyone
        if each.window.done is None and each.window.plan is not None
    )
    sums["scheduled"] += unknown
    sums["undrained"] += unknown
    errors: Counter[str] = Counter()
    for each in replies:
        errors.update(each.errors)
    return StepReply(
        started_ns=started_ns,
        ledger=Ledger(**sums),
        errors=dict(errors),
        workers=tuple(_told(each, started_ns) for each in everyone),
        lost=tuple(lost),
        **{name: sum(getattr(each, name) for each in replies) for name in SUMS},
    )


def _told(member: Member, started_ns: int) -> LoadWorker:
    window, done = member.window, member.window.done
    told = LoadWorker(
        name=member.name,
        host=member.host,
        arrivals=window.arrivals,
        cpu_s=0.0,
        offset_ms=member.offset.ns / 1e6,
        error_ms=member.offset.error_ns / 1e6,
        late_ms=0.0,
    )
    if done is None:
        return told
    lag_us = done.send_lag_p50_us
    return replace(
        told,
        arrivals=done.reply.ledger.scheduled,
        cpu_s=done.reply.cpu_s,
        late_ms=done.late_ns / 1e6,
        send_lag_p50_ms=lag_us / 1000 if lag_us is not None else None,
        handed_over_s=max(0.0, window.ended - (started_ns + done.served_ns) / 1e9),
    )


Columns = dict[str, NDArray[Any]]


def packed_records(columns: Columns, probes: NDArray[Any]) -> bytes:
    """Return what a load that is alone would write into a file, compressed.

    Parameters
    ----------
    columns, probes : see :func:`asyncdb_bench.load.recorder.save`.
    """
    file = io.BytesIO()
    save(file, columns, probes)
    return zlib.compress(file.getvalue(), 1)


def unpacked_records(packed: bytes, ahead_ns: int) -> Columns:
    """Return a worker's columns, and among them its ``probes``, on this process's clock.

    Parameters
    ----------
    packed : of :func:`packed_records`.
    ahead_ns : the start of the step on the worker's clock less that on ours; all times are put
        behind ours, so that no duration is made of two clocks.
    """
    with np.load(io.BytesIO(zlib.decompress(packed))) as stored:
        found = dict(stored)
    found["probes"] = found["probes"] - np.array([ahead_ns, 0])
    for name, values in found.items():
        if name == "intended_ns":
            found[name] = values - ahead_ns
        elif name.endswith("_ns"):
            # 0: it is not known
            found[name] = np.where(values == 0, 0, values - ahead_ns)
    return found


def together(parts: Sequence[Columns]) -> tuple[Columns, NDArray[Any]]:
    """Return the columns of several workers in the order of intended arrivals, and all probes."""
    merged = {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}
    probes = merged.pop("probes")
    order = np.argsort(merged["intended_ns"], kind="stable")
    return {name: values[order] for name, values in merged.items()}, probes


def records_of(window: Window, started_ns: int) -> Columns:
    """Return a worker's columns with its probes; undrained where it did not hand them over.

    Parameters
    ----------
    window : of the worker.
    started_ns : the start of the step on this process's clock.
    """
    if window.done is not None:
        ahead_ns = window.done.reply.started_ns - started_ns
        return unpacked_records(window.done.records, ahead_ns)
    plan = window.plan
    record = Recorder(plan.intended_ns, plan.chosen) if plan is not None else Recorder()
    return record.columns(started_ns) | {"probes": np.zeros((0, 2), np.int64)}
