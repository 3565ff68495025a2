"""What a run shows while it goes on: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from threading import Lock
from typing import Any, TextIO

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.cli.live_answers import BEST, CARRIED, LiveAnswers, Row
from asyncdb_bench.measure.turns import LaunchOrder
from asyncdb_bench.plan.planner import estimate_s
from asyncdb_bench.records.doubts import sentences
from asyncdb_bench.records.files import Seen
from asyncdb_bench.records.plan import Plan
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.report.quantities import ratio_text
from asyncdb_bench.text import counted, duration, number

STYLES = {
    BEST: "green",
    CARRIED: "",
    Said.SAME: "green",
    Said.WORSE: "",
    Said.BETTER: "",
    Said.UNKNOWN: "yellow",
    Said.UNSOUND: "red",
}


def renderable(progress: Progress) -> RenderableType:
    """Return the display of what is known so far."""
    head = Table.grid(padding=(0, 1))
    spent = time.monotonic() - progress.began
    share = min(1.0, spent / progress.seconds) if progress.seconds else 0.0
    bar = ProgressBar(total=100, completed=100 * share, width=24)
    head.add_row(bar, Text(progress.now, style="bold"), Text(progress.left(), style="dim"))
    return Group(answers_table(progress.answers, progress.plan), head)


def answers_table(answers: LiveAnswers, plan: Plan) -> Table:
    """Return a row for each variant of each scenario that has been asked."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("scenario", no_wrap=True, max_width=24)
    table.add_column("variant", no_wrap=True, max_width=30)
    table.add_column("pace", justify="right", no_wrap=True)
    for title in ("beside the best", "so far"):
        table.add_column(title, no_wrap=True)
    aside = all(each.aside for each in plan.scenarios)
    for asked in plan.scenarios:
        if asked.aside and not aside:
            continue
        for place, row in enumerate(answers.rows(asked.label)):
            name = asked.label if not place else ""
            table.add_row(Text(name), Text(row.variant), *_cells(row))
    return table


def _cells(row: Row) -> tuple[Text | str, ...]:
    known = row.answer is not None and row.answer.ratio is not None
    ratio = ratio_text(row.answer) if row.answer is not None and known else ""
    return f"{number(row.rps)}/s", ratio, Text(row.said, style=STYLES[row.said])


AGAIN_S = 60.0
"""How often plain lines tell all answers anew."""
LATEST = 40
"""Turns that are kept for a page."""


class Progress:
    """Plain lines, one for each thing that happened; the terminal's display inherits from it.

    Parameters
    ----------
    plan : what will run.
    seconds : the estimate of how long it takes at most; 0: not known.
    out : where to write.

    Attributes
    ----------
    answers : what the turns have shown so far.
    now : what is being done, in words.
    latest : turns, the newest first.
    lock : held while a turn is noted: a page is served from a thread of its own.
    """

    def __init__(self, plan: Plan, seconds: float, out: TextIO) -> None:
        self.plan = plan
        self.seconds = seconds
        self.out = out
        self.began = self.told = time.monotonic()
        self.answers = LiveAnswers(plan)
        self.now = "starting"
        self.latest: deque[Step] = deque(maxlen=LATEST)
        self.lock = Lock()
        self._shown = [each for each in plan.scenarios if not each.aside]
        self._expected: dict[str, int] = {}
        self._answered: set[str] = set()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def say(self, text: str) -> None:
        """Show one line."""
        print(text, file=self.out, flush=True)

    def service(self, name: str) -> None:
        """Show that a service is being started."""
        self.now = f"starting {name}"
        self.say(self.now)

    def recall(self, launches: Seen) -> None:
        """Have intervals start from how launches strayed on this machine before."""
        self.answers.seen = launches

    def launch(self, order: LaunchOrder) -> None:
        """Show that variants are being launched."""
        variants = {variant for variant, _ in order.asked}
        scenarios = {each.label for each in self._shown} & {name for _, name in order.asked}
        self._expected = {
            label: sum(name == label for _, name in order.asked) for label in scenarios
        }
        what = "confirming launch" if order.purpose == "confirm" else "launch"
        self.now = (
            f"{what} {order.number + 1}: {counted(len(variants), 'variant')},"
            f" {counted(max(len(scenarios), 1), 'scenario')}"
        )
        self.say(f"{self.now} · {self.left()}")

    def step(self, step: Step) -> None:
        """Take note of a turn; show a ladder's rungs, and answers as soon as there are any."""
        with self.lock:
            self.answers.add(step)
            self.latest.appendleft(step)
        if step.turn.kind == "rung":
            self.say(f"  {step.scenario} · {step.variant} {figures(step)}")
        self._tell(step.scenario)

    def _tell(self, scenario: str) -> None:
        """Show a scenario's first answers, and all answers now and then."""
        new = scenario in self._expected and scenario not in self._answered
        if new and self.answers.is_answered(scenario, self._expected[scenario]):
            self._answered.add(scenario)
            self.say(f"first answer, {self.answers.line(scenario)} · {self.left()}")
        if time.monotonic() - self.told > AGAIN_S:
            self.told = time.monotonic()
            lines = [self.answers.line(each.label) for each in self._shown]
            for line in filter(None, lines):
                self.say(f"so far, {line}")
            self.say(self.left())

    def end(self, end: TrialEnd) -> None:
        """Show a trial that failed."""
        if end.failure:
            void = "void, and not used" if end.lost else "failed"
            self.say(f"{end.scenario} · {end.variant}: {void}: {end.failure}")

    def left(self) -> str:
        """Return the time left at most, in words."""
        if not self.seconds:
            return "until every answer is known"
        spent = time.monotonic() - self.began
        return f"at most about {duration(max(0.0, self.seconds - spent))} left"


def figures(step: Step) -> str:
    """Return a step's figures in one line."""
    parts = [
        f"{step.offered_rps:6.0f}/s",
        f"done {step.achieved_rps:6.0f}/s",
        f"p50 {_ms(step.latency.p50_ms)}",
        f"p99 {_ms(step.latency.p99_ms)}",
        f"loop lag p99 {_ms(step.loop_lag.p99_ms)}",
    ]
    if step.ledger.failed_share:
        parts.append(f"failed {step.ledger.failed_share:.1%}")
    if not step.valid:
        parts.append(f"INVALID: {sentences(step.reasons)}")
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
    """A table of all answers so far, and a bar; lines that are told stay above it."""

    def __enter__(self) -> Progress:
        from rich.console import Console
        from rich.live import Live

        self.live: Any = Live(
            get_renderable=lambda: renderable(self),
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
        self.now = f"starting {name}"

    def _tell(self, scenario: str) -> None:
        """Tell nothing: the table shows it."""


def make_progress(plan: Plan, out: TextIO = sys.stdout) -> Progress:
    """Return the display that fits the output."""
    return (LiveProgress if out.isatty() else Progress)(plan, estimate_s(plan), out)
