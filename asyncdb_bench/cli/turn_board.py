"""What a block of turns has shown so far, a line for each variant. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from asyncdb_bench.records.plan import Block
from asyncdb_bench.records.step import Step
from asyncdb_bench.text import number


class TurnBoard:
    """The figures of one block.

    Parameters
    ----------
    block : which.
    """

    def __init__(self, block: Block) -> None:
        self.block = block
        self.steps: dict[str, list[Step]] = {trial.variant: [] for trial in block.trials}
        self.latest = ""

    def add(self, step: Step) -> None:
        """Note a turn."""
        self.steps.setdefault(step.variant, []).append(step)
        self.latest = step.variant

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row for each variant: turns, pace, p50 and p99 at the common load, doubts."""
        return [(name, *self.row(own)) for name, own in self.steps.items()]

    def row(self, own: Sequence[Step]) -> tuple[str, ...]:
        """Return one variant's figures as text."""
        paces = [step.achieved_rps for step in own if _kind(step) == "pace" and step.valid]
        common = [step for step in own if _kind(step) == "common" and step.valid]
        p50s = [step.latency.p50_ms for step in common if step.latency.p50_ms is not None]
        p99s = [step.latency.p99_ms for step in common if step.latency.p99_ms is not None]
        unsound = sum(not step.valid for step in own)
        return (
            str(len(own)),
            f"{number(sum(paces) / len(paces))}/s" if paces else "–",
            f"{number(sorted(p50s)[len(p50s) // 2])} ms" if p50s else "–",
            f"{number(max(p99s))} ms" if p99s else "–",
            str(unsound) if unsound else "",
        )

    def line(self, variant: str) -> str:
        """Return one variant's figures in a line."""
        turns, pace, p50, p99, unsound = self.row(self.steps.get(variant, ()))
        text = f"{variant:<20} {turns:>3} turns  pace {pace:>9}  p50 {p50:>9}  p99 {p99:>9}"
        return f"{text}  {unsound} invalid" if unsound else text


def _kind(step: Step) -> str:
    return step.turn.kind if step.turn is not None else ""
