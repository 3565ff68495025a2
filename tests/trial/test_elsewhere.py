"""Variants of other checkouts and with faults, against real services."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.plan.registry import CHECKOUT
from asyncdb_bench.plan.request import Spec, parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.measure.launch import (
    Launch,
)
from asyncdb_bench.measure.family import launched
from tests.measure import PINNING, lasting, measure

pytestmark = pytest.mark.services


MARK = "this is the other checkout"


def copy_of_checkout(folder: Path) -> Path:
    for name in ("asyncdb_bench", "strategies", "scenarios"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, folder / name, ignore=ignored)
    shutil.copy(CHECKOUT / "bench.toml", folder)
    return folder


def test_another_checkouts_strategy_runs_in_its_own_code(
    postgres: RunningServices, tmp_path: Path
) -> None:
    base = copy_of_checkout(tmp_path / "base")
    path = base / "strategies" / "native.py"
    text = path.read_text()
    path.write_text(
        f"{text}\n    async def open(self) -> None:\n        raise RuntimeError({MARK!r})\n"
    )
    broken = measure(f"native@{base}", postgres, tmp_path / "one")
    assert MARK in broken.end.failure
    path.write_text(text)
    whole = measure(f"native@{base}", postgres, tmp_path / "two")
    assert not whole.end.failure
    (step,) = whole.steps
    assert step.ledger.ok == step.ledger.scheduled
    assert lasting(step) == []


def test_another_checkouts_workers_are_its_own(valkey: RunningServices, tmp_path: Path) -> None:
    base = copy_of_checkout(tmp_path / "base")
    found = measure(f"celery@{base}:workers=2", valkey, tmp_path)
    assert not found.end.failure
    (step,) = found.steps
    assert step.ledger.ok == step.ledger.scheduled
    logs = "".join(each.read_text() for each in found.folder.logs.glob("*worker*"))
    assert "Traceback" not in logs


@pytest.mark.parametrize("request_text", ["native", "celery:workers=2"])
def test_a_delay_is_felt_and_the_audit_still_holds(
    valkey: RunningServices, tmp_path: Path, request_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asyncdb_bench.plan.faults import parse_fault
    from tests import measure as measuring

    fault = parse_fault("delay_ms=60,cpu_ms=5")

    def with_fault(spec: Spec, budget: int) -> Any:
        return make_variant(spec, budget, fault)

    monkeypatch.setattr(measuring, "make_variant", with_fault)
    found = measure(request_text, valkey, tmp_path)
    (step,) = found.steps
    assert step.latency.p50_ms is not None
    assert step.latency.p50_ms >= 65, "it sleeps 60 ms in the database and burns 5 in the handler"
    assert step.ledger.ok == step.ledger.scheduled
    assert lasting(step) == []
    assert step.audit is not None
    assert step.audit.rows == step.audit.rows_least, "the delay returns no row"


def test_shares_of_several_processes_are_the_other_checkouts(
    postgres: RunningServices, tmp_path: Path
) -> None:
    base = copy_of_checkout(tmp_path / "base")
    (spec,) = parse_specs(f"native@{base}:processes=2:pool=5")
    variant = make_variant(spec, 8)
    assert variant.elsewhere is not None
    assert [share["pool"] for share in variant.shares] == [3, 2]
    asked = replace(plan_scenario(Spec("read", {"rows": "1000"}), {}), ladder=(10.0,))
    launch = Launch(variant, asked, "shares", "none", 5.0, pinning=PINNING)
    with launched(launch, postgres, tmp_path) as processes:
        assert len(processes.apps) == 2
