"""The report of turns made up: three answers, five axes, and tables that say the same."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.analysis.comparison import compare_scenarios
from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.plan.schedule import order
from asyncdb_bench.records.plan import TurnKind
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.run_folder import make_run_folder
from asyncdb_bench.records.step import Turn
from asyncdb_bench.report import Written, write
from asyncdb_bench.report.document import Table
from asyncdb_bench.report.parts.scenario import missing_note
from asyncdb_bench.trial.schedule_loop import ScheduleLoop
from asyncdb_bench.trial.simulated import Silent, SimulatedRunner, Truth
from asyncdb_bench.trial.simulated_turns import SimulatedBlocks, Speeds
from asyncdb_bench.trial.turns.turn_schedule import TurnSchedule
from tests.factories import LATE, manifest, settings, step

TRUTHS = {
    "native": Truth(8, 8, 1.0),
    "executor": Truth(8, 8, 1.5),
    "blocking": Truth(8, 4, 0.8),
    "far": Truth(8, 1, 0.8),
}


def reported(
    folder: Path, truths: dict[str, Truth], speeds: Speeds | None = None, **how: Any
) -> tuple[Written, str]:
    made: Manifest = manifest(tuple(truths))
    chosen = settings(**({"blocks": 4, "warmup_s": 0.2, "connections": 64} | how))
    trials = order(made.plan.variants, made.plan.scenarios, chosen.blocks, 7)
    plan = replace(made.plan, settings=chosen, trials=trials)
    blocks = SimulatedBlocks(chosen, lambda trial, _: truths[trial.variant], speeds)
    climber = SimulatedRunner(chosen, lambda trial, _: truths[trial.variant])
    loop = ScheduleLoop(
        TurnSchedule(plan), climber, Silent(), clock=blocks.clock, block_runner=blocks
    )
    results = loop.run()
    run = make_run_folder(folder / "results", made.run_id)
    run.write_manifest(replace(made, plan=loop.schedule.plan))
    for taken in results.steps:
        run.append_step(taken)
    for end in results.ends:
        run.append_trial(end)
    written = write(run, folder / "reports")
    return written, re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", written.path.read_text()))


def test_a_faster_one_is_named_with_its_interval(tmp_path: Path) -> None:
    written, text = reported(tmp_path, {name: TRUTHS[name] for name in ("native", "blocking")})
    (verdict,) = written.verdicts
    found = re.search(r"than blocking by ([\d.]+) x \(([\d.]+) to ([\d.]+)\)", verdict.sentence)
    assert found, verdict.sentence
    ratio, low, high = map(float, found.groups())
    assert low < 2.0 < high
    assert ratio == pytest.approx(2.0, abs=0.1)
    assert verdict.best == ("native",)
    (choice,) = written.document.sections[0].blocks[0].choices  # type: ignore[union-attr]
    assert (choice.use, choice.sure) == (("native",), "known")
    said = re.search(r"blocking does ([\d.]+) x \(([\d.]+) to ([\d.]+)\)", choice.because)
    assert said, choice.because
    assert float(said[2]) < 0.5 < float(said[3])
    assert choice.because in text


def test_the_same_is_shown_and_not_just_not_refuted(tmp_path: Path) -> None:
    written, text = reported(tmp_path, {name: TRUTHS[name] for name in ("native", "executor")})
    (verdict,) = written.verdicts
    assert re.search(r"the pace is the same within [\d.]+ %", text)
    assert "◆ the same" in text
    # who wins on one axis may lose on another, and what could have been seen
    tables = [each for each in written.document.walk() if isinstance(each, Table)]
    (table,) = [each for each in tables if each.id == "scenario-1-axes"]
    (row,) = table.rows
    assert {"better", "worse"} & {cell.note for cell in row.cells}
    assert "smallest difference that would show" in table.note
    assert set(verdict.best) == {"native", "executor"}
    # the same pace at half as much CPU again: who wins on one axis may lose on another
    cpu = next(each for each in verdict.conditions if each.startswith("CPU per request"))
    assert re.search(r"(worse is executor 1\.5|better is native 0\.6)", cpu), cpu


def test_what_is_not_known_says_how_long_would_tell(tmp_path: Path) -> None:
    truths = {name: TRUTHS[name] for name in ("native", "executor")}
    written, text = reported(tmp_path, truths, Speeds(0.15, 0.15))
    (verdict,) = written.verdicts
    assert re.search(r"between [\d.]+ and [\d.]+ x, .* would tell", verdict.sentence), text
    said = (verdict.sentence, verdict.why, verdict.sureness, *verdict.conditions)
    assert not [each for each in said if "level" in each]
    assert not [badge for badge in verdict.badges if "level" in badge.text]
    assert len(verdict.best) == 1
    assert verdict.open
    assert "○ not known" in text
    assert re.search(r"more minutes? would tell", text)


def test_one_block_answers_nothing_and_says_so(tmp_path: Path) -> None:
    written, text = reported(tmp_path, TRUTHS, blocks=1)
    assert "one block tells nothing of a repetition" in written.verdicts[0].sentence
    assert "one block tells nothing of a repetition" in text


def test_who_is_far_behind_is_not_asked_for_the_common_load(tmp_path: Path) -> None:
    written, text = reported(tmp_path, TRUTHS)
    (comparison,) = written.comparisons
    assert "far" not in comparison.rows.index
    assert re.search(r"far [\d.,]+ .*?/s is beyond it", text)
    assert comparison.turns is not None
    assert set(comparison.turns.tables["pace_rps"].values) == set(TRUTHS)
    assert missing_note(comparison, "far").endswith("/s is beyond it")
    # who could carry that load and has no latency at it had no sound turn there
    assert missing_note(comparison, "native").startswith("no sound turn at ")


def test_capacity_is_a_value_with_an_interval_that_holds_the_truth(tmp_path: Path) -> None:
    written, _ = reported(tmp_path, TRUTHS, blocks=8, half_width=0.005, equal=0.005)
    (comparison,) = written.comparisons
    carried = comparison.capacities["native"]
    # M/M/8 at 8 ms each: the p99 reaches 100 ms at 0.96 of 1,000 a second
    assert carried.low < 960 < (carried.high or 0)
    assert carried.low > 700


def test_the_summary_says_what_the_page_says(tmp_path: Path) -> None:
    written, _ = reported(tmp_path, TRUTHS)
    folder = tmp_path / "results" / written.manifest.run_id
    rows = json.loads((folder / "summary.json").read_text())
    turns = written.comparisons[0].turns
    assert turns is not None
    for row in rows:
        assert row["measured"] == "turns"
        assert row["pace_rps"] == turns.tables["pace_rps"].values[row["variant"]]
        assert 0 < row["cpu_ms_net"] < row["cpu_ms_gross"]
        assert row["rest_cores"] == pytest.approx(0.02, abs=0.002)
    blocking = next(row for row in rows if row["variant"] == "blocking")
    beside = blocking["beside_leader"]["pace_rps"]
    assert beside["said"] == "worse"
    assert beside["low"] < 0.5 < beside["high"]
    csv = (written.path.parent / "summary.csv").read_text()
    assert re.search(r"pace_rps 0\.\d+ worse; p50_ms", csv)


def test_a_variant_most_of_whose_turns_were_not_sound_is_not_relied_on(tmp_path: Path) -> None:
    made = manifest(("native",))
    kinds: tuple[TurnKind, ...] = ("pace", "common", "limit")
    for spoiled, sound in ((1, True), (2, False), (3, False)):
        turns = [
            step(
                "native",
                turn=Turn(kind, 0),
                valid=place >= spoiled,
                reasons=() if place >= spoiled else (LATE,),
            )
            for place, kind in enumerate(reversed(kinds))
        ]
        (found,) = compare_scenarios(made, steps_table(turns), [], turns)
        assert ("native" not in found.invalid) == sound


def test_nothing_measured_is_said(tmp_path: Path) -> None:
    written, text = reported(tmp_path, {"native": Truth(failure="no table")}, blocks=1)
    assert "no table" in text
    assert not written.sound
