"""A block with real processes: who is not on turn stands, who breaks loses its place alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncdb_bench.plan.cores import share_out, usable_cores
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario, unique_labels
from asyncdb_bench.records import run_folder as store
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.plan import Block, Plan, Trial
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.measure.run_context import RunContext
from asyncdb_bench.trial.turns.one_block import BlockRunner
from asyncdb_bench.measure.pausing import Stoppable
from asyncdb_bench.trial.cleanup import Warden
from tests.factories import settings

pytestmark = pytest.mark.services
ODD = "tests/plugins/odd.py"
IDLE_SHARE = 0.005


class Ran:
    """What came of a block."""

    def __init__(self, steps: Sequence[Step], ends: Sequence[TrialEnd], folder: Path) -> None:
        self.steps = steps
        self.ends = {end.variant: end for end in ends}
        self.folder = folder

    def of(self, variant: str, kind: str) -> list[Step]:
        return [s for s in self.steps if s.variant == variant and s.turn and s.turn.kind == kind]


def run(
    requests: str, services: RunningServices, folder: Path, *, scenario: str = "read", **how: Any
) -> Ran:
    values: dict[str, Any] = {"turn_s": 0.4, "warmup_s": 0.2, "connections": 8, "rounds": 2}
    on_step = how.pop("on_step", lambda _: None)
    kinds = how.pop("kinds", ("pace", "common"))
    chosen = settings(**(values | how))
    variants = unique_labels([make_variant(spec, 4) for spec in parse_specs(requests)])
    asked = plan_scenario(parse_specs(scenario)[0], {})
    run_id = f"r{time.time_ns()}"
    place = store.make_run_folder(folder / "results", run_id)
    pinning = share_out("auto", usable_cores())
    context = RunContext(run_id, 7, chosen, place, services, on_step, pinning)
    trials = tuple(
        Trial(f"t{time.time_ns()}{n}", 0, each.label, asked.label)
        for n, each in enumerate(variants)
    )
    plan = Plan(7, chosen, variants, (asked,), trials)
    block = Block(trials, kinds, chosen.rounds)
    with Warden() as warden:
        steps, ends = BlockRunner(context, warden)(block, plan, [])
    return Ran(steps, ends, place.path)


def family() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_variants_take_turns_and_who_is_not_on_turn_uses_nothing(
    valkey: RunningServices, tmp_path: Path
) -> None:
    standing: list[int] = []

    def look(step: Step) -> None:
        stopped = [p for p in family() if p.status() == psutil.STATUS_STOPPED]
        standing.append(len(stopped))

    ran = run("native,celery,native", valkey, tmp_path, on_step=look)
    assert {end.failure for end in ran.ends.values()} == {""}
    assert set(ran.ends) == {"native", "celery", "native#2"}
    for name in ran.ends:
        assert len(ran.of(name, "pace")) == 2
        assert len(ran.of(name, "idle")) == 1
        (rest,) = ran.of(name, "idle")
        assert rest.usage["app"].cpu_s < 0.1
    busy = [step.turn.others_busy for step in ran.steps if step.turn]
    assert max(busy) < IDLE_SHARE, "by the kernel's own accounts"
    # two variants of three stand while one has its turn; celery has a worker with children
    assert min(standing) >= 2
    for step in ran.steps:
        assert not [d for d in step.reasons if not d.passing], step.reasons
        assert step.ledger.adds_up
    audits = [end.audit for end in ran.ends.values()]
    for audit in audits:
        assert audit is not None
        assert audit.transactions is not None
        assert audit.transactions_least <= audit.transactions <= audit.transactions_most
    common = {step.offered_rps for step in ran.steps if step.turn and step.turn.kind == "common"}
    assert len(common) == 1
    assert not [p for p in family() if p.status() == psutil.STATUS_STOPPED]


def test_connections_survive_being_stopped_over_amqp(
    rabbitmq: RunningServices, tmp_path: Path
) -> None:
    ran = run("celery,celery_aio,native", rabbitmq, tmp_path, rounds=3)
    assert {end.failure for end in ran.ends.values()} == {""}
    for name in ("celery", "celery_aio"):
        assert all(not step.errors for step in ran.of(name, "pace"))
        assert {step.connections_peak for step in ran.of(name, "pace")} <= {1, 2, 3, 4}


def test_one_that_dies_in_its_turn_loses_its_place_and_the_others_go_on(
    postgres: RunningServices, tmp_path: Path
) -> None:
    def kill(step: Step) -> None:
        if step.variant == "native#2" and step.turn and step.turn.kind == "pace":
            apps = [
                p
                for p in family()
                if "asyncdb_bench.app" in " ".join(p.cmdline())
                and p.status() != psutil.STATUS_STOPPED
            ]
            for each in apps:
                each.kill()

    ran = run("native,native", postgres, tmp_path, rounds=3, on_step=kill)
    assert "was killed by SIGKILL" in ran.ends["native#2"].failure
    assert ran.ends["native#2"].lost
    assert ran.ends["native"].failure == ""
    assert len(ran.of("native", "pace")) == 3
    assert ran.of("native#2", "pace") == [], "it was lost twice: none of its turns is used"


def test_one_that_dies_once_is_launched_afresh_and_takes_all_turns(
    postgres: RunningServices, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(step: Step) -> None:
        if step.variant == "native#2" and step.turn and step.turn.kind == "pace" and not killed:
            (app,) = (
                p
                for p in family()
                if "asyncdb_bench.app" in " ".join(p.cmdline())
                and p.status() != psutil.STATUS_STOPPED
            )
            app.kill()
            killed.append(app.pid)

    ran = run("native,native", postgres, tmp_path, rounds=3, on_step=kill)
    assert ran.ends["native#2"].failure == ""
    assert ran.ends["native#2"].trial.endswith("-again")
    assert len(ran.of("native", "pace")) == 3
    assert 2 <= len(ran.of("native#2", "pace")) <= 3
    trials = {step.trial for step in ran.of("native#2", "pace")}
    assert trials == {ran.ends["native#2"].trial}, "nothing of the launch that died is used"


def test_one_that_answers_nothing_loses_its_place(
    postgres: RunningServices, tmp_path: Path
) -> None:
    ran = run(f"native,{ODD}:Stuck", postgres, tmp_path, timeout_s=0.5, warmup_s=0)
    (broken,) = (end for name, end in ran.ends.items() if name != "native")
    assert "answered none of" in broken.failure
    assert ran.ends["native"].failure == ""
    assert len(ran.of("native", "pace")) == 2


def test_one_that_does_not_start_is_told_and_the_others_go_on(
    postgres: RunningServices, tmp_path: Path
) -> None:
    ran = run(f"native,{ODD}:NoStart", postgres, tmp_path)
    (broken,) = (end for name, end in ran.ends.items() if name != "native")
    assert broken.failure
    assert len(ran.of("native", "pace")) == 2


def test_what_cannot_be_stopped_is_told_and_takes_its_turns(
    postgres: RunningServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Stoppable, pid: int, number: int) -> None:
        self.refusal = f"pid {pid} cannot be stopped: Operation not permitted"

    monkeypatch.setattr(Stoppable, "_signal", refuse)
    ran = run("native,native", postgres, tmp_path)
    assert {end.failure for end in ran.ends.values()} == {""}
    for end in ran.ends.values():
        assert [note.kind for note in end.notes] == [DoubtKind.NOT_STOPPED]
    assert all(note.kind is DoubtKind.OTHERS_RAN for step in ran.steps for note in step.notes), (
        "an idle heartbeat is over the limit, and it is said"
    )
    (awake,) = {step.turn.awake for step in ran.of("native", "pace") if step.turn}
    assert awake == ("native#2",)


def test_an_interruption_leaves_nothing_stopped(postgres: RunningServices, tmp_path: Path) -> None:
    def interrupt(step: Step) -> None:
        if step.turn and step.turn.kind == "pace":
            raise KeyboardInterrupt

    before = {each.pid for each in family()}
    with pytest.raises(KeyboardInterrupt):
        run("native,executor", postgres, tmp_path, on_step=interrupt)
    assert not [each for each in family() if each.pid not in before]


def test_variants_that_do_not_fit_at_once_go_in_groups(
    postgres: RunningServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = replace_available(psutil.virtual_memory(), 500e6)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    ran = run("native,executor", postgres, tmp_path)
    assert {end.failure for end in ran.ends.values()} == {""}
    first = max(i for i, step in enumerate(ran.steps) if step.variant == "native")
    assert all(step.variant == "executor" for step in ran.steps[first + 1 :]), "one by one"
    for name, end in ran.ends.items():
        (note,) = end.notes
        assert (note.kind, note.subject) == (DoubtKind.GROUPED, name)


def replace_available(memory: Any, available: float) -> Any:
    return memory._replace(available=available)


def test_memory_is_that_of_the_variant(postgres: RunningServices, tmp_path: Path) -> None:
    ran = run("native", postgres, tmp_path, kinds=("pace", "limit"))
    (step,) = ran.of("native", "limit")[:1]
    assert step.usage["app"].rss_mb > 20
