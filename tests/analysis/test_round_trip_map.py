"""The map of round trips: who leads, how sure that is, the borders, and how far away it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncdb_bench.analysis.comparison import Comparison, compare_scenarios
from asyncdb_bench.analysis.distance import away, beside, placed
from asyncdb_bench.analysis.round_trip_map import RoundTripMap, make_round_trip_map
from asyncdb_bench.analysis.round_trip_words import best_words, how_sure, map_page
from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.analysis.verdict import decide
from asyncdb_bench.records.plan import Objective, Plan, PlannedScenario, Reach, Trial, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import RoundTrip, Step, TrialEnd
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.parts.whole import make_document
from asyncdb_bench.report.renderers.markdown import render_markdown
from tests.analysis.turns.test_answers import turn
from tests.factories import end, manifest, settings

BLOCKS = 4
Paces = dict[str, float]
Cells = list[tuple[PlannedScenario, Paces]]


def cell(rtt_ms: float, queries: int, ms: float = 0) -> PlannedScenario:
    label = f"map:rtt={rtt_ms:g}:queries={queries}:ms={ms:g}"
    place = {"queries": queries, "ms": ms}
    return PlannedScenario(
        label, "map", {}, Objective(100), (1.0,), {}, reach=Reach(rtt_ms), place=place
    )


def measured(cells: Cells, blocks: int = BLOCKS) -> tuple[Manifest, list[Comparison]]:
    """Return a run in which each variant had those paces, a little apart from block to block."""
    names = list(dict.fromkeys(name for _, paces in cells for name in paces))
    variants = tuple(Variant(name, name, {}, 8, limits={"connections": 8}) for name in names)
    steps: list[Step] = []
    ends: list[TrialEnd] = []
    for asked, paces in cells:
        for block in range(blocks):
            for place, (name, pace) in enumerate(paces.items()):
                off = 1 + 0.004 * ((block + place) % 3 - 1)
                steps.append(turn(name, "pace", block, pace=pace * off, scenario=asked.label))
                trip = RoundTrip("database", asked.reach.rtt_ms, asked.reach.rtt_ms + 0.02, None)
                trial = steps[-1].trial
                ends.append(
                    end(name, scenario=asked.label, trial=trial, block=block, round_trips=(trip,))
                )
    trials = tuple(Trial(each.trial, each.block, each.variant, each.scenario) for each in ends)
    plan = Plan(1, settings(blocks=blocks), variants, tuple(each for each, _ in cells), trials)
    made = manifest(plan=plan)
    return made, compare_scenarios(made, steps_table(steps), ends, steps)


def mapped(cells: Cells, blocks: int = BLOCKS) -> RoundTripMap:
    made, comparisons = measured(cells, blocks)
    plan = made.plan
    found = make_round_trip_map(plan.scenarios, comparisons, plan.variants, plan.settings)
    assert found is not None
    return found


NEAR: Paces = {"blocking": 1000.0, "native": 800.0}
FAR: Paces = {"blocking": 150.0, "native": 700.0}
CELLS: Cells = [
    (cell(0, 1), NEAR),
    (cell(0, 3), {"blocking": 500.0, "native": 500.0}),
    (cell(2, 1), FAR),
    (cell(2, 3), {"blocking": 90.0, "native": 450.0}),
]


def test_the_others_stand_beside_who_leads_most_often() -> None:
    found = mapped(CELLS)
    assert found.base == "native"
    near = found.at(0, 1, 0)
    far = found.at(2, 1, 0)
    assert near is not None
    assert far is not None
    assert (near.leader, far.leader) == ("blocking", "native")
    ratio = far.beside_base["blocking"].ratio
    assert ratio is not None
    assert ratio.ratio == pytest.approx(150 / 700, rel=0.01)
    assert near.measured_ms == pytest.approx(0.02)


def test_what_is_the_same_leads_together() -> None:
    found = mapped(CELLS).at(0, 3, 0)
    assert found is not None
    assert set(found.best) == {"blocking", "native"}
    assert " = " in best_words(found)
    assert how_sure(found).startswith("± ")


def test_one_block_tells_nothing_and_hides_nobody_s_lead() -> None:
    found = mapped(CELLS, blocks=1).at(2, 1, 0)
    assert found is not None
    assert found.best == ("native",)
    assert not found.known
    assert how_sure(found) == "one block"


def test_the_border_lies_where_the_ratios_cross() -> None:
    sentences = mapped(CELLS).sentences
    border = next(each for each in sentences if "below about" in each)
    assert border.startswith("1 query, fast: below about")
    assert "(between 0 and 2) blocking is faster than native, above it slower" in border
    about = float(border.partition("below about ")[2].partition(" ")[0])
    assert 0 < about < 1, "800/1000 against 700/150: nearer to loopback"


def test_each_round_trip_has_a_sentence_with_what_it_is_beside() -> None:
    sentences = mapped(CELLS).sentences
    assert any("fast queries, 2 ms away: beside native" in each for each in sentences)
    assert any("fast queries, on loopback: beside native" in each for each in sentences)


def test_its_page_has_a_table_for_each_time_of_a_query() -> None:
    cells = [*CELLS, (cell(0, 1, 10), {"blocking": 90.0, "native": 600.0})]
    made, comparisons = measured(cells)
    plan = made.plan
    found = make_round_trip_map(plan.scenarios, comparisons, plan.variants, plan.settings)
    assert found is not None
    page = map_page(found, made, "bench.py run")
    assert "## Fast queries" in page
    assert "## Queries of 10 ms" in page
    assert "not reached" in page, "2 ms away was not measured with 10 ms"


def test_no_cell_no_map() -> None:
    made, comparisons = measured([(replace(cell(0, 1), place={}), NEAR)])
    plan = made.plan
    assert make_round_trip_map(plan.scenarios, comparisons, plan.variants, plan.settings) is None


@pytest.mark.parametrize(
    ("reach", "measured_ms", "words"),
    [
        (Reach(), 0.06, "with the database on loopback (0.06 ms)"),
        (Reach(), 3.4, "with the database 3.4 ms away, as it is"),
        (Reach(0.5), 0.51, "with the database 0.5 ms away"),
        (Reach(2, 1), 2.0, "with the database 2 ms away and the broker 1 ms"),
        (Reach(1, via="pgbouncer"), 1.0, "with the database 1 ms away behind PgBouncer"),
        (Reach(1, tls=True), 1.0, "with the database 1 ms away over TLS"),
    ],
)
def test_a_verdict_says_how_far_away_it_was(reach: Reach, measured_ms: float, words: str) -> None:
    trip = RoundTrip("database", reach.rtt_ms, measured_ms, measured_ms)
    assert away(reach, [trip]) == words


def test_where_nothing_was_measured_nothing_is_said() -> None:
    assert away(Reach(), []) == ""


def test_a_verdict_has_its_distance_and_what_another_did() -> None:
    main = replace(cell(2, 1), label="read", place={})
    other = replace(cell(0, 1), label="read:rtt=0", place={}, beside="read")
    made, (far, near) = measured([(main, FAR), (other, NEAR)])
    verdict = beside(other, near, placed(decide(far, BLOCKS), main, far))
    assert verdict.sentence.startswith("with the database 2 ms away, use native (")
    assert verdict.conditions[-1].startswith(
        "with the database on loopback (0.02 ms) instead, use blocking ("
    )
    assert made.plan.scenarios[1].aside


def test_variants_at_different_distances_have_no_one_distance() -> None:
    main = replace(cell(2, 1), label="read", place={})
    _, (found,) = measured([(main, FAR)])
    mixed = replace(found, round_trips=(*found.round_trips, RoundTrip("database", 0, 0.1, 0.1)))
    verdict = decide(found, BLOCKS)
    assert placed(verdict, main, mixed) == verdict


def test_what_stands_beside_a_scenario_has_no_section_of_its_own() -> None:
    main = replace(cell(2, 1), label="read", place={})
    other = replace(cell(0, 1), label="read:rtt=0", place={}, beside="read")
    made, found = measured([(main, FAR), (other, NEAR)])
    findings = Findings(
        manifest=made,
        steps=steps_table([]),
        ends=(),
        offered=(),
        comparisons=found,
        verdicts=[decide(each, BLOCKS) for each in found],
    )
    document = make_document(findings)
    assert [each.nav for each in document.sections if each.scenario] == ["read"]
    page = render_markdown(document)
    assert "### read: " in page
    assert "| read:rtt=0" not in page
