"""The map: cells, ties, and where one way overtakes another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.analysis.comparison import command_of
from asyncdb_bench.analysis.crossover_map import CrossoverMap, make_map
from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.records.plan import Objective, PlannedScenario, Variant
from asyncdb_bench.records.run import Manifest
from tests.factories import LATE, manifest, step
from tests.report.test_page import written

NAMES = ("blocking", "executor", "native")
LOADS = (10.0, 20.0, 50.0, 100.0, 200.0, 400.0, 800.0)


def swept(carried: dict[float, tuple[float, float, float]], **changes: Any) -> tuple[Manifest, Any]:
    """Make a run whose cells of one row have these capacities by query time."""
    asked = tuple(
        PlannedScenario(
            f"sweep:ms={ms:g}",
            "sweep",
            {"ms": ms, "fetch": 1},
            Objective(100),
            LOADS,
            {"f": 1},
            cell=(ms, 1),
        )
        for ms in carried
    )
    variants = tuple(
        Variant(name, name, {}, 8, limits={"threads": 8} if name == "executor" else {})
        for name in NAMES
    )
    made = manifest(NAMES)
    made = replace(made, plan=replace(made.plan, variants=variants, scenarios=asked))
    steps = [
        step(name, load, scenario=each.label, p99=20 if load <= top else 400, **changes)
        for each, tops in zip(asked, carried.values(), strict=True)
        for name, top in zip(NAMES, tops, strict=True)
        for load in LOADS
        if load <= 2.5 * top
    ]
    return made, steps


def mapped(carried: dict[float, tuple[float, float, float]], **changes: Any) -> CrossoverMap:
    from asyncdb_bench.analysis.comparison import compare_scenarios

    made, steps = swept(carried, **changes)
    table = steps_table(steps)
    found = make_map(
        made.plan.scenarios, compare_scenarios(made, table, []), table, made.plan.variants
    )
    assert found is not None
    return found


def test_the_best_of_each_cell_and_ties() -> None:
    found = mapped({0: (400, 100, 400), 50: (10, 100, 100)})
    assert [(cell.ms, set(cell.best)) for cell in found.cells] == [
        (0, {"blocking", "native"}),
        (50, {"executor", "native"}),
    ]
    assert all(cell.tie and cell.sound for cell in found.cells)
    assert found.cells[0].loop_lag_ms["native"] == 2.0


def test_who_leads_is_said_by_query_time_and_in_how_many_cells() -> None:
    found = mapped({0: (400, 100, 400), 2: (400, 100, 400), 10: (50, 200, 200)})
    assert found.sentences[0] == (
        "At 1 row: blocking and native lead from 0 to 2 ms; executor and native lead at 10 ms"
    )
    assert found.sentences[-1] == (
        "Best or not told apart from the best, of 3 sound cells: native in 3, blocking in 2,"
        " executor in 1"
    )


def test_the_crossing_lies_between_the_cells_that_show_it() -> None:
    found = mapped({0: (400, 100, 400), 2: (400, 100, 400), 10: (50, 200, 200)})
    assert found.sentences[1] == (
        "At 1 row: below about 6 ms (between 2 and 10) blocking carries more than executor, above"
        " it less"
    )


@pytest.mark.parametrize(
    "carried",
    [
        {0: (100, 200, 200), 10: (10, 100, 100)},
        {0: (400, 200, 200), 10: (400, 100, 100)},
        {0: (100, 400, 400), 10: (400, 100, 100), 50: (10, 100, 100)},
    ],
)
def test_what_does_not_cross_once_has_no_crossing(
    carried: dict[float, tuple[float, float, float]],
) -> None:
    assert not any("below about" in each for each in mapped(carried).sentences)


def test_an_unsound_cell_is_shown_and_left_out(tmp_path: Path) -> None:
    made, steps = swept({0: (400, 200, 400), 10: (50, 100, 100)}, valid=False, reasons=(LATE,))
    page, outcome = written(tmp_path, made, steps)
    assert not outcome.sound
    assert "The map" in page
    assert "lead" not in page[page.index("The map") :][:300]


def test_the_report_shows_the_map_instead_of_every_cell(tmp_path: Path) -> None:
    made, steps = swept({0: (400, 100, 400), 10: (50, 200, 200)})
    page, outcome = written(tmp_path, made, steps)
    assert outcome.sound
    assert page.count("<svg") == 1
    assert "blocking carries more than executor" in page
    assert "What held each back" not in page
    table = outcome.path.with_name("map.md").read_text()
    assert "| 1 | blocking" in table
    assert "lag 2 ms |" in table


def test_a_page_names_the_command_and_not_the_folders() -> None:
    words = ("run", "--results", "/tmp/x", "--scenario", "sweep", "--reports", "/tmp/y")
    assert command_of(manifest(command=words)) == "bench.py run --scenario sweep"


def test_a_sweep_is_its_grid_and_a_named_cell_is_itself() -> None:
    def labels(text: str) -> list[str]:
        plan = make_plan(Choices(profile="sweep", scenarios=text), read_profiles())
        return [each.label for each in plan.scenarios]

    assert len(labels("sweep")) == 12
    assert len(labels("sweep:grid=fine")) == 36
    assert labels("sweep:ms=5:fetch=7") == ["sweep:ms=5:fetch=7"]
    assert len(labels("sweep:ms=5")) == 3


@pytest.mark.parametrize("fetch", [1, 1000])
@pytest.mark.parametrize("ms", [0, 200])
def test_ladders_reach_from_a_blocked_loop_to_a_full_pool(ms: float, fetch: int) -> None:
    ladder = make_scenario("sweep", {"ms": ms, "fetch": fetch}).ladder()
    assert ladder[0] <= 0.5 / max(ms / 1000, 0.003)
    assert ladder[-1] >= min(8 / (max(ms, 3) / 1000 + 0.012 * fetch / 1000), 1000) * 0.75
    assert len(ladder) <= 14
