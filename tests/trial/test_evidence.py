"""The evidence beside a step: phases, the database's count, resources, a probe from outside."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from asyncdb_bench.analysis.standing import standing
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.step import PHASES
from asyncdb_bench.services.running import RunningServices
from tests.measure import lasting, measure

pytestmark = pytest.mark.services
ODD = "tests/plugins/odd.py"

WAYS = (
    "blocking",
    "executor",
    "native",
    "native:uvloop=true",
    "celery",
    "celery:wait=thread",
    "celery:wait=poll",
    "celery:pool=threads",
)


@pytest.mark.parametrize("request_", WAYS)
def test_the_phases_add_up_and_the_database_agrees(
    request_: str, valkey: RunningServices, tmp_path: Path
) -> None:
    check_phases(request_, valkey, tmp_path)


def test_the_phases_add_up_over_amqp(rabbitmq: RunningServices, tmp_path: Path) -> None:
    check_phases("celery_aio", rabbitmq, tmp_path)


def check_phases(request: str, services: RunningServices, folder: Path) -> None:
    found = measure(request, services, folder, scenario="slow:ms=20,rows=1000")
    assert not found.end.failure
    (step,) = found.steps
    assert step.ledger.ok == 30
    means = {name: step.phases[name].mean_ms or 0.0 for name in PHASES}
    assert step.phases["back"].n == 30, "all are sampled"
    assert sum(means.values()) == pytest.approx(step.latency.mean_ms, rel=0.01)
    assert min(means.values()) >= 0
    # the query sleeps for 20 ms, so that much is the database's and the connection's
    assert (step.phases["database"].p50_ms or 0) >= 20
    assert (step.phases["held"].p50_ms or 0) >= 20
    elsewhere = {"threads", "workers"} & found.variant.limits.keys()
    assert ((step.phases["run"].p50_ms or 0) >= 20) == bool(elsewhere)
    assert (means["queue"] > 0) == bool(elsewhere)
    assert (means["reply"] > 0) == bool(elsewhere)
    requests = pd.read_parquet(found.folder.path / "requests.parts")
    columns = [f"{name}_us" for name in PHASES if name != "send_lag"]
    whole = requests[columns].sum(axis=1) + requests.sent_us - requests.intended_us
    assert (whole - (requests.done_us - requests.intended_us)).abs().max() <= 10
    assert step.audit is not None
    assert step.audit.transactions == step.audit.transactions_least == 30
    assert step.audit.rows == step.audit.rows_least == 30
    assert found.end.audit is not None
    assert found.end.audit.source == "pg_stat_database"
    assert found.end.reasons == ()


@pytest.mark.parametrize("scenario", ["write:rows=1000", "mixed:rows=1000,ms=5"])
def test_the_rows_that_operations_declare_are_those_that_the_database_counts(
    scenario: str, postgres: RunningServices, tmp_path: Path
) -> None:
    (step,) = measure("native", postgres, tmp_path, scenario=scenario, ladder=(60,)).steps
    assert step.audit is not None
    assert step.audit.rows == step.audit.rows_least
    assert step.audit.rows is not None
    assert step.audit.rows > step.ledger.ok == 90


def test_what_is_not_sampled_is_not_there(postgres: RunningServices, tmp_path: Path) -> None:
    (step,) = measure("native:timing=0", postgres, tmp_path).steps
    assert step.ledger.ok == 30
    assert not step.phases
    (some,) = measure("native:timing=0.5", postgres, tmp_path, ladder=(100,)).steps
    assert 30 < some.phases["database"].n < 120


def test_every_role_and_the_loop_are_watched(valkey: RunningServices, tmp_path: Path) -> None:
    (step,) = measure("celery", valkey, tmp_path, ladder=(60,)).steps
    for role in ("app", "workers", "broker", "postgresql", "load"):
        assert step.usage[role].rss_mb > 0
        assert (step.usage[role].switches or 0) > 0, role
    assert step.usage["workers"].processes == 5, "a parent and its four children"
    assert step.threads is not None
    assert step.threads.count >= 3
    assert step.threads.loop_cpu_s > 0
    assert step.probe.n == 30, "every 50 ms"
    assert 0 < (step.probe.p50_ms or 0) < 1000
    assert step.wire["client_sent"] > 90 * 60
    assert step.wire["client_received"] > 90 * 60
    assert step.wire["loopback"] > step.wire["client_sent"] + step.wire["client_received"]
    assert step.arrivals_rps == pytest.approx(60, rel=0.02)


def test_work_that_the_ledger_does_not_know_of_is_found(
    postgres: RunningServices, tmp_path: Path
) -> None:
    found = measure(f"{ODD}:Twice", postgres, tmp_path, ladder=(60,))
    (step,) = found.steps
    assert step.ledger.ok == 90
    assert not step.valid
    counted = {each.kind: (each.measured, each.high) for each in step.reasons}
    assert counted[DoubtKind.TRANSACTIONS] == counted[DoubtKind.ROWS] == (180, 90)
    assert "pg_stat_database" in {each.subject for each in found.end.reasons}


def test_a_connection_too_many_is_found(postgres: RunningServices, tmp_path: Path) -> None:
    (step,) = measure(f"{ODD}:Greedy", postgres, tmp_path).steps
    assert not step.valid
    assert (DoubtKind.BUDGET, 4) in {(each.kind, each.limit) for each in step.reasons}


def test_a_variant_that_dies_half_way_leaves_what_it_did(
    postgres: RunningServices, tmp_path: Path
) -> None:
    found = measure(f"{ODD}:Dying", postgres, tmp_path, ladder=(20, 500), warmup_s=0.5)
    # once, and once more with fresh processes
    assert [step.offered_rps for step in found.steps] == [20, 500, 20, 500]
    last = found.steps[-1]
    assert last.ledger.adds_up
    assert 0 < last.ledger.ok < 300
    assert not last.holds
    assert last.loop_lag.n == 0
    assert DoubtKind.DIED in {each.kind for each in last.reasons}
    assert (found.end.why, found.end.lost) == ("lost", True)
    assert "ended with exit code 3" in found.end.failure
    ends = found.folder.trials()
    assert len(ends) == 2
    assert standing(found.steps, ends) == []


def test_a_step_without_one_success_is_recorded(postgres: RunningServices, tmp_path: Path) -> None:
    found = measure(f"{ODD}:Unavailable", postgres, tmp_path)
    step, again = found.steps
    assert (step.ledger.ok, step.ledger.error) == (again.ledger.ok, again.ledger.error) == (0, 30)
    assert step.errors == {"503: told to": 30}
    assert step.misses[0].kind == DoubtKind.NO_SUCCESS
    assert step.latency.n == 0
    assert {each.kind for each in step.reasons} == {DoubtKind.SILENT}
    assert found.end.lost
    assert "answered none of 30 requests: 503: told to" in found.end.failure


def test_a_database_that_may_not_be_watched_makes_the_result_smaller(
    postgres: RunningServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg
    from sqlalchemy import make_url

    made = postgres.postgres.clone

    def clone(data: object, name: str) -> str:
        url = made(data, name)  # type: ignore[arg-type]
        role = f"bench_plain_{name}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'plain'")
            connection.execute("REVOKE SELECT ON pg_stat_activity FROM PUBLIC")
            connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
            connection.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
        given = make_url(url).set(username=role, password="plain")
        return given.render_as_string(hide_password=False)

    monkeypatch.setattr(postgres.postgres, "clone", clone)
    found = measure("native", postgres, tmp_path)
    (step,) = found.steps
    assert step.ledger.ok == 30
    assert step.connections_peak is None
    assert step.audit is None
    (note,) = [each for each in step.notes if each.kind == DoubtKind.UNWATCHED]
    assert "permission denied" in note.subject
    assert found.end.notes == (note,)


@pytest.mark.parametrize(
    "request_text", ["native:processes=2", "executor:processes=2", "blocking:processes=2:pool=3"]
)
def test_several_processes_share_one_port_and_one_budget(
    request_text: str, postgres: RunningServices, tmp_path: Path
) -> None:
    found = measure(request_text, postgres, tmp_path, scenario="slow:ms=20,rows=1000", ladder=(60,))
    (step,) = found.steps
    assert step.ledger.ok == step.ledger.scheduled
    assert step.usage["app"].processes == 2
    assert step.connections_peak == found.variant.budget
    assert lasting(step) == []
    assert step.loop_lag.n > 2000, "the beats of both loops"
    logs = sorted(each.name for each in (found.folder.path / "logs").glob("t*-app*.log"))
    assert [name.rpartition("-")[2] for name in logs] == ["app0.log", "app1.log"]


def test_celery_behind_several_processes(valkey: RunningServices, tmp_path: Path) -> None:
    (step,) = measure("celery:processes=2", valkey, tmp_path, ladder=(60,)).steps
    assert step.ledger.ok == 90
    assert step.usage["app"].processes == 2
