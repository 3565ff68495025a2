"""What a run shows while it goes on: the terminal's table, and plain lines elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console, RenderableType

from asyncdb_bench.cli.progress import LiveProgress, Progress, renderable
from asyncdb_bench.measure.turns import LaunchOrder
from asyncdb_bench.records.plan import Plan
from asyncdb_bench.records.step import Step
from tests.factories import LATE, end, manifest, settings, step, turn
from tests.made_turns import Truth, measured_turns

TRUTHS = {"native": Truth(1000), "executor": Truth(1500), "blocking": Truth(1000)}


def planned(*, ladder: bool = False) -> Plan:
    return replace(manifest(tuple(TRUTHS)).plan, settings=settings(ladder=ladder))


def order_of(plan: Plan) -> LaunchOrder:
    return LaunchOrder(
        0, frozenset((v.label, s.label) for v in plan.variants for s in plan.scenarios)
    )


def shown(view: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(view)
    return out.getvalue()


def fed(progress: Progress, steps: list[Step]) -> Progress:
    progress.service("postgresql")
    progress.launch(order_of(progress.plan))
    for each in steps:
        progress.step(each)
    return progress


def test_a_terminal_sees_each_variant_beside_the_best_and_the_time_left() -> None:
    progress = fed(
        Progress(planned(), 600, io.StringIO()), measured_turns(TRUTHS, launches=1, rounds=6)
    )
    lines = shown(renderable(progress)).splitlines()
    assert lines[0].split() == ["scenario", "variant", "pace", "beside", "the", "best", "so", "far"]
    assert lines[1].split()[:2] == ["read", "executor"]
    assert lines[1].rstrip().endswith("best")
    assert lines[2].rstrip().endswith("worse")
    assert " x (" in lines[2]
    assert "launch 1: 3 variants, 1 scenario" in lines[-1]
    assert "at most about" in lines[-1]


def test_plain_lines_tell_the_first_answer_once_and_what_failed() -> None:
    out = io.StringIO()
    progress = fed(Progress(planned(), 600, out), measured_turns(TRUTHS, launches=1, rounds=6))
    progress.end(end("native", failure="no [bold]port"))
    text = out.getvalue()
    assert text.startswith("starting postgresql\nlaunch 1: 3 variants, 1 scenario · at most")
    assert text.count("first answer, read: executor does 1,") == 1
    assert "read · native: failed: no [bold]port" in text


def test_what_is_not_sound_or_confirms_changes_no_answer() -> None:
    progress = fed(Progress(planned(), 0, io.StringIO()), measured_turns(TRUTHS, rounds=3))
    before = progress.answers.rows("read")
    progress.step(turn("executor", 9, number=1, valid=False, reasons=(LATE,)))
    progress.step(turn("executor", 9, number=1, purpose="confirm"))
    assert progress.answers.rows("read") == before
    assert progress.left() == "until every answer is known"


def test_a_ladders_rungs_are_told_and_who_carried_most_is_first() -> None:
    out = io.StringIO()
    rungs = [step("native", 100, p99=20), step("native", 200, p99=400), step("executor", 200)]
    progress = fed(Progress(planned(ladder=True), 0, out), rungs)
    assert "read · native    200/s" in out.getvalue()
    assert "objective missed" in out.getvalue()
    rows = [(row.variant, row.rps, row.said) for row in progress.answers.rows("read")]
    assert rows == [("executor", 200, "carried"), ("native", 100, "carried")]
    assert "executor" in shown(renderable(progress))


def test_a_terminals_display_keeps_its_lines() -> None:
    out = io.StringIO()
    with LiveProgress(planned(), 60, out) as progress:
        fed(progress, measured_turns(TRUTHS, launches=1, rounds=1))
        progress.end(end("executor", failure="no [bold]port"))
    assert "failed: no [bold]port" in out.getvalue()
