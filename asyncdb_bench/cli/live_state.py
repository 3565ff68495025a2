"""What a run has shown so far, for who looks at it in a browser. Pure."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from asyncdb_bench.analysis.turns.answers import Said, answer, kinds_of, table_of
from asyncdb_bench.analysis.turns.values import PACE
from asyncdb_bench.plan.schedule import takes_turns
from asyncdb_bench.records.plan import Plan
from asyncdb_bench.records.step import Step

LATEST = 40
"""Turns that a page shows."""


class LiveState:
    """Notes what happens in a run, and tells it as data.

    The run writes it, the page's server reads it, from a thread of its own.

    Parameters
    ----------
    plan : what will run.
    left : returns the time left, in words.
    """

    def __init__(self, plan: Plan, left: Callable[[], str]) -> None:
        self._plan = plan
        self._left = left
        self._lock = Lock()
        self._steps: dict[str, list[Step]] = {}
        self._blocks: dict[str, int] = {}
        self._latest: deque[dict[str, Any]] = deque(maxlen=LATEST)
        self._known: dict[str, tuple[int, list[dict[str, Any]]]] = {}
        self._began = time.monotonic()
        self.now = "starting"
        self.done = 0

    def begin(self, scenario: str, block: int) -> None:
        """Note which block or trial begins."""
        with self._lock:
            self.now = f"{scenario}, block {block + 1}"
            self._blocks[scenario] = max(self._blocks.get(scenario, 0), block + 1)

    def add(self, step: Step) -> None:
        """Note a turn or step."""
        kind = step.turn.kind if step.turn is not None else "step"
        with self._lock:
            self._steps.setdefault(step.scenario, []).append(step)
            self._latest.appendleft(
                {
                    "scenario": step.scenario,
                    "variant": step.variant,
                    "what": kind,
                    "offered_rps": step.offered_rps,
                    "achieved_rps": step.achieved_rps,
                    "p99_ms": step.latency.p99_ms,
                    "valid": step.valid,
                }
            )

    def told(self) -> dict[str, Any]:
        """Return all that a page shows, as JSON can carry it."""
        with self._lock:
            steps = {name: list(own) for name, own in self._steps.items()}
            blocks, latest = dict(self._blocks), list(self._latest)
        scenarios = [
            self._scenario(each.label, each.work or each.label, steps, blocks)
            for each in self._plan.scenarios
        ]
        return {
            "now": self.now,
            "left": self._left(),
            "spent_s": round(time.monotonic() - self._began),
            "done": self.done,
            "scenarios": scenarios,
            "open": sum(row["said"] == Said.UNKNOWN for each in scenarios for row in each["rows"]),
            "turns": latest,
        }

    def _scenario(
        self, label: str, work: str, steps: dict[str, list[Step]], blocks: dict[str, int]
    ) -> dict[str, Any]:
        asked = next(each for each in self._plan.scenarios if each.label == label)
        own = steps.get(label, [])
        rows = self._rows(label, own) if takes_turns(self._plan.settings, asked) else _climbed(own)
        return {"label": label, "work": work, "blocks": blocks.get(label, 0), "rows": rows}

    def _rows(self, label: str, own: Sequence[Step]) -> list[dict[str, Any]]:
        """Return each variant beside the best, reckoned anew only where there are new turns."""
        before = self._known.get(label)
        if before is not None and before[0] == len(own):
            return before[1]
        settings = self._plan.settings
        kinds = kinds_of(self._plan.variants)
        table = table_of([step for step in own if step.turn is not None], PACE, kinds, kinds)
        rows = []
        for name, pace in sorted(table.values.items(), key=lambda each: -each[1]):
            row: dict[str, Any] = {"variant": name, "pace_rps": pace, "said": "best"}
            if name != table.best:
                found = answer(table, table.best, name, settings.equal, settings.half_width)
                bounds = found.ratio.bounds if found.ratio is not None else None
                row |= {
                    "ratio": found.ratio.ratio if found.ratio is not None else None,
                    "low": bounds[0] if bounds else None,
                    "high": bounds[1] if bounds else None,
                    "said": str(found.said),
                }
            rows.append(row)
        self._known[label] = (len(own), rows)
        return rows


def _climbed(own: Sequence[Step]) -> list[dict[str, Any]]:
    """Return the highest load that each variant has carried so far."""
    carried: dict[str, float] = {}
    for step in own:
        if step.valid and step.holds:
            carried[step.variant] = max(carried.get(step.variant, 0.0), step.offered_rps)
    return [
        {"variant": name, "pace_rps": rps, "said": "carried"}
        for name, rps in sorted(carried.items(), key=lambda each: -each[1])
    ]
