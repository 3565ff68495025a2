"""What the verbs print: the plan before, the tables and the verdict after."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from asyncdb_bench.model import Plan
from asyncdb_bench.plan import estimate_s, window_of
from asyncdb_bench.progress import duration
from asyncdb_bench.report import Written
from asyncdb_bench.sweep import is_cell
from asyncdb_bench.verdict import rate
from asyncdb_bench.wording import counted, number

COLUMNS = (
    ("capacity", ""),
    ("p50 ms", "p50_ms"),
    ("p95 ms", "p95_ms"),
    ("p99 ms", "p99_ms"),
    ("errors", "error_rate"),
    ("loop lag p99 ms", "loop_lag_p99_ms"),
    ("CPU ms/req", "cpu_ms_per_request"),
    ("memory MB", "memory_mb"),
)


def wide_console() -> Console:
    """Return a console that does not squeeze tables where no terminal says how wide it is."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 140))


def print_intention(plan: Plan) -> None:
    """Print one line on what will run and how long it takes."""
    settings = plan.settings
    print(  # noqa: T201
        f"profile {settings.profile}: {counted(len(plan.variants), 'variant')} in"
        f" {counted(len(plan.scenarios), 'scenario')}, {counted(settings.blocks, 'block')},"
        f" {counted(len(plan.trials), 'trial')}; at most about {duration(estimate_s(plan))}",
        flush=True,
    )


def print_plan(plan: Plan) -> None:
    """Print everything that would run."""
    print_intention(plan)
    console, settings = Console(), plan.settings
    console.print(f"seed {plan.seed}, budget {settings.budget} connections", highlight=False)
    for variant in plan.variants:
        knobs = ", ".join(f"{key}={value}" for key, value in variant.knobs.items())
        parts = "".join(f", {n} x {role}" for role, n in variant.parts.items())
        text = f"  {variant.label}: {variant.budget} connections{parts}; {knobs}"
        console.print(text, highlight=False, markup=False)
    for asked in plan.scenarios:
        ladder = ", ".join(f"{load:g}" for load in asked.ladder)
        windows = sorted({round(window_of(settings, asked, load), 1) for load in asked.ladder})
        text = f"  {asked.label}: {asked.objective}; ladder {ladder} requests/s;"
        text += f" windows {windows[0]:g} to {windows[-1]:g} s"
        console.print(text, highlight=False, markup=False)
    counts = Counter((trial.scenario, trial.block) for trial in plan.trials)
    for trial in plan.trials[: max(counts.values(), default=0)]:
        console.print(
            f"  {trial.id}: {trial.scenario} · {trial.variant}", highlight=False, markup=False
        )
    rest = len(plan.trials) - max(counts.values(), default=0)
    if rest:
        console.print(f"  … and {rest} more trials, each block in an order of its own")


def print_result(written: Written) -> None:
    """Print a table and a sentence for each scenario."""
    console = Console()
    if written.found_map is not None:
        for sentence in written.found_map.sentences:
            console.print(Text(f"{sentence}.", style="bold"))
    asked = {each.label: each for each in written.manifest.plan.scenarios}
    for comparison, verdict in zip(written.comparisons, written.verdicts, strict=True):
        if is_cell(asked[comparison.scenario]):
            console.print(f"{comparison.scenario}: {verdict.sentence}")
            continue
        console.print(_table(comparison))
        for name, reason in comparison.not_run.items():
            console.print(Text(f"{name}: not run, because {reason}"))
        text = Text(f"{comparison.scenario}: ", style="bold")
        text.append(f"{verdict.sentence}.", style="" if verdict.sound else "red")
        console.print(text)
        for each in verdict.conditions:
            console.print(Text(f"- {each}."))
        if verdict.sureness:
            console.print(Text(f"How sure: {verdict.sureness}.", style="dim"))
        console.print()


def _table(comparison: Any) -> Table:
    load = comparison.common_rps
    where = f" (capacity, and the rest at {load:g} requests/s)" if load else ""
    table = Table(
        title=f"{comparison.scenario}{where}", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("variant", no_wrap=True)
    for title, key in COLUMNS:
        table.add_column(title, justify="right", no_wrap=not key)
    for name, carried in comparison.capacities.items():
        known = comparison.rows.loc[name] if name in comparison.rows.index else {}
        cells = [_cell(known.get(key), key) for _, key in COLUMNS[1:]]
        mark = " (invalid)" if name in comparison.invalid else ""
        table.add_row(Text(name + mark), rate(carried), *cells)
    return table


def _cell(value: Any, key: str) -> str:
    shown = number(value)
    return f"{value:.2%}" if key == "error_rate" and shown != "–" else shown
