"""A launch with real processes: who is not on turn stands, who breaks loses its place alone."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from asyncdb_bench.processes.pausing import Stoppable
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.step import Step
from asyncdb_bench.services.running import RunningServices
from tests.measuring import lasting, run

pytestmark = pytest.mark.services
ODD = "tests/plugins/odd.py"
BOTH = "read:rows=1000,slow:ms=5,rows=1000"


def family() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def stopped() -> list[psutil.Process]:
    found = []
    for each in family():
        try:
            if each.status() == psutil.STATUS_STOPPED:
                found.append(each)
        except psutil.NoSuchProcess:
            continue
    return found


def test_variants_share_a_launch_take_turns_and_use_nothing_while_they_are_paused(
    valkey: RunningServices, tmp_path: Path
) -> None:
    standing: list[int] = []
    ran = run(
        "native,celery,native",
        valkey,
        tmp_path,
        scenarios=BOTH,
        on_step=lambda _: standing.append(len(stopped())),
    )
    assert {end.failure for end in ran.ends} == {""}
    assert len({end.trial for end in ran.ends}) == 3, "one launch of each for both scenarios"
    assert len(ran.ends) == 6
    for variant in ran.plan.variants:
        for asked in ran.plan.scenarios:
            turns = [e for e in ran.of(variant.label, "pace") if e.scenario == asked.label]
            assert len(turns) == 2
        (rest,) = ran.of(variant.label, "idle")
        assert rest.usage["app"].cpu_s < 0.2
        audit = ran.end(variant.label).audit
        assert audit is not None
        assert ran.end(variant.label).reasons == ()
    # two variants of three stand while one has its turn; celery has a worker with children
    assert min(standing) >= 2
    for step in ran.steps:
        assert lasting(step) == []
        assert step.ledger.adds_up
        assert step.turn.used_while_paused <= 0.05, "by the kernel's own accounts"
    by_scenario = {asked.label: set[float]() for asked in ran.plan.scenarios}
    for step in ran.steps:
        if step.turn.kind == "common":
            by_scenario[step.scenario].add(step.offered_rps)
    assert all(len(loads) <= 1 for loads in by_scenario.values()), "one load, common to all"
    assert not stopped()


def test_connections_survive_being_stopped_over_amqp(
    rabbitmq: RunningServices, tmp_path: Path
) -> None:
    ran = run("celery,celery_aio,native", rabbitmq, tmp_path, rounds=3)
    assert {end.failure for end in ran.ends} == {""}
    for name in ("celery", "celery_aio"):
        turns = ran.of(name, "pace")
        assert len(turns) == 3
        assert all(not step.errors for step in turns)
        assert {step.connections_peak for step in turns} <= {1, 2, 3, 4}


def test_who_breaks_loses_its_place_and_the_others_go_on(
    postgres: RunningServices, tmp_path: Path
) -> None:
    requests = f"native,{ODD}:Stuck,{ODD}:NoStart"
    ran = run(requests, postgres, tmp_path, scenarios=BOTH, timeout_s=2.0, warmup_s=0.0)
    native, stuck, nothing = (each.label for each in ran.plan.variants)
    assert "no such thing here" in ran.end(nothing).failure
    assert "answered none of" in ran.end(stuck).failure
    assert {each.variant for each in ran.steps} == {native}
    for asked in ran.plan.scenarios:
        own = [e for e in ran.of(native, "pace") if e.scenario == asked.label]
        assert len(own) >= 2, asked.label


def test_what_cannot_be_stopped_is_told_and_an_interruption_leaves_nothing(
    postgres: RunningServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Stoppable, pid: int, number: int) -> None:
        self.refusal = f"pid {pid} cannot be stopped: Operation not permitted"

    with monkeypatch.context() as patched:
        patched.setattr(Stoppable, "_signal", refuse)
        ran = run("native,executor", postgres, tmp_path)
    assert {end.failure for end in ran.ends} == {""}
    for end in ran.ends:
        assert DoubtKind.NOT_STOPPED in {note.kind for note in end.notes}
    assert {step.turn.awake for step in ran.of("native", "pace")} == {("executor",)}
    limits = ran.of("native", "limit")
    assert all(step.usage["app"].rss_mb > 20 for step in limits), "memory is read near the limit"

    def interrupt(step: Step) -> None:
        if step.turn.kind == "pace":
            raise KeyboardInterrupt

    before = {each.pid for each in family()}
    with pytest.raises(KeyboardInterrupt):
        run("native,executor", postgres, tmp_path, on_step=interrupt)
    assert not [each for each in family() if each.pid not in before]
