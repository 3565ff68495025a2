"""The map of cells: who leads where, how sure that is, the borders, and how far away it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncdb_bench.analysis.comparison import Comparison, command_of, compare_scenarios
from asyncdb_bench.analysis.decision import away, placed, trip_rows
from asyncdb_bench.analysis.pace_map import (
    Cell,
    PaceMap,
    best_words,
    how_sure,
    make_pace_map,
)
from asyncdb_bench.analysis.verdict import decide
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.records.plan import Objective, Plan, PlannedScenario, Reach, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import RoundTrip
from asyncdb_bench.report.parts.maps import map_document
from asyncdb_bench.report.renderers import render_markdown
from tests.factories import end, manifest, paces, settings

Paces = dict[str, float]
Cells = list[tuple[PlannedScenario, Paces]]


def cell(rtt_ms: float, queries: float, ms: float = 0, rows: float = 0) -> PlannedScenario:
    label = f"map:rtt={rtt_ms:g}:queries={queries}:ms={ms:g}:rows={rows:g}"
    place = {"queries": queries, "ms": ms} | ({"rows": rows} if rows else {})
    return PlannedScenario(
        label, "map", {}, Objective(100), (1.0,), {}, reach=Reach(rtt_ms), place=place
    )


def measured(cells: Cells, stray: float = 0.005) -> tuple[Manifest, list[Comparison]]:
    """Return a run in which each variant had those paces."""
    names = list(dict.fromkeys(name for _, own in cells for name in own))
    variants = tuple(Variant(name, name, {}, 8, limits={"connections": 8}) for name in names)
    steps, ends = [], []
    for asked, own in cells:
        steps += paces(own, scenario=asked.label, stray=stray, rounds=8)
        trip = RoundTrip("database", asked.reach.rtt_ms, asked.reach.rtt_ms + 0.02, None)
        ends += [end(n, scenario=asked.label, trial=f"{n}-0", round_trips=(trip,)) for n in own]
    made = manifest(plan=Plan(1, settings(), variants, tuple(each for each, _ in cells), ()))
    return made, compare_scenarios(made, ends, steps)


def mapped(cells: Cells, stray: float = 0.005) -> PaceMap:
    made, comparisons = measured(cells, stray)
    plan = made.plan
    found = make_pace_map(plan.scenarios, comparisons, plan.variants, plan.settings)
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


def at(found: PaceMap, rtt_ms: float, queries: float) -> Cell:
    one = found.at({"rtt_ms": rtt_ms, "queries": queries, "ms": 0})
    assert one is not None
    return one


def test_the_others_stand_beside_who_leads_most_often() -> None:
    found = mapped(CELLS)
    assert found.base == "native"
    near, far = at(found, 0, 1), at(found, 2, 1)
    assert (near.leader, far.leader) == ("blocking", "native")
    assert far.known
    ratio = far.beside_base["blocking"].ratio
    assert ratio is not None
    assert ratio.ratio == pytest.approx(150 / 700, rel=0.02)
    assert near.measured_ms == pytest.approx(0.02)


def test_what_is_the_same_or_not_known_leads_together() -> None:
    same = at(mapped(CELLS), 0, 3)
    assert set(same.best) == {"blocking", "native"}
    assert " = " in best_words(same)
    assert how_sure(same).startswith("± ")
    noisy = at(mapped([(cell(0, 1), {"blocking": 105.0, "native": 100.0})], stray=0.4), 0, 1)
    assert set(noisy.best) == {"blocking", "native"}
    assert not noisy.known


def test_the_border_lies_where_the_ratios_cross() -> None:
    sentences = mapped(CELLS).sentences
    border = next(each for each in sentences if "below about" in each)
    assert "blocking is faster than native, above it slower" in border
    about = float(border.partition("below about ")[2].partition(" ")[0])
    assert 0 < about < 1, "800/1000 against 700/150: nearer to loopback"


@pytest.mark.parametrize(
    ("near", "far"), [({"a": 300.0, "b": 200.0}, {"a": 200.0, "b": 100.0}), (FAR, FAR)]
)
def test_where_one_is_ahead_everywhere_there_is_no_border(near: Paces, far: Paces) -> None:
    found = mapped([(cell(0, 1), near), (cell(2, 1), far)])
    assert not any("below about" in each for each in found.sentences)


def test_its_page_has_a_table_for_each_time_of_a_query() -> None:
    made, comparisons = measured([*CELLS, (cell(0, 1, 10), {"blocking": 90.0, "native": 600.0})])
    plan = made.plan
    found = make_pace_map(plan.scenarios, comparisons, plan.variants, plan.settings)
    assert found is not None
    page = render_markdown(map_document(found, made))
    titles = [line for line in page.splitlines() if line.startswith("## ")]
    assert [title.rpartition(": ")[2] for title in titles[:2]] == ["0 ms", "10 ms"]
    assert "not reached" in page, "2 ms away was not measured with 10 ms"


def test_cells_of_rows_are_a_map_of_query_time_by_rows() -> None:
    cells = [(cell(0.5, 1, ms, rows), NEAR) for ms in (0, 10) for rows in (1, 100)]
    found = mapped(cells)
    assert found.shown == ("rtt_ms", "ms", "rows")
    assert found.model is None, "it knows of no time that rows take"


def test_scenarios_of_their_own_make_no_map() -> None:
    made, comparisons = measured([(replace(cell(0, 1), place={}), NEAR)])
    plan = made.plan
    assert make_pace_map(plan.scenarios, comparisons, plan.variants, plan.settings) is None


def test_a_sweep_is_its_grid_and_a_named_cell_is_itself() -> None:
    def labels(text: str) -> list[str]:
        plan = make_plan(Choices(profile="sweep", scenarios=text), read_profiles())
        return [each.label for each in plan.scenarios]

    assert len(labels("sweep")) == 12
    assert len(labels("sweep:grid=fine")) == 36
    assert len(labels("sweep:ms=5:fetch=7")) == 1


def test_a_page_names_the_command_and_not_the_folders() -> None:
    words = ("run", "--results", "/tmp/x", "--scenario", "sweep", "--reports", "/tmp/y")
    assert command_of(manifest(command=words)) == "bench.py run --scenario sweep"


# how far away it was


@pytest.mark.parametrize(
    ("reach", "measured_ms", "words"),
    [
        (Reach(), 0.06, "with the database on loopback (0.06 ms)"),
        (Reach(), 3.4, "with the database 3.4 ms away, as it is"),
        (Reach(0.5), 0.51, "with the database 0.5 ms away"),
        (Reach(0.5), 1.39, "with the database 1.4 ms away, not 0.5"),
        (Reach(0.5), 0.12, "with the database 0.12 ms away, not 0.5"),
        (Reach(2, 1), 2.0, "with the database 2 ms away and the broker 1 ms"),
        (Reach(1, via="pgbouncer"), 1.0, "with the database 1 ms away behind PgBouncer"),
        (Reach(1, tls=True), 1.0, "with the database 1 ms away over TLS"),
    ],
)
def test_a_sentence_names_the_distance_that_there_was(
    reach: Reach, measured_ms: float, words: str
) -> None:
    trip = RoundTrip("database", reach.rtt_ms, measured_ms, measured_ms)
    assert away(reach, [trip]) == words


def test_a_verdict_has_its_distance_unless_variants_differ_in_it() -> None:
    main = replace(cell(2, 1), label="read", place={})
    _, (found,) = measured([(main, FAR)])
    verdict = decide(found)
    assert placed(verdict, main, found).sentence.startswith("with the database 2 ms away, native (")
    mixed = replace(found, round_trips=(*found.round_trips, RoundTrip("database", 0, 0.1, 0.1)))
    assert placed(verdict, main, mixed) == verdict
    assert placed(verdict, main, replace(found, round_trips=())) == verdict
    (row,) = trip_rows([found])
    assert (row["to"], row["asked_ms"], row["median_ms"]) == ("database", 2, pytest.approx(2.02))
