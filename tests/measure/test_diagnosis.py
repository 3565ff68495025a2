"""Bottlenecks driven on purpose: the data must give each its name, whatever the strategy."""

from __future__ import annotations

import pytest

from asyncdb_bench.analysis.limits import diagnose, limit
from asyncdb_bench.services.running import RunningServices
from tests.factories import manifest
from tests.measuring import PINNING, Ran, run

pytestmark = pytest.mark.services
NAMES = {
    # the loop waits in the driver: 1 / 100 ms
    "blocking": ("event loop", "held"),
    # 2 threads / 100 ms
    "executor:threads=2": ("executor threads", "2 threads, busy"),
    # 2 connections / 50 ms, and threads enough
    "executor:threads=8:pool=2": ("connection pool", "2 connections, checked out"),
    "native:pool=2": ("connection pool", "checked out"),
    "celery:workers=2": ("workers", "2 workers, busy"),
}


@pytest.fixture(scope="module")
def saturated(valkey: RunningServices, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Ways to the database, asked for more than they can do: queries of 100 ms, 30 a second."""
    return run(
        ",".join(NAMES),
        valkey,
        tmp_path_factory.mktemp("saturated"),
        scenarios="slow:ms=100,rows=1000",
        # so patient that the first answers of a slow machine do not end the climb
        ladder=(2, 30),
        objective_ms=400,
        warmup_s=0.5,
    )


@pytest.mark.parametrize("name", NAMES)
def test_each_bottleneck_gets_its_name(name: str, saturated: Ran) -> None:
    bottleneck, says = NAMES[name]
    (variant,) = [each for each in saturated.plan.variants if each.label == name]
    steps = saturated.of(name, "rung")
    assert not steps[-1].holds, "it was meant to be too much"
    found = diagnose(steps, variant, PINNING)
    assert found.bottleneck == bottleneck, found.evidence
    assert says in found.evidence


def test_the_ceiling_is_what_the_demand_permits(saturated: Ran) -> None:
    (variant,) = [each for each in saturated.plan.variants if each.label == "native:pool=2"]
    made = limit(manifest(), variant, saturated.of(variant.label, "rung"), 10.0)
    assert made.ceiling is not None
    assert made.ceiling.resource == "connections"
    # 2 / 100 ms, less what the session does with a connection besides
    assert 7 < made.ceiling.rps < 20
    assert made.ratio == pytest.approx(10 / made.ceiling.rps)
    assert "pool took" in made.explanation
