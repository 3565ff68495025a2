"""The terminal's display, rendered without a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from asyncdb_bench.cli.live_view import View, renderable, sparkline
from asyncdb_bench.cli.progress import LiveProgress
from asyncdb_bench.records.plan import Objective, PlannedScenario
from asyncdb_bench.records.step import Percentiles
from tests.factories import LATE, end, manifest, step

ASKED = PlannedScenario(
    "read", "read", {}, Objective(100), (100.0, 200.0, 400.0, 800.0), {"read": 1.0}
)


def shown(view: View, left: str = "about 3 min left") -> str:
    out = io.StringIO()
    console = Console(file=out, width=120)
    console.print(renderable(view, left))
    return out.getvalue()


def test_the_ladder_climbs_from_low_to_missed() -> None:
    steps = [step("native", 100, p99=1), step("native", 200, p99=30), step("native", 400, p99=400)]
    text = sparkline(steps, ASKED)
    assert text.plain[0] == "▁"
    assert text.plain[0] < text.plain[1] < text.plain[2] == "█"
    assert text.plain[3] == "·"
    assert [span.style for span in text.spans] == ["green", "green", "red", "dim"]


def test_an_invalid_step_is_a_cross_until_it_was_offered_again() -> None:
    bad = step("native", 100, valid=False, reasons=(LATE,), repeated=True)
    assert sparkline([bad], ASKED).plain[0] == "×"
    assert sparkline([bad, step("native", 100)], ASKED).plain[0] != "×"


def test_a_step_that_lasted_too_long_or_had_no_answer_has_a_bar() -> None:
    silent = step("native", 100, failed=200, latency=Percentiles(0))
    assert sparkline([silent], ASKED).plain == "█···"


def test_it_shows_load_latency_lag_errors_and_time_left() -> None:
    view = View(8, 3, ASKED, "read · native · block 1 of 1")
    view.steps = {"native": [step("native", 100, p99=20, failed=10)], "executor": []}
    text = shown(view)
    for part in ("native", "100/s", "20.0 ms", "2.0 ms", "5.0%", "3/8 trials", "about 3 min left"):
        assert part in text, part
    assert "executor" in text


def test_a_run_is_followed_from_start_to_end() -> None:
    made = manifest()
    out = io.StringIO()
    with LiveProgress(made.plan, 60, out) as progress:
        progress.service("postgresql")
        assert "starting postgresql" in shown(progress.view)  # type: ignore[attr-defined]
        progress.trial(made.plan.trials[0])
        progress.step(step("native", 100))
        assert "native" in shown(progress.view)  # type: ignore[attr-defined]
        progress.end(end("native"))
        progress.trial(made.plan.trials[1])
        progress.end(end("executor", failure="no [bold]port"))
    assert "carried 100/s" in out.getvalue()
    assert "failed: no [bold]port" in out.getvalue()
