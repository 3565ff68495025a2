"""What a run has shown so far, for who looks at it in a browser."""

from __future__ import annotations

import time
from collections import deque
from threading import Lock
from typing import Any

from asyncdb_bench.cli.live_answers import Row
from asyncdb_bench.cli.progress import Progress
from asyncdb_bench.records.step import Step

LATEST = 40
"""Turns that a page shows."""


class LiveState:
    """Tells what a run has shown so far as data.

    The run writes it, the page's server reads it, from a thread of its own.

    Parameters
    ----------
    progress : the terminal's display, which has the answers.

    Attributes
    ----------
    lock : held while a turn is noted.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._latest: deque[dict[str, Any]] = deque(maxlen=LATEST)
        self.lock = Lock()

    def add(self, step: Step) -> None:
        """Note a turn."""
        self._latest.appendleft(
            {
                "scenario": step.scenario,
                "variant": step.variant,
                "what": step.turn.kind,
                "offered_rps": step.offered_rps,
                "achieved_rps": step.achieved_rps,
                "p99_ms": step.latency.p99_ms,
                "valid": step.valid,
            }
        )

    def told(self) -> dict[str, Any]:
        """Return all that a page shows, as JSON can carry it."""
        progress = self._progress
        answers = progress.answers
        with self.lock:
            scenarios = [
                {
                    "label": each.label,
                    "work": each.work or each.label,
                    "rounds": answers.rounds(each.label),
                    "rows": [_row(row) for row in answers.rows(each.label)],
                }
                for each in progress.plan.scenarios
            ]
            return {
                "now": progress.now,
                "left": progress.left(),
                "spent_s": round(time.monotonic() - progress.began),
                "scenarios": scenarios,
                "open": answers.open,
                "turns": list(self._latest),
            }


def _row(row: Row) -> dict[str, Any]:
    told: dict[str, Any] = {"variant": row.variant, "pace_rps": row.rps, "said": row.said}
    if row.answer is not None:
        ratio = row.answer.ratio
        bounds = ratio.bounds if ratio is not None else None
        told |= {
            "ratio": ratio.ratio if ratio is not None else None,
            "low": bounds[0] if bounds else None,
            "high": bounds[1] if bounds else None,
        }
    return told
