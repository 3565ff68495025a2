"""What applications do: reading without commit, IN lists of many lengths, rows in parts."""

from __future__ import annotations

import pytest

from asyncdb_bench.extensions.check.scenario_check import check_scenario
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.services.running import RunningServices
from tests.measuring import Ran, run

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("checks_on_lent_services")]

SESSIONS = ("native", "executor", "psycopg_async")
RAW = (*SESSIONS, "asyncpg_raw")
UNCOMMITTED = ("native", "native:autocommit=true", "asyncpg_raw", "executor")


@pytest.mark.parametrize(
    ("knobs", "strategies"),
    [
        ({"commit": "false"}, SESSIONS),
        ({"commit": "false", "entities": "core"}, RAW),
        ({"shapes": "20"}, RAW),
        ({"shapes": "20", "commit": "false"}, RAW),
        ({"part": "3", "rows": "10"}, SESSIONS),
        ({"part": "3", "rows": "10", "commit": "false"}, SESSIONS),
    ],
)
def test_every_strategy_answers_right(knobs: dict[str, str], strategies: tuple[str, ...]) -> None:
    found = list(check_scenario(Spec("page", knobs | {"authors": "500"}), strategies))
    # whether a busy machine can meet an objective is not asked here
    wrong = [each for each in found if each.problem and "objective" not in each.check]
    assert wrong == []
    assert [each.check for each in found if each.check.startswith(strategies)]


@pytest.fixture(scope="module")
def ran(postgres: RunningServices, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run(
        ",".join(UNCOMMITTED),
        postgres,
        tmp_path_factory.mktemp("habits"),
        scenarios="page:commit=false:entities=core:authors=500",
        rounds=1,
        window_s=1.0,
    )


@pytest.mark.parametrize("variant", UNCOMMITTED)
def test_what_is_rolled_back_is_not_missing_in_the_audit(ran: Ran, variant: str) -> None:
    end = ran.end(variant)
    assert not end.failure
    assert not end.reasons, end.audit
    (pace, *_) = ran.of(variant, "pace")
    assert pace.ledger.ok > 20
    assert pace.audit is not None
    assert not pace.audit.transactions
    counts = {DoubtKind.TRANSACTIONS, DoubtKind.ROWS, DoubtKind.BUDGET}
    assert not [each for each in pace.reasons if each.kind in counts]
