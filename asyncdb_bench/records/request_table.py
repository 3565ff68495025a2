"""The columns of ``requests.parquet``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asyncdb_bench.records.step import PHASES, TASK_STAMPS


def request_columns(
    trial: str, step: int, operations: Sequence[str], scratch: Path, latency_us: Any
) -> dict[str, Any]:
    """Return the columns of ``requests.parquet`` from the load's scratch file.

    Times are microseconds on CLOCK_MONOTONIC; null where a request was not sent or not answered.
    `latency_us` is the latency that counts, see :mod:`asyncdb_bench.analysis.step.population`; null
    where a request does not.

    Parameters
    ----------
    trial, step : whose.
    operations : names, in the order of the file's numbers.
    scratch : written by the load.
    latency_us : of each request; negative where it does not count, shape (n,).
    """
    import numpy as np
    import pyarrow as pa

    with np.load(scratch) as file:
        raw = {name: file[name] for name in file.files}
    count = len(raw["intended_ns"])

    def instants(name: str) -> Any:
        values = raw[name]
        return pa.array((values / 1000).round().astype(np.int64), mask=values == 0)

    return {
        "trial": pa.DictionaryArray.from_arrays(np.zeros(count, np.int8), [trial]).cast(
            pa.string()
        ),
        "step": np.full(count, step, np.int16),
        "operation": pa.DictionaryArray.from_arrays(raw["operation"], list(operations)).cast(
            pa.string()
        ),
        "intended_us": instants("intended_ns"),
        "sent_us": instants("sent_ns"),
        "done_us": instants("done_ns"),
        "status": raw["status"].astype(np.int16),
        "outcome": raw["outcome"].astype(np.int8),
        "latency_us": pa.array(latency_us, mask=latency_us < 0),
        **{
            f"{name}_us": pa.array(raw[f"{name}_us"], mask=raw[f"{name}_us"] < 0)
            for name in PHASES
            if name != "send_lag"
        },
        **{f"{name}_us": instants(f"{name}_ns") for name in TASK_STAMPS},
    }
