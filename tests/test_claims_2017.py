"""The claims of 2017, weighed on figures made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from asyncdb_bench.analysis.comparison import compare_scenarios
from asyncdb_bench.extensions.deployment.section import FILE, Deployment
from asyncdb_bench.records.plan import Objective, PlannedScenario, Segment, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.run_folder import make_run_folder
from asyncdb_bench.records.step import Backlog, Chat, Percentiles
from benchmarks.claims_2017 import DEPENDS, HOLDS, NOT, OPEN, claims, markdown, page_of
from tests.deployment.test_deployment import deployed
from tests.factories import manifest, step

THEN, QUEUED = "executor:threads=4", "celery:results=amqp"


def blog(capacities: dict[str, float], peaks: dict[str, int], pings: dict[str, float]) -> Any:
    """Make the blog's run: capacities alike on every scenario, peaks of the burst, pings in s."""
    knobs: dict[str, dict[str, Any]] = {THEN: {"threads": 4}, QUEUED: {"results": "amqp"},
                                        "celery": {"results": "auto"}}  # fmt: skip
    variants = tuple(
        Variant(name, name.partition(":")[0], knobs.get(name, {"threads": 8}), 8)
        for name in capacities
    )
    shape = (Segment(1, 1), Segment(1, 10), Segment(1, 1))
    scenarios = (
        PlannedScenario("chat:search=5", "chat", {}, Objective(100), (50.0, 100.0, 200.0), {}, ()),
        PlannedScenario("burst", "burst", {}, Objective(100), (50.0, 100.0, 200.0), {}, shape),
    )
    made = manifest(tuple(capacities))
    made = replace(made, plan=replace(made.plan, variants=variants, scenarios=scenarios))
    steps = []
    for name, top in capacities.items():
        for load in (50.0, 100.0, 200.0, 400.0, 800.0):
            p99 = 20 if load <= top else 400
            nothing = Percentiles(0)
            took = Percentiles(9, 5, 5, 5, pings.get(name, 0.005) * 1000, 5, 5)
            felt = Chat(took, 0, 0, 0, 0, took, 0.0, 1, nothing, 9, 9)
            steps.append(step(name, load, scenario="chat:search=5", p99=p99, chat=felt))
            waited = Backlog(peaks.get(name, 10), 5.0, 900.0, 0.5)
            steps.append(step(name, load, scenario="burst", p99=p99, backlog=waited))
    return made, steps


def found(made: Manifest, steps: list[Any], deployments: list[Deployment]) -> Any:
    return claims(made, compare_scenarios(made, [], steps), steps, deployments)


CAPACITIES = {THEN: 200.0, QUEUED: 50.0, "blocking": 50.0, "celery": 100.0, "native": 800.0}


def test_the_claims_follow_from_the_figures() -> None:
    made, steps = blog(CAPACITIES, {QUEUED: 90, "celery": 60, THEN: 20}, {"blocking": 1.0})
    weighed = [deployed(THEN, 1, ("PostgreSQL",), 50), deployed(QUEUED, 10, ("a", "b"), 500)]
    blocks, hassle, queue, executor, backend, today = found(made, steps, weighed)
    assert blocks.verdict == HOLDS
    assert blocks.figures[0] == (
        "chat:search=5 at 50/s, blocking: 99 % of the pings come back within 1,000 ms, 99 % of the"
        " messages within 1,000 ms"
    )
    assert hassle.verdict == HOLDS
    assert hassle.because == (
        "it is 1 more server and 9 more processes to keep alive, and 10.0 x the memory at rest"
    )
    assert queue.verdict == HOLDS
    assert executor.verdict == HOLDS
    assert backend.because == "a good part: reply messages carry 2.0 x as much"
    assert today.verdict == HOLDS


def test_other_figures_turn_the_verdicts() -> None:
    same = dict.fromkeys(CAPACITIES, 200.0) | {QUEUED: 400.0}
    made, steps = blog(same, {QUEUED: 60, "celery": 20, THEN: 20}, {})
    blocks, hassle, queue, executor, backend, today = found(made, steps, [])
    assert blocks.verdict == NOT
    assert hassle.verdict == OPEN
    assert queue.verdict == DEPENDS
    assert "one queue per task" in queue.because
    assert executor.verdict == NOT
    assert backend.verdict == NOT
    assert today.verdict == DEPENDS
    assert today.because.endswith("are level")


def test_an_executors_queue_as_long_is_no_reason_against_celery() -> None:
    made, steps = blog(CAPACITIES, {QUEUED: 20, "celery": 20, THEN: 20}, {})
    assert found(made, steps, [])[2].verdict == NOT


def test_a_run_without_his_variants_has_no_claims() -> None:
    made, steps = blog({"native": 100, "executor": 100}, {}, {})
    assert found(made, steps, []) == []


def test_the_page_is_written_from_a_run_on_disk(tmp_path: Path) -> None:
    made, steps = blog(CAPACITIES, {QUEUED: 90, "celery": 60, THEN: 20}, {"blocking": 1.0})
    folder = make_run_folder(tmp_path / "results", made.run_id)
    folder.write_manifest(made)
    for each in steps:
        folder.append_step(each)
    weighed = [deployed(THEN, 1, ("PostgreSQL",), 50), deployed(QUEUED, 10, ("a", "b"), 500)]
    for each in weighed:
        folder.append_record(FILE, each)
    written = page_of(folder)
    assert written == markdown(found(made, steps, weighed), made)
    assert written.count("\n## ") == 6
    assert "**Holds**: it is 1 more server" in written
