"""What a deployment takes: packages, lines of configuration, and when it answers again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asyncdb_bench import report
from asyncdb_bench.backlog import outages
from asyncdb_bench.claims import DEPENDS, HOLDS, NOT, OPEN, claims, markdown
from asyncdb_bench.deployment import config_lines
from asyncdb_bench.model import (
    Asked,
    Backlog,
    Chat,
    Deployment,
    Killed,
    Manifest,
    Objective,
    Percentiles,
    Segment,
    Variant,
)
from asyncdb_bench.packages import closure, weigh
from asyncdb_bench.plan import make_variant
from asyncdb_bench.plugins import Spec
from asyncdb_bench.prober import Answer, back_after_s
from asyncdb_bench.store import make_run_folder
from tests.factories import manifest, step


def test_packages_bring_what_they_require_and_no_more() -> None:
    assert closure(["tornado"]) == {"tornado"}
    plain, extra = closure(["sqlalchemy"]), closure(["sqlalchemy[asyncio]"])
    assert extra - plain == {"greenlet"}
    celery = closure(["celery"])
    assert {"celery", "kombu", "billiard", "vine", "amqp"} <= celery
    assert "pytest" not in celery
    found = weigh(["tornado", "celery"])
    assert found.packages == len(celery) + 1
    assert found.megabytes is not None
    assert 2 < found.megabytes < 60
    assert weigh(["no-such-package"]).megabytes is None


def test_celery_needs_more_lines_of_configuration() -> None:
    plain = config_lines(make_variant(Spec("native", {}), 8))
    celery = config_lines(make_variant(Spec("celery", {}), 8))
    assert plain is not None
    assert celery is not None
    assert 10 < plain < celery


def asked(*statuses: int, start: float = 0.0) -> list[Answer]:
    return [Answer(start + 0.05 * n, 0.01, status) for n, status in enumerate(statuses)]


def test_it_answers_again_when_it_goes_on_to() -> None:
    found = asked(*[200] * 20, *[503] * 10, 200, 503, *[200] * 10)
    assert back_after_s(found, 1.0) == pytest.approx(0.05 * 12 + 0.01)
    assert back_after_s(asked(*[200] * 40), 1.0) == 0.0
    assert back_after_s(asked(*[200] * 20, *[0] * 10, 200, 200), 1.0) is None


def test_failures_in_a_row_are_an_outage() -> None:
    intended = np.arange(20) * 100_000
    right = np.array([True] * 5 + [False] * 6 + [True] * 5 + [False] * 4)
    (found,) = outages(intended, intended + 10_000, right)
    assert (found.at_s, found.failed) == (0.5, 6)
    assert type(found.seconds) is float, "NumPy's own is not written to disk"
    assert found.seconds == pytest.approx(0.61)
    (found,) = outages(intended, intended, np.arange(20) < 3)
    assert (found.failed, found.seconds) == (17, None)
    assert outages(intended, intended, np.ones(20, bool)) == ()


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
        Asked("chat:search=5", "chat", {}, Objective(100), (50.0, 100.0, 200.0), {}, ()),
        Asked("burst", "burst", {}, Objective(100), (50.0, 100.0, 200.0), {}, shape),
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


def deployed(name: str, processes: int, servers: tuple[str, ...], rest_mb: float) -> Deployment:
    return Deployment(
        name, {"app": processes}, servers, 20, 5, 30.0, 0.5, {"app": rest_mb}, {"postgresql": 8},
        (Killed("application", 70, 5, {"no answer": 5}, 0.5, None),),
    )  # fmt: skip


def found(made: Manifest, steps: list[Any], deployments: list[Deployment]) -> Any:
    from asyncdb_bench.analysis import compare
    from asyncdb_bench.tables import steps_table

    return claims(made, compare(made, steps_table(steps), []), steps, deployments)


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


def test_page_and_report_tell_claims_and_deployment(tmp_path: Path) -> None:
    made, steps = blog(CAPACITIES, {QUEUED: 90, "celery": 60, THEN: 20}, {"blocking": 1.0})
    folder = make_run_folder(tmp_path / "results", made.run_id)
    folder.write_manifest(made)
    for each in steps:
        folder.append_step(each)
    weighed = [deployed(THEN, 1, ("PostgreSQL",), 50), deployed(QUEUED, 10, ("a", "b"), 500)]
    for each in weighed:
        folder.append_deployment(each)
    assert folder.deployments() == weighed
    outcome = report.write(folder, tmp_path / "reports")
    page = outcome.path.read_text()
    for text in (
        "What was said in 2017",
        "Deploying Celery is a hassle.",
        "Moving parts, measured",
        "What fails when a part is killed",
        "5 of 70",
    ):
        assert text in page
    written = outcome.path.with_name("claims.md").read_text()
    assert written == markdown(found(made, steps, weighed), made)
    assert written.count("\n## ") == 6
    assert "**Holds**: it is 1 more server" in written
