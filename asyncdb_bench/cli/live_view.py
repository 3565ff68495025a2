"""What a terminal shows while a run goes on: a row per variant, its ladder as a sparkline. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asyncdb_bench.cli.turn_board import TurnBoard
from asyncdb_bench.records.plan import PlannedScenario
from asyncdb_bench.records.step import Step

BARS = "▁▂▃▄▅▆▇█"
SPAN = 50.0
"""A p99 of 1 / SPAN of the objective is the lowest bar, the objective the highest."""


@dataclass
class View:
    """What is known so far.

    Parameters
    ----------
    total : trials of the run.
    done : of them.
    scenario : the one that is being measured; None: services are being started.
    now : what is being done, in words.
    steps : of the scenario, by variant, those of each one's latest trial.
    board : of the block of turns that is being measured; None: ladders are climbed.
    share : of the time that is over; None: trials are counted.
    """

    total: int
    done: int = 0
    scenario: PlannedScenario | None = None
    now: str = ""
    steps: dict[str, list[Step]] = field(default_factory=dict)
    board: TurnBoard | None = None
    share: float | None = None


def renderable(view: View, left: str) -> RenderableType:
    """Return the display.

    Parameters
    ----------
    view : what is known.
    left : the time left, in words.
    """
    head = Table.grid(padding=(0, 1))
    if view.share is not None:
        bar = ProgressBar(total=100, completed=100 * view.share, width=24)
        counted = Text(f"{view.share:.0%}")
    else:
        bar = ProgressBar(total=max(view.total, 1), completed=view.done, width=24)
        counted = Text(f"{view.done}/{view.total} trials")
    head.add_row(
        bar,
        counted,
        Text(view.now, style="bold"),
        Text(left, style="dim"),
    )
    if view.board is not None:
        return Group(turns(view.board), head)
    if view.scenario is None:
        return head
    return Group(variants(view.steps, view.scenario), head)


def turns(board: TurnBoard) -> Table:
    """Return a row per variant of a block; an arrow marks whose turn was the latest."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("variant", no_wrap=True, max_width=30)
    for title in ("turns", "pace", "p50", "p99", "invalid"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, *figures in board.rows():
        mark = "▸ " if name == board.latest else "  "
        table.add_row(Text(mark + name), *figures)
    return table


def variants(steps: Mapping[str, Sequence[Step]], asked: PlannedScenario) -> Table:
    """Return a row per variant: the ladder, and the figures of its latest step."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("variant", no_wrap=True, max_width=30)
    table.add_column("ladder: p99 by load", no_wrap=True)
    for title in ("offered", "achieved", "p99", "loop lag p99", "failed"):
        table.add_column(title, justify="right", no_wrap=True)
    for variant, own in steps.items():
        table.add_row(Text(variant), sparkline(own, asked), *_latest(own))
    return table


def sparkline(steps: Sequence[Step], asked: PlannedScenario) -> Text:
    """Return the climb so far: a bar per offered load, higher where the p99 is.

    Green held the objective, red missed it, a yellow cross was not measured soundly, a dot is still
    to come. The scale is logarithmic, from a fiftieth of the objective up to it.
    """
    text = Text()
    last = {step.offered_rps: step for step in steps}
    for load in sorted(last.keys() | set(asked.ladder)):
        step = last.get(load)
        if step is None:
            text.append("·", style="dim")
        elif not step.valid:
            text.append("×", style="yellow")
        else:
            style = "green" if step.holds else "red"
            text.append(_bar(step, asked.objective.p99_ms), style=style)
    return text


def _bar(step: Step, objective_ms: float) -> str:
    p99 = step.latency.p99_ms
    if p99 is None or not step.holds:
        return BARS[-1]
    share = 1 + math.log(max(p99, 1e-6) / objective_ms) / math.log(SPAN)
    return BARS[max(0, min(len(BARS) - 2, int(share * (len(BARS) - 1))))]


def _latest(steps: Sequence[Step]) -> tuple[str, ...]:
    if not steps:
        return ("", "", "", "", "")
    step = steps[-1]
    return (
        f"{step.offered_rps:,.0f}/s",
        f"{step.achieved_rps:,.0f}/s",
        _ms(step.latency.p99_ms),
        _ms(step.loop_lag.p99_ms),
        f"{step.ledger.failed_share:.1%}" if step.ledger.failed_share else "0",
    )


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f} ms" if value < 1000 else f"{value / 1000:,.2f} s"
