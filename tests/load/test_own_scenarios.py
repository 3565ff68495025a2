"""The load on scenarios of one's own: answers of any kind, sessions, checks that raise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch, load_for, offer
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.services.running import RunningServices

pytestmark = pytest.mark.services
OWN = Path(__file__).parents[1] / "plugins" / "own.py"


def test_one_application_serves_them_all_and_one_load_asks_for_each(
    postgres: RunningServices, tmp_path: Path
) -> None:
    asked = tuple(
        plan_scenario(Spec(f"{OWN}:{name}", {}), {}) for name in ("Shop", "Visits", "Refusing")
    )
    shop, visits, refusing = (each.label for each in asked)
    launch = Launch(make_variant(Spec("native", {}), 4), asked, "own", "own", 60.0)
    file = tmp_path / "step.npz"
    with launched(launch, postgres, tmp_path) as processes:
        load = load_for(asked, 60.0, 200, tmp_path / "load.log", port=processes.port)
        try:
            for label, connections in ((shop, 0), (visits, 0), (visits, 8), (shop, 8)):
                order = LoadOrder(100, 1.0, 60.0, (1,), connections=connections, scenario=label)
                reply = offer(load, order, str(file))
                assert reply.errors == {}
                assert reply.ledger.ok == reply.ledger.scheduled > 0
                with np.load(file) as columns:
                    asked_for = set(columns["operation"])
                assert asked_for <= {0, 1, 2, 3}
                if label == shop and not connections:
                    assert asked_for == {0, 1, 2, 3}, "lists, a page and bytes"
            reply = offer(load, LoadOrder(50, 0.5, 60.0, (1,), scenario=refusing))
            assert reply.ledger.ok == 0
            assert reply.wrong_answers == reply.ledger.scheduled == 25
            says = "wrong answer to refused: KeyError: 'nothing' in 'application/json'"
            assert list(reply.errors) == [says]
        finally:
            load.stop(0)
