"""What a run shows while it goes on: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from asyncdb_bench.cli.turn_board import TurnBoard
from asyncdb_bench.plan.schedule import estimate_s
from asyncdb_bench.records.plan import Block, Plan, Trial
from asyncdb_bench.records.sentences import sentences
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.text import duration


class Progress:
    """Plain lines, one for each thing that happened; the terminal's display inherits from it.

    Parameters
    ----------
    plan : what will run.
    seconds : the estimate of how long it takes.
    out : where to write.
    """

    def __init__(self, plan: Plan, seconds: float, out: TextIO) -> None:
        self.plan = plan
        self.seconds = seconds
        self.out = out
        self.began = time.monotonic()
        self.done = 0
        self.turns: TurnBoard | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def say(self, text: str) -> None:
        """Show one line."""
        print(text, file=self.out, flush=True)

    def service(self, name: str) -> None:
        """Show that a service is being started."""
        self.say(f"starting {name}")

    def trial(self, trial: Trial) -> None:
        """Show which trial begins."""
        self.say(
            f"[{self.done + 1}/{len(self.plan.trials)}] {trial.scenario} · {trial.variant}"
            f" · {block_of(trial, self.plan.settings.blocks)} · {self.left()}"
        )

    def block(self, block: Block) -> None:
        """Show which block of turns begins."""
        self.turns = TurnBoard(block)
        self.say(f"{block.scenario} · block {block.number + 1} · {self.left()}")

    def step(self, step: Step) -> None:
        """Show a step's figures; of turns those of the whole block are shown at its end."""
        if step.turn is None:
            self.say(f"    {figures(step)}")
        elif self.turns is not None:
            self.turns.add(step)

    def end(self, end: TrialEnd) -> None:
        """Count a trial that ended."""
        self.done += 1
        if end.failure:
            self.say(f"    {end.variant} {ended_badly(end)}")
        elif end.why == "turns" and self.turns is not None:
            self.say(f"    {self.turns.line(end.variant)}")

    def left(self) -> str:
        """Return the time left, from the plan at first, then from the trials so far."""
        spent = time.monotonic() - self.began
        if self.turns is not None and self.seconds:
            return f"about {duration(max(0.0, self.seconds - spent))} left"
        share = self.done / len(self.plan.trials) if self.plan.trials else 1
        pace = spent * (1 - share) / share if self.done >= 3 else self.seconds - spent
        left_s = max(0.0, min(pace, self.seconds - spent) if self.seconds else pace)
        return f"about {duration(left_s)} left"


def block_of(trial: Trial, blocks: int) -> str:
    """Return a trial's block in words."""
    if trial.purpose == "pilot":
        return "pilot"
    if trial.purpose == "confirm":
        return f"confirming block {trial.block + 1}"
    return f"block {trial.block + 1} of {blocks}"


def figures(step: Step) -> str:
    """Return a step's figures in one line."""
    lag = step.loop_lag.p99_ms
    parts = [
        f"{step.offered_rps:6.0f}/s",
        f"done {step.achieved_rps:6.0f}/s",
        f"p50 {_ms(step.latency.p50_ms)}",
        f"p99 {_ms(step.latency.p99_ms)}",
        f"loop lag p99 {_ms(lag)}",
    ]
    if step.ledger.failed_share:
        parts.append(f"failed {step.ledger.failed_share:.1%}")
    if not step.valid:
        again = ", offering it again" if step.repeated else ""
        parts.append(f"INVALID: {sentences(step.reasons)}{again}")
    elif not step.holds:
        parts.append("objective missed")
    return "  ".join(parts)


def _ms(value: float | None) -> str:
    return (
        "     –"
        if value is None
        else f"{value:6.1f} ms"
        if value < 1000
        else f"{value / 1000:6.2f} s "
    )


class LiveProgress(Progress):
    """A table with each variant's climb, a bar, and a line for each trial that ended."""

    def __enter__(self) -> Progress:
        from rich.console import Console
        from rich.live import Live

        from asyncdb_bench.cli.live_view import View, renderable

        self.view = View(len(self.plan.trials), now="starting")
        self.live: Any = Live(
            get_renderable=lambda: renderable(self.view, self.left()),
            console=Console(file=self.out),
            refresh_per_second=2,
            transient=True,
        )
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the display away."""
        self.live.stop()

    def say(self, text: str) -> None:
        """Show one line above the display."""
        self.live.console.print(text, highlight=False, markup=False)

    def service(self, name: str) -> None:
        """Show which service is being started."""
        self.view.now = f"starting {name}"

    def trial(self, trial: Trial) -> None:
        """Show which trial begins."""
        view = self.view
        view.board = None
        if view.scenario is None or view.scenario.label != trial.scenario:
            view.scenario = next(a for a in self.plan.scenarios if a.label == trial.scenario)
            view.steps = {v.label: [] for v in self.plan.variants if not v.not_run}
        view.steps[trial.variant] = []
        block = block_of(trial, self.plan.settings.blocks)
        view.now = f"{trial.scenario} · {trial.variant} · {block}"

    def block(self, block: Block) -> None:
        """Show which block begins."""
        self.turns = TurnBoard(block)
        self.view.scenario = None
        self.view.board = self.turns
        self.view.now = f"{block.scenario} · block {block.number + 1}"

    def step(self, step: Step) -> None:
        """Show the latest figures."""
        if step.turn is not None and self.turns is not None:
            self.turns.add(step)
            spent = time.monotonic() - self.began
            self.view.share = min(1.0, spent / self.seconds) if self.seconds else None
            return
        self.view.steps.setdefault(step.variant, []).append(step)

    def end(self, end: TrialEnd) -> None:
        """Leave a line of what the trial found."""
        self.done += 1
        self.view.done = self.done
        if end.why == "turns" and not end.failure and self.turns is not None:
            self.say(f"{end.scenario:>8} · {self.turns.line(end.variant)}")
            return
        found = ended_badly(end) if end.failure else "no offered load carried"
        held = [each for each in self.view.steps.get(end.variant, ()) if each.holds and each.valid]
        if held:
            found = f"carried {figures(held[-1]).strip()}"
        self.say(f"{end.scenario:>8} · {end.variant:<24} {found}")


def ended_badly(end: TrialEnd) -> str:
    """Say how a trial failed."""
    if end.lost:
        return f"void, and not used: {end.failure}"
    return f"failed: {end.failure}"


def make_progress(plan: Plan, out: TextIO = sys.stdout) -> Progress:
    """Return the display that fits the output."""
    return (LiveProgress if out.isatty() else Progress)(plan, estimate_s(plan), out)
