"""Variants of other checkouts and with faults, against real services."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.plan.registry import CHECKOUT
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, parse_fault
from asyncdb_bench.services.running import RunningServices
from tests import measuring
from tests.measuring import lasting, run

pytestmark = pytest.mark.services
MARK = "this is the other checkout"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy this checkout; its `executor` does not open."""
    folder = tmp_path_factory.mktemp("base")
    for name in ("asyncdb_bench", "asyncdb_bench_attach", "strategies", "scenarios"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, folder / name, ignore=ignored)
    shutil.copy(CHECKOUT / "bench.toml", folder)
    path = folder / "strategies" / "executor.py"
    path.write_text(
        f"{path.read_text()}\n    async def open(self) -> None:\n"
        f"        raise RuntimeError({MARK!r})\n"
    )
    return folder


def test_another_checkouts_processes_run_in_its_own_code(
    base: Path, valkey: RunningServices, tmp_path: Path
) -> None:
    requests = (
        f"native,executor,executor@{base},native@{base}:processes=2:pool=3,celery@{base}:workers=2"
    )
    ran = run(requests, valkey, tmp_path, ladder=(20,))
    own, other, broken, shares, celery = ran.plan.variants
    assert MARK in ran.end(broken.label).failure
    assert shares.elsewhere is not None
    assert [share["pool"] for share in shares.shares] == [2, 1]
    for variant in (own, other, shares, celery):
        assert not ran.end(variant.label).failure
        step = ran.of(variant.label, "rung")[-1]
        assert step.ledger.ok == step.ledger.scheduled
        assert lasting(step) == []
    assert ran.of(shares.label, "rung")[-1].usage["app"].processes == 2
    logs = "".join(each.read_text() for each in ran.folder.logs.glob("*worker*"))
    assert "Traceback" not in logs


def test_a_delay_is_felt_and_the_audit_still_holds(
    valkey: RunningServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = parse_fault("delay_ms=60,cpu_ms=5")

    def with_fault(spec: Spec, budget: int) -> Any:
        return make_variant(spec, budget, fault)

    monkeypatch.setattr(measuring, "make_variant", with_fault)
    ran = run("native,celery:workers=2", valkey, tmp_path, ladder=(20,))
    for variant in ran.plan.variants:
        step = ran.of(variant.label, "rung")[-1]
        assert (step.latency.p50_ms or 0) >= 65, "60 ms in the database, 5 in the handler"
        assert step.ledger.ok == step.ledger.scheduled
        assert lasting(step) == []
        assert step.audit is not None
        assert step.audit.rows == step.audit.rows_least, "the delay returns no row"
