"""What a terminal shows while a run goes on: a row for each variant of each scenario. Pure."""

from __future__ import annotations

import time

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.cli.live_answers import BEST, CARRIED, LiveAnswers, Row
from asyncdb_bench.cli.progress import Progress
from asyncdb_bench.records.plan import Plan
from asyncdb_bench.report.answer_words import ratio_text
from asyncdb_bench.text import number

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
