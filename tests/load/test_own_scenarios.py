"""The load on scenarios of one's own: routes, answers of any kind, sessions, wrong answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.measure.launch import Launch, offer
from asyncdb_bench.measure.family import launched

pytestmark = [pytest.mark.services, pytest.mark.patient]
OWN = Path(__file__).parents[1] / "plugins" / "own.py"


def offered(
    name: str, order: LoadOrder, services: RunningServices, folder: Path
) -> tuple[StepReply, dict[str, int]]:
    """Offer a load; return the reply, and how often each operation was asked for."""
    asked = plan_scenario(Spec(f"{OWN}:{name}", {}), {})
    variant = make_variant(Spec("native", {}), 4)
    launch = Launch(variant, asked, f"own_{name}", f"own-{name}", 5.0, outstanding=200)
    file = folder / "step.npz"
    with launched(launch, services, folder) as processes:
        assert processes.load is not None
        reply = offer(processes.load, order, str(file))
    with np.load(file) as columns:
        counts = np.bincount(columns["operation"], minlength=len(asked.mix))
    return reply, dict(zip(asked.mix, counts.tolist(), strict=True))


@pytest.mark.parametrize("connections", [0, 8], ids=["open", "closed"])
def test_sessions_are_gone_through_in_their_order(
    connections: int, postgres: RunningServices, tmp_path: Path
) -> None:
    order = LoadOrder(100, 2.0, 3.0, (1,), connections=connections)
    reply, counts = offered("Visits", order, postgres, tmp_path)
    assert reply.errors == {}
    assert reply.ledger.ok == reply.ledger.scheduled > 100
    # eight users are about, each at one of four steps
    assert max(counts.values()) - min(counts.values()) <= 8


def test_json_lists_pages_and_bytes_are_right_answers(
    postgres: RunningServices, tmp_path: Path
) -> None:
    reply, counts = offered("Shop", LoadOrder(100, 2.0, 3.0, (1,)), postgres, tmp_path)
    assert reply.errors == {}
    assert reply.ledger.ok == reply.ledger.scheduled
    assert all(counts.values())


def test_a_check_that_raises_is_a_wrong_answer_with_its_reason(
    postgres: RunningServices, tmp_path: Path
) -> None:
    reply, _ = offered("Refusing", LoadOrder(50, 1.0, 3.0, (1,)), postgres, tmp_path)
    assert reply.ledger.ok == 0
    assert reply.wrong_answers == reply.ledger.scheduled
    assert any(
        each.startswith("wrong answer to refused: KeyError: 'nothing' in 'application/json'")
        for each in reply.errors
    )
