"""What the report says of turns whose truth is known: no more than they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncdb_bench.analysis.decision import Choice
from asyncdb_bench.report.parts.scenario import missing_note
from asyncdb_bench.report.write import Written
from tests.factories import LATE, end, manifest, turn
from tests.made_turns import Truth, measured_turns
from tests.report.made import USUAL, decision_of, of_truths, reported, table, without_figures, words


@pytest.fixture(autouse=True)
def _words_alone() -> Iterator[None]:
    with without_figures():
        yield


def only_choice(written: Written) -> Choice:
    (choice,) = decision_of(written).choices
    return choice


def test_a_faster_one_is_named_with_its_interval_everywhere(tmp_path: Path) -> None:
    written = of_truths(tmp_path, USUAL)
    choice, (verdict,) = only_choice(written), written.verdicts
    assert (choice.use, choice.sure, choice.costs) == (("executor",), "known", "nothing")
    said = re.fullmatch(r"native does ([\d.]+) x \(([\d.]+) to ([\d.]+)\)", choice.because)
    assert said, choice.because
    assert float(said[2]) < 2 / 3 < float(said[3])
    assert decision_of(written).whole == "Use executor."
    assert "faster than native by" in verdict.sentence
    assert choice.because in words(written.path.read_text())


def test_the_same_is_shown_and_no_sentence_lists_all(tmp_path: Path) -> None:
    alike = {"native": Truth(1000), "executor": Truth(1000, cpu_ms=1.5)}
    written = of_truths(tmp_path, alike, rounds=60)
    choice = only_choice(written)
    assert (choice.answer, choice.sure) == ("no difference: all are the same", "the same")
    assert decision_of(written).whole == "No difference: all are the same."
    assert re.fullmatch(r"the pace is the same within [\d.]+ %", choice.because)
    # who is the same on one axis may lose on another
    notes = [cell.note for row in table(written, "scenario-1-axes").rows for cell in row.cells]
    assert {"better", "worse"} & set(notes)
    assert "smallest difference that would show" in table(written, "scenario-1-axes").note


def test_what_is_not_known_is_no_recommendation_and_says_how_long_would_tell(
    tmp_path: Path,
) -> None:
    truths = {"native": Truth(1000), "executor": Truth(1020), "blocking": Truth(100)}
    written = of_truths(tmp_path, truths, launches=1, rounds=4, spread=0.08)
    choice = only_choice(written)
    ahead = choice.ahead
    assert ahead in {"native", "executor"}
    assert choice.use == ()
    assert choice.answer == f"not known yet: {ahead} was ahead (blocking slower)"
    assert decision_of(written).whole == f"Not known yet: {ahead} was ahead."
    assert re.fullmatch(r"[\d,]+ more (seconds|minutes?|hours?) would tell \w+", choice.what_then)
    assert choice.costs == "–", "nothing is recommended that could cost nothing"


def test_one_round_claims_no_interval(tmp_path: Path) -> None:
    written = of_truths(tmp_path, USUAL, launches=1, rounds=1)
    choice = only_choice(written)
    assert (choice.use, choice.because) == ((), "native does 0.66 x")
    assert choice.what_then == "too few rounds: measure for longer"


def test_one_variant_alone_is_not_recommended_and_others_figures_are_not_of_this_run(
    tmp_path: Path,
) -> None:
    before = manifest(tuple(USUAL), run_id="20250101-000000-quick-aaa")
    reported(tmp_path, before, measured_turns(USUAL))
    alone = reported(
        tmp_path, manifest(("executor",)), measured_turns({"executor": Truth(1500)}, rounds=40)
    )
    choice = only_choice(alone)
    assert (choice.use, choice.sure) == ((), "not known")
    assert choice.answer == "executor alone was measured"
    assert choice.what_then == "nothing was measured beside it: add STRATEGY=executor,native"
    assert "nothing was measured beside it" in decision_of(alone).whole
    text = words(alone.path.read_text())
    assert "Not of this run, but of earlier ones on this machine: native 1,0" in text
    (row,) = table(alone, "scenario-1-table").rows
    pace = row.cells[1].text, row.cells[1].note
    low, high = (float(each.replace(",", "")) for each in pace[1].split(" to "))
    assert low < 1500 < high


def test_who_is_far_behind_is_not_asked_for_the_common_load(tmp_path: Path) -> None:
    steps = measured_turns(USUAL) + [turn("far", 50, number=n) for n in range(10)]
    written = reported(tmp_path, manifest((*USUAL, "far")), steps)
    (comparison,) = written.comparisons
    assert "far" not in comparison.rows.index
    assert missing_note(comparison, "far") == "100/s is beyond it"
    # who could carry that load and has no latency at it had no sound turn there
    assert missing_note(comparison, "native") == "no sound turn at 100/s"


def test_a_variant_most_of_whose_turns_were_not_sound_is_not_relied_on(tmp_path: Path) -> None:
    for spoiled in (1, 2, 3):
        turns = [
            turn("native", 500, number=n, valid=n >= spoiled, reasons=(LATE,) * (n < spoiled))
            for n in range(3)
        ]
        folder = tmp_path / str(spoiled)
        (comparison,) = reported(folder, manifest(("native",)), turns).comparisons
        assert ("native" in comparison.invalid) == (spoiled > 1)
    assert comparison.absence("native").startswith(
        "not measured, because none of its turns was sound: the load generator sent late"
    )


def test_nothing_measured_is_said(tmp_path: Path) -> None:
    written = reported(tmp_path, manifest(), [], [end("native", failure="no table")])
    assert "no table" in words(written.path.read_text())
    assert not written.sound
