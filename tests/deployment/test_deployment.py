"""What a deployment takes: packages, lines of configuration, and when it answers again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest

from asyncdb_bench import report
from asyncdb_bench.analysis.step.durations import outages
from asyncdb_bench.extensions.deployment.deployment import (
    ProbeAnswer,
    back_after_s,
    closure,
    config_lines,
    measure_deployment,
    weigh,
)
from asyncdb_bench.extensions.deployment.section import FILE, Deployment, Killed
from asyncdb_bench.plan.request import Spec, parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.records.run_folder import make_run_folder
from asyncdb_bench.services.running import RunningServices
from tests.factories import manifest, settings, step
from tests.measuring import PINNING
from tests.waiting import eventually


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


def asked(*statuses: int, start: float = 0.0) -> list[ProbeAnswer]:
    return [
        ProbeAnswer(start + 0.05 * n, 0.01, status, status == 200)
        for n, status in enumerate(statuses)
    ]


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


def deployed(name: str, processes: int, servers: tuple[str, ...], rest_mb: float) -> Deployment:
    return Deployment(
        name, {"app": processes}, servers, 20, 5, 30.0, 0.5, {"app": rest_mb}, {"postgresql": 8},
        (Killed("application", 70, 5, {"no answer": 5}, 0.5, None),),
    )  # fmt: skip


def test_the_report_tells_what_each_deployment_took(tmp_path: Path) -> None:
    made = manifest(("executor", "celery"))
    folder = make_run_folder(tmp_path / "results", made.run_id)
    folder.write_manifest(made)
    for name in ("executor", "celery"):
        folder.append_step(step(name))
    weighed = [
        deployed("executor", 1, ("PostgreSQL",), 50),
        deployed("celery", 10, ("a", "b"), 500),
    ]
    for each in weighed:
        folder.append_record(FILE, each)
    assert folder.recorded()[FILE] == weighed
    page = report.write(folder, tmp_path / "reports").path.read_text()
    for text in ("Moving parts, measured", "What fails when a part is killed", "5 of 70"):
        assert text in page


@pytest.mark.services
def test_a_deployment_is_measured_with_each_part_killed(
    valkey: RunningServices, tmp_path: Path
) -> None:
    (spec,), (scenario,) = parse_specs("celery:workers=2"), parse_specs("read:rows=1000")
    asked, how = plan_scenario(scenario, {}), settings(timeout_s=2.0)
    variant = make_variant(spec, 2)
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    found = measure_deployment(variant, asked, valkey, tmp_path, how, PINNING)
    assert found.processes == {"app": 1, "workers": 3}
    assert found.servers == ("PostgreSQL", "broker")
    assert found.connections["postgresql"] == 2
    assert found.connections["broker"] >= 2
    assert found.cold_start_s > 0.1
    assert found.rest_mb["app"] > 10
    killed = {each.part: each for each in found.killed}
    assert list(killed) == ["application", "a worker's child", "worker", "broker", "PostgreSQL"]
    assert all(each.back_s is not None for each in found.killed), killed
    assert killed["application"].failed > 0
    assert killed["application"].how["no answer"] > 0
    assert killed["worker"].failed > 0
    for part in ("worker", "broker", "PostgreSQL"):
        assert set(killed[part].how) <= {"503", "504"}, killed[part]
        assert (killed[part].health_ms or 0) < 5000, "the loop went on"

    def left() -> set[int]:
        return {each.pid for each in psutil.Process().children(recursive=True)}

    # the services' programs are new ones, under the same guards
    assert eventually(lambda: len(left()) <= len(before) + 1, 60)
