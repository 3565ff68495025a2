"""Servers and roles as people have them: what can be done is done, what cannot is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from asyncdb_bench import Sql, Tables
from asyncdb_bench.contract.data.accounts import StandardData
from asyncdb_bench.contract.urls import changed, place_of
from asyncdb_bench.errors import ServiceError, UsageError
from asyncdb_bench.services import postgres as databases
from asyncdb_bench.services.postgres import Postgres, use_url
from asyncdb_bench.services.reaching import Pooler, find_pooler
from asyncdb_bench.services.running import RunningServices
from tests.command_line import Bench
from tests.factories import scratch_folder

pytestmark = [pytest.mark.services, pytest.mark.e2e]

CHECK = ("check", "read", "--strategies", "native")


@pytest.fixture(scope="module")
def sockets() -> Iterator[Path]:
    folder = scratch_folder("socket")
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory, sockets: Path) -> Iterator[Postgres]:
    """A server that preloads no library, and listens on a socket, too."""
    shipped = databases.SETTINGS | {"unix_socket_directories": str(sockets)}
    del shipped["shared_preload_libraries"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(databases, "SETTINGS", shipped)
        folder = scratch_folder("stock")
        server = databases.start_embedded(folder, tmp_path_factory.mktemp("logs"), "stock")
    yield server
    server.stop()


def role(server: Postgres, name: str, rights: str) -> str:
    """Make a role and return the URL by which it connects; its password has a space."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE \"{name}\" LOGIN {rights} PASSWORD 'open sesame'")
    return changed(server.url, user=name, password="open sesame")


def test_without_its_library_statements_are_not_counted(stock: Postgres, bench: Bench) -> None:
    done = bench(*CHECK, environment={"DATABASE_URL": stock.url})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    native: right answers over HTTP\n" in done.stdout
    assert "statements are not counted here" in done.stdout
    assert "read: conforms; 1 check not made here" in done.stdout


def test_a_role_that_may_not_make_extensions_checks_the_rest(
    postgres: RunningServices, bench: Bench
) -> None:
    url = role(postgres.postgres, "plain_role", "CREATEDB")
    done = bench(*CHECK, environment={"DATABASE_URL": url})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    native: right answers over HTTP\n" in done.stdout
    assert "statements are not counted here" in done.stdout
    strategy = bench("check", "native", environment={"DATABASE_URL": url})
    assert strategy.returncode == 0, strategy.stdout + strategy.stderr
    assert "native: conforms; 1 check not made here" in strategy.stdout


def test_a_role_that_may_make_no_database_is_told_the_ways_out(stock: Postgres) -> None:
    url = role(stock, "poor", "")
    with pytest.raises(ServiceError, match='ALTER ROLE "poor" CREATEDB, or leave DATABASE_URL out'):
        use_url(url, "p")


@pytest.mark.parametrize("verb", ["serve", "run"])
def test_a_role_that_may_only_make_tables_is_told_the_ways_out_by_every_verb(
    stock: Postgres, bench: Bench, verb: str
) -> None:
    url = role(stock, f"tables_for_{verb}", "")
    named = ("native",) if verb == "serve" else ("--strategy", "native", "--profile", "smoke")
    done = bench(verb, *named, environment={"DATABASE_URL": url})
    assert done.returncode == 3, done.stdout + done.stderr
    assert f'ALTER ROLE "tables_for_{verb}" CREATEDB, or leave DATABASE_URL out' in done.stderr


def test_such_a_role_serves_the_database_that_it_has(stock: Postgres, bench: Bench) -> None:
    url = role(stock, "tenant", "")
    with psycopg.connect(stock.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE tenant OWNER tenant")
    bench.environment["DATABASE_URL"] = changed(url, dbname="tenant")
    given = ("native", "--scenario", "db", "--attached", "tenants")
    for _ in ("seeded", "found seeded"):
        with (
            bench.serving(*given) as (port, _said),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/db") as answer,
        ):
            assert set(json.load(answer)) == {"id", "randomNumber"}


def test_a_server_as_it_is_shipped_is_served_from(stock: Postgres, bench: Bench) -> None:
    # with what a managed service's URL has
    copied = f"{stock.url}?sslmode=prefer&channel_binding=prefer&application_name=shop"
    copied += "&connect_timeout=10&options=-c%20statement_timeout%3D5s"
    bench.environment["DATABASE_URL"] = copied.replace("postgresql://", "postgres://", 1)
    for strategy in ("native", "asyncpg_raw", "executor"):
        with (
            bench.serving(strategy, "--scenario", "fortunes") as (port, _),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/fortunes") as answer,
        ):
            assert answer.status == 200


def test_a_pooler_is_named(stock: Postgres, tmp_path: Path, bench: Bench) -> None:
    if find_pooler() is None:
        pytest.skip("pgbouncer is not installed")
    folder = scratch_folder("pooler")
    pooler = Pooler(stock.url, 3, folder, tmp_path)
    try:
        url = changed(stock.url, port=str(pooler.port))
        with pytest.raises(ServiceError, match=r"names a pooler .*--via pgbouncer puts one"):
            use_url(url, "p")
        for verb in (("serve", "native"), CHECK, ("run", "--strategy", "native"), ("doctor",)):
            done = bench(*verb, environment={"DATABASE_URL": url})
            assert done.returncode == 3, done.stdout + done.stderr
            assert "DATABASE_URL names a pooler" in done.stdout + done.stderr
    finally:
        pooler.stop()


def test_the_environment_of_somebodys_application_is_not_ours(bench: Bench) -> None:
    theirs = {
        "PGSSLMODE": "verify-full",
        "PGOPTIONS": "-c search_path=app -c statement_timeout=1",
        "PGSERVICE": "prod",
        "PGHOSTADDR": "10.255.255.1",
        "PGREQUIREAUTH": "md5",
        "PGCHANNELBINDING": "require",
        "PGTARGETSESSIONATTRS": "standby",
        "PGUSER": "somebody",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "CELERY_CONFIG_MODULE": "of_theirs",
        "LOCUST_USERS": "many",
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONOPTIMIZE": "2",
    }
    done = bench("check", "read", "--strategies", "native,celery", environment=theirs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "read: conforms\n" in done.stdout
    assert "ok    celery: right answers" in done.stdout


def test_options_are_the_applications_and_not_the_seeds(stock: Postgres, tmp_path: Path) -> None:
    hasty = changed(stock.url, options="-cstatement_timeout=50 -cwork_mem=5MB")
    environment = {"DATABASE_URL": hasty}
    with RunningServices(tmp_path, "hasty", with_broker=False, environment=environment) as services:
        url = services.clone(Tables("slow", Sql("SELECT pg_sleep(0.2)")), "one")
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW statement_timeout").fetchone() == ("50ms",)
    lost = changed(stock.url, options="-csearch_path=nowhere")
    with (
        RunningServices(
            tmp_path, "lost", with_broker=False, environment={"DATABASE_URL": lost}
        ) as services,
        pytest.raises(UsageError, match=r"cannot be made on .* no schema"),
    ):
        services.clone(StandardData(1), "one")


def test_a_password_may_come_of_the_environment(stock: Postgres, tmp_path: Path) -> None:
    url = role(stock, "remembered", "CREATEDB")
    without = changed(url, password="")
    file = tmp_path / "pgpass"
    file.write_text("*:*:*:remembered:open sesame\n")
    file.chmod(0o600)
    for name, value in {"PGPASSWORD": "open sesame", "PGPASSFILE": str(file)}.items():
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv(name, value)
            patched.setenv("PGSSLMODE", "verify-full")
            assert use_url(without, "p").url == url
            assert os.environ["PGSSLMODE"] == "verify-full", "an application of others has it"


def test_a_socket_works_and_cannot_be_put_farther_away(
    bench: Bench, stock: Postgres, sockets: Path
) -> None:
    # libpq's own form, as people copy it
    host = f"{quote(str(sockets), safe='')}:{place_of(stock.url)[1]}"
    given = stock.url.replace("127.0.0.1:" + str(place_of(stock.url)[1]), host)
    done = bench(*CHECK, environment={"DATABASE_URL": given})
    assert done.returncode == 0, done.stdout + done.stderr
    named = ("--strategy", "native", "--scenario", "read", "--profile", "smoke", "--rtt", "1")
    refused = bench("run", *named, environment={"DATABASE_URL": given})
    assert refused.returncode == 2
    assert "names a socket, which cannot be put farther away" in refused.stderr


def secrets_in(done: subprocess.CompletedProcess[str], folder: Path, words: list[str]) -> list[str]:
    """Return where a secret stands in what was said, or in any file."""
    found = [each for each in words if each in done.stdout + done.stderr]
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found += [f"{path}: {each}" for each in words if each.encode() in content]
    return found


NASTY = "p@ss:w/rd%#?&=+ é'\"$x"
FORMS = ["p@ss:w", "p%40ss", "rd%#", "rd%25%23", "p@ss\\u003aw"]


def test_no_file_and_no_line_has_the_password(stock: Postgres, bench: Bench) -> None:
    with psycopg.connect(stock.url, autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL("CREATE ROLE nasty LOGIN CREATEDB PASSWORD {}").format(NASTY)
        )
    url = changed(stock.url, user="nasty", password=NASTY)
    named = ("--strategy", "native,asyncpg_raw", "--scenario", "read", "--profile", "smoke")
    done = bench("run", *named, "--rounds", "1", environment={"DATABASE_URL": url})
    assert done.returncode in (0, 4), done.stdout + done.stderr
    assert (bench.results / "latest" / "steps.jsonl").is_file()
    assert not secrets_in(done, bench.results.parent, FORMS)
    steps = (bench.results / "latest" / "steps.jsonl").read_text()
    assert "could not be watched" not in steps
    for wrong, verb, code in (
        (url.replace("p%40ss", "x%40ss"), ("run", *named), 3),
        (url.replace("p%40ss", "p@ss"), ("run", *named), 2),
        (url.replace("p%40ss", "p@ss"), ("doctor",), 3),
    ):
        failed = bench(*verb, environment={"DATABASE_URL": wrong})
        assert failed.returncode == code, failed.stderr
        assert not secrets_in(failed, bench.results.parent, FORMS)


def test_a_broker_that_was_named_and_refuses_is_no_missing_contestant(bench: Bench) -> None:
    given = {"BROKER_URL": "redis://:open%20sesame@127.0.0.1:1/0"}
    for verb in (
        ("run", "--strategy", "native,celery", "--scenario", "read", "--profile", "smoke"),
        ("check", "read", "--strategies", "celery"),
    ):
        done = bench(*verb, environment=given)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "BROKER_URL: no answer from 127.0.0.1:1" in done.stderr
        assert "conforms" not in done.stdout
        assert "sesame" not in done.stdout + done.stderr


def test_a_broker_that_knows_another_password_is_named_without_it(
    valkey: RunningServices, bench: Bench
) -> None:
    assert valkey.broker is not None
    port = urlsplit(valkey.broker.url).port
    given = {"BROKER_URL": f"redis://:open%20sesame@127.0.0.1:{port}/0"}
    for verb in (
        ("run", "--strategy", "native,celery", "--scenario", "read", "--profile", "smoke"),
        ("check", "read", "--strategies", "celery"),
    ):
        done = bench(*verb, environment=given)
        assert done.returncode == 3, done.stdout + done.stderr
        assert f"BROKER_URL: no answer from 127.0.0.1:{port}" in done.stderr
        assert "sesame" not in done.stdout + done.stderr


def test_what_was_named_and_could_not_be_tried_does_not_conform(bench: Bench) -> None:
    # without RabbitMQ, as the environment of these tests has it
    done = bench("check", "read", "--strategies", "celery_aio")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "FAIL  celery_aio: right answers over HTTP" in done.stdout
    assert "read: 1 check failed" in done.stdout


def test_a_variant_that_was_named_and_is_missing_is_on_the_first_screen(bench: Bench) -> None:
    named = ("--strategy", "native,celery_aio", "--scenario", "read", "--profile", "smoke")
    done = bench("run", *named, "--time-budget", "15")
    assert done.returncode == 4, done.stdout + done.stderr
    before, _, _ = done.stdout.partition("Objective:")
    assert "celery_aio: not run, because it needs RabbitMQ" in before
