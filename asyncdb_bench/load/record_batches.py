"""A load worker's records as Arrow batches, and those of several workers as one step's. Pure.

Times travel in nanoseconds from the worker's own start of the step. Put behind the master's start
they read as on its clock, and no duration is made of two clocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from asyncdb_bench.records.step import Outcome

ROWS = 20_000
"""Of a batch: some 600 kB packed."""
INSTANTS = ("sent_ns", "done_ns", "published_ns", "received_ns", "started_ns")
NEVER = np.iinfo(np.int64).min
"""Stands for a time that is not known."""
PLACE = "place"
"""Column of each request's place in the plan."""


def batches(
    columns: Mapping[str, NDArray[Any]], places: NDArray[np.int64], started_ns: int
) -> Iterator[bytes]:
    """Yield a step's records as Arrow IPC streams of one batch each, packed.

    Parameters
    ----------
    columns : of :meth:`Recorder.columns`, shape (n,) each; times on the worker's clock, 0: none.
    places : of the requests in the plan, shape (n,).
    started_ns : the worker's start of the step on its own clock.
    """
    sent: dict[str, Any] = {PLACE: places}
    for name, values in columns.items():
        known = values
        if name == "intended_ns":
            known = values - started_ns
        elif name in INSTANTS:
            known = np.where(values == 0, NEVER, values - started_ns)
        sent[name] = known
    batch = pa.RecordBatch.from_pydict(sent)
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    for first in range(0, batch.num_rows, ROWS):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
            writer.write_batch(batch.slice(first, ROWS))
        yield sink.getvalue().to_pybytes()


def read(data: bytes) -> dict[str, NDArray[Any]]:
    """Return a batch's columns.

    Raises
    ------
    ValueError : it is none.
    """
    try:
        with pa.ipc.open_stream(data, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
            batch = reader.read_next_batch()
    except (pa.ArrowInvalid, StopIteration, OSError) as error:
        raise ValueError(f"no Arrow batch: {error}") from error
    return {name: batch.column(name).to_numpy() for name in batch.schema.names}


def whole(
    parts: Sequence[Sequence[Mapping[str, NDArray[Any]]]],
    intended_ns: NDArray[np.int64] | None,
    chosen: NDArray[np.int64] | None,
    started_ns: int,
) -> dict[str, NDArray[Any]]:
    """Return a step's columns from those of its workers, in the order of intended arrivals.

    Parameters
    ----------
    parts : of each worker its batches, see :func:`read`.
    intended_ns, chosen : of the plan; None for a closed loop, which has none. An arrival of which
        no worker told is undrained.
    started_ns : the step's start on the master's clock.
    """
    flat = [batch for worker in parts for batch in worker]
    if intended_ns is None or chosen is None:
        flat = flat or [empty()]
        merged = {name: np.concatenate([each[name] for each in flat]) for name in flat[0]}
        order = np.argsort(merged["intended_ns"], kind="stable")
        columns = {name: values[order] for name, values in merged.items() if name != PLACE}
    else:
        columns = empty(len(intended_ns))
        for each in flat:
            places = each[PLACE]
            for name, values in each.items():
                if name in columns:
                    columns[name][places] = values
        columns["intended_ns"] = intended_ns.copy()
        columns["operation"] = chosen.astype(np.int8)
    columns["intended_ns"] += started_ns
    for name in INSTANTS:
        values = columns[name]
        columns[name] = np.where(values == NEVER, 0, values + started_ns)
    return columns


def empty(count: int = 0) -> dict[str, NDArray[Any]]:
    """Return the columns of so many arrivals of which nothing is known."""
    columns: dict[str, NDArray[Any]] = {
        f"{name}_us": np.full(count, -1, np.int64)
        for name in ("arrival", "queue", "pool", "database", "python", "reply", "back", "held")
    }
    columns["run_us"] = np.full(count, -1, np.int64)
    columns |= {name: np.full(count, NEVER, np.int64) for name in INSTANTS}
    columns["intended_ns"] = np.zeros(count, np.int64)
    columns["status"] = np.zeros(count, np.int16)
    columns["outcome"] = np.full(count, Outcome.UNDRAINED, np.int8)
    columns["operation"] = np.zeros(count, np.int8)
    return columns
