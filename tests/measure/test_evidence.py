"""The evidence beside a turn: phases, the database's count, resources, a probe from outside."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.step import PHASES, Step
from asyncdb_bench.services.running import RunningServices
from tests.measuring import Ran, lasting, measure, run

pytestmark = pytest.mark.services
ODD = "tests/plugins/odd.py"
WAYS = (
    "blocking,executor,native,native:uvloop=true,native:timing=0"
    ",celery,celery:wait=poll,celery:pool=threads"
)
SLOW = "slow:ms=20,rows=1000"


@pytest.fixture(scope="module")
def ways(valkey: RunningServices, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Ways to the database, each asked 20 times a second for queries of 20 ms."""
    folder = tmp_path_factory.mktemp("ways")
    return run(WAYS, valkey, folder, scenarios=SLOW, ladder=(20,))


def test_the_phases_add_up_and_the_database_agrees(ways: Ran) -> None:
    check_phases(ways)


def test_the_phases_add_up_over_amqp(rabbitmq: RunningServices, tmp_path: Path) -> None:
    check_phases(run("celery_aio", rabbitmq, tmp_path, scenarios=SLOW, ladder=(20,)))


def requests_of(ran: Ran) -> pd.DataFrame:
    parts = (ran.folder.path / "requests.parts").glob("*.parquet")
    return pd.concat([pd.read_parquet(each) for each in sorted(parts)])


def check_phases(ran: Ran) -> None:
    assert [each.failure for each in ran.ends] == [""] * len(ran.plan.variants)
    requests = requests_of(ran)
    for variant in ran.plan.variants:
        step = ran.of(variant.label, "rung")[-1]
        assert step.ledger.ok == step.ledger.scheduled
        assert step.latency.n == 30
        if "timing" not in variant.label:
            check_one(step, own_places=bool({"threads", "workers"} & variant.limits.keys()))
        else:
            assert not step.phases
        assert step.audit is not None
        assert step.audit.transactions == step.audit.transactions_least
        assert step.audit.rows == step.audit.rows_least, f"{variant.label}: no more, no less"
        end = ran.end(variant.label)
        assert end.audit is not None
        assert end.audit.source == "pg_stat_database"
        assert end.reasons == ()
    columns = [f"{name}_us" for name in PHASES if name != "send_lag"]
    sampled = requests[requests.database_us > 0]
    whole = sampled[columns].sum(axis=1) + sampled.sent_us - sampled.intended_us
    assert (whole - (sampled.done_us - sampled.intended_us)).abs().max() <= 10


def check_one(step: Step, *, own_places: bool) -> None:
    means = {name: step.phases[name].mean_ms or 0.0 for name in PHASES}
    assert step.phases["back"].n == 30, "all are sampled"
    assert sum(means.values()) == pytest.approx(step.latency.mean_ms, rel=0.01)
    assert min(means.values()) >= 0
    # the query sleeps for 20 ms, so that much is the database's and the connection's
    assert (step.phases["database"].p50_ms or 0) >= 20
    assert (step.phases["held"].p50_ms or 0) >= 20
    assert ((step.phases["run"].p50_ms or 0) >= 20) == own_places
    assert (means["queue"] > 0) == own_places
    assert (means["reply"] > 0) == own_places


def test_every_role_and_the_loop_are_watched(ways: Ran) -> None:
    step = ways.of("celery", "rung")[-1]
    for role in ("app", "workers", "broker", "postgresql", "load"):
        assert step.usage[role].rss_mb > 0
    assert (step.usage["app"].switches or 0) > 0
    assert step.usage["workers"].processes == 5, "a parent and its four children"
    assert step.threads is not None
    assert step.threads.count >= 3
    assert step.threads.loop_cpu_s > 0
    assert step.probe.n == 30, "every 50 ms"
    assert step.wire["client_sent"] > 30 * 60
    assert step.wire["client_received"] > 30 * 60
    assert step.wire["loopback"] > step.wire["client_sent"] + step.wire["client_received"]
    assert step.arrivals_rps == pytest.approx(20, rel=0.02)


def test_all_of_a_launch_were_asked_for_the_same(ways: Ran) -> None:
    requests = requests_of(ways)
    first = requests[requests.step == 0].sort_values("intended_us")
    first["at_us"] = first.intended_us - first.groupby("trial").intended_us.transform("min")
    one, *others = [list(own.at_us) for _, own in first.groupby("trial")]
    assert len(one) == 40
    for each in others:
        # a float of seconds becomes whole microseconds
        assert each == pytest.approx(one, abs=2)


def test_what_strategies_do_unknown_to_the_ledger_is_found_and_the_rest_is_sound(
    postgres: RunningServices, tmp_path: Path
) -> None:
    """Work done twice, a connection too many, and rows that operations declare."""
    several = f"native,{ODD}:Twice,{ODD}:Greedy,native:processes=2,executor:processes=2"
    ran = run(several, postgres, tmp_path, scenarios="mixed:rows=1000,ms=5", ladder=(60,))
    native, twice, greedy, *shared = ran.plan.variants
    step = ran.of(native.label, "rung")[-1]
    assert lasting(step) == []
    assert step.audit is not None
    assert step.audit.rows == step.audit.rows_least
    assert (step.audit.rows or 0) > step.ledger.ok == step.ledger.scheduled
    step = ran.of(twice.label, "rung")[-1]
    counted = {each.kind for each in step.reasons}
    assert not step.valid
    assert {DoubtKind.TRANSACTIONS, DoubtKind.ROWS} <= counted
    assert "pg_stat_database" in {each.subject for each in ran.end(twice.label).reasons}
    step = ran.of(greedy.label, "rung")[-1]
    assert not step.valid
    assert (DoubtKind.BUDGET, 4) in {(each.kind, each.limit) for each in step.reasons}
    for variant in shared:
        step = ran.of(variant.label, "rung")[-1]
        assert step.usage["app"].processes == 2
        assert lasting(step) == []
        assert step.loop_lag.n > 2000, "the beats of both loops"
        trial = ran.end(variant.label).trial
        logs = sorted(each.name for each in ran.folder.logs.glob(f"{trial}-app*.log"))
        assert logs == [f"{trial}-app0.log", f"{trial}-app1.log"], "one port, one budget"


def test_what_dies_or_answers_nothing_is_tried_again_and_leaves_what_it_did(
    postgres: RunningServices, tmp_path: Path
) -> None:
    several = f"{ODD}:Dying,{ODD}:Unavailable"
    ran = run(several, postgres, tmp_path, ladder=(20, 500))
    dying, silent = (each.label for each in ran.plan.variants)
    assert ran.steps == [], "none of it counts"
    written = [step for step in ran.folder.steps() if step.variant == dying]
    # once, and once more with fresh processes
    assert [step.offered_rps for step in written] == [20, 500, 20, 500]
    last = written[-1]
    assert last.ledger.adds_up
    assert 0 < last.ledger.ok < 300
    assert not last.holds
    assert last.loop_lag.n == 0
    assert DoubtKind.DIED in {each.kind for each in last.reasons}
    assert "ended with exit code 3" in ran.end(dying).failure
    written = [step for step in ran.folder.steps() if step.variant == silent]
    assert len(written) == 2
    for step in written:
        assert (step.ledger.ok, step.ledger.error) == (0, step.ledger.scheduled)
        assert step.errors == {"503: told to": step.ledger.scheduled}
        assert step.misses[0].kind == DoubtKind.NO_SUCCESS
        assert step.latency.n == 0
        assert {each.kind for each in step.reasons} == {DoubtKind.SILENT}
    assert "requests: 503: told to" in ran.end(silent).failure
    assert [end.lost for end in ran.ends] == [True] * 4


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
    found = measure("native:timing=0.5", postgres, tmp_path, ladder=(100,))
    (step,) = found.steps
    assert step.ledger.ok == step.ledger.scheduled
    assert 30 < step.phases["database"].n < 120, "half of them are sampled"
    assert step.connections_peak is None
    assert step.audit is None
    (note,) = [each for each in step.notes if each.kind == DoubtKind.UNWATCHED]
    assert "permission denied" in note.subject
    assert note in found.end.notes
