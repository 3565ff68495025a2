"""Several runs side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from asyncdb_bench.analysis import compare
from asyncdb_bench.beside import Told, beside, warnings
from asyncdb_bench.model import Step
from asyncdb_bench.report.beside_page import write_beside
from asyncdb_bench.tables import steps_table
from asyncdb_bench.verdict import decide
from tests.factories import manifest, step

LOADS = (100.0, 200.0, 300.0, 400.0)


def told(run_id: str, tops: dict[str, float], scenario: str = "read", **changes: object) -> Told:
    steps: list[Step] = [
        step(name, load, p99=20 if load <= top else 400, scenario=scenario)
        for name, top in tops.items()
        for load in LOADS
    ]
    made = manifest(tuple(tops), (scenario,), run_id=run_id, **changes)
    found = tuple(compare(made, steps_table(steps), []))
    return Told(made, found, tuple(decide(each, 1) for each in found))


def test_each_variant_has_what_every_run_saw_at_a_load_that_all_held() -> None:
    runs = [told("one", {"native": 300, "blocking": 200}), told("two", {"native": 400})]
    (table,) = beside(runs)
    assert table.load_rps == 200
    first, second = table.rows["native"]
    assert first is not None
    assert second is not None
    assert (first.capacity.rps, second.capacity.rps) == (300, 400)
    assert first.figures["p99_ms"] == 20
    assert table.rows["blocking"][1] is None
    assert table.warning == ""


def test_a_scenario_that_one_run_lacks_is_shown_as_lacking() -> None:
    first, second = beside([told("one", {"a": 100}), told("two", {"a": 100}, "slow")])
    assert first.rows["a"][1] is None
    assert second.sentences[0] == ""


def test_a_page_shows_what_a_name_hides(tmp_path: Path) -> None:
    odd = "esc\x1b \u202eback"
    page = write_beside([told("one", {odd: 300}), told("two", {odd: 200})], tmp_path).read_text()
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert page.count("esc\ufffd \ufffdback") > 2


def test_other_machines_and_other_work_are_warned_of() -> None:
    one, two = told("one", {"a": 100}), told("two", {"a": 100})
    made = two.manifest
    asked = replace(made.plan.scenarios[0], knobs={"rows": 99})
    other = replace(
        made,
        machine={**made.machine, "cpu": "another"},
        plan=replace(made.plan, scenarios=(asked,)),
    )
    two = replace(two, manifest=other)
    ((name, loud, _),) = warnings([one, two])
    assert name == "two"
    assert "DIFFERENT MACHINES" in loud[0]
    assert "rows" in beside([one, two])[0].warning
