"""What happened to every arrival of a step: columns of nanoseconds, filled in place."""

from __future__ import annotations

from array import array
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.model import OUTCOMES, Ledger

UNDRAINED, OK, ERROR, TIMEOUT, SKIPPED = range(len(OUTCOMES))


class Recorder:
    """The record of one step.

    Parameters
    ----------
    intended_ns : intended arrivals from the step's start, shape (n,).
    operations : index of each arrival's operation, shape (n,).
    """

    def __init__(self, intended_ns: NDArray[np.int64], operations: NDArray[np.int64]) -> None:
        empty = bytes(8 * len(intended_ns))
        self.intended_ns = intended_ns
        self.operations = operations
        self.sent_ns = array("q", empty)
        self.done_ns = array("q", empty)
        self.status = array("h", bytes(2 * len(intended_ns)))
        self.outcome = array("b", bytes(len(intended_ns)))
        self.errors: Counter[str] = Counter()
        self.attempted = 0

    def ledger(self) -> Ledger:
        """Count where every scheduled arrival went."""
        counts = np.bincount(np.asarray(self.outcome, dtype=np.int64), minlength=len(OUTCOMES))
        return Ledger(
            scheduled=len(self.intended_ns),
            ok=int(counts[OK]),
            error=int(counts[ERROR]),
            timeout=int(counts[TIMEOUT]),
            skipped=int(counts[SKIPPED]),
            undrained=int(counts[UNDRAINED]),
        )

    def fail(self, place: int, outcome: int, reason: str) -> None:
        """Note that an arrival got no right answer."""
        self.outcome[place] = outcome
        self.errors[reason[:200]] += 1

    def save(self, path: Path, started_ns: int) -> None:
        """Write the columns to a scratch file (NumPy's format, times on CLOCK_MONOTONIC)."""
        columns: dict[str, Any] = {
            "intended_ns": self.intended_ns + started_ns,
            "sent_ns": np.asarray(self.sent_ns),
            "done_ns": np.asarray(self.done_ns),
            "status": np.asarray(self.status),
            "outcome": np.asarray(self.outcome),
            "operation": self.operations.astype(np.int8),
        }
        np.savez(path, **columns)
