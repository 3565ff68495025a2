"""URLs of databases: one reading for all drivers, and no part of a password in a refusal."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import quote

import pytest

from asyncdb_bench.contract.engine import connect_arguments, connection_target
from asyncdb_bench.contract.urls import (
    PLACE,
    changed,
    own_form,
    parameters,
    place_of,
    shown,
)
from asyncdb_bench.errors import UsageError, first_line, hide, masked

PASSWORDS = [
    "open sesame",
    "p@ss/w:rd#1%",
    "p@ss:w/rd%#?&=+ é'\"$x",
    "plus+sign+inside",
    "percent%20inside",
    "percent%zz%",
    "question?mark&and=more",
    "slash/at@host/more",
    "at@at@at",
    "colon:colon:5432",
    "hash#tag",
    "[brackets]",
    "back\\slash\\",
    "semi;colon,comma",
    "<b>tags</b>",
    "tab\tand space",
    "'single' \"double\"",
    "пароль-секрет",
    "$(dollar){brace}",
    "  leading and trailing  ",
]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("place", ["h:5433", "[::1]:5433", "%2Frun%2Fmy%20sockets:5433"])
def test_every_driver_reads_the_same(password: str, place: str) -> None:
    url = own_form(f"postgres://us%40er:{quote(password, safe='')}@{place}/my%20db")
    said = {"user": "us@er", "password": password, "dbname": "my db", "port": "5433"}
    host = {"h:5433": "h", "[::1]:5433": "::1"}.get(place, "/run/my sockets")
    assert parameters(url) == said | {"host": host}
    assert read_by_psycopg(url) == said | {"host": host}
    assert read_by_sqlalchemy(url, "psycopg") == said | {"host": host}
    assert read_by_sqlalchemy(url, "asyncpg") == said | {"host": host}
    assert read_by_asyncpg(url) == (password, "us@er", "my db", host)
    assert password not in shown(url)


def read_by_psycopg(url: str) -> dict[str, Any]:
    from psycopg.conninfo import conninfo_to_dict

    return {name: str(value) for name, value in conninfo_to_dict(url).items()}


def read_by_sqlalchemy(url: str, driver: str) -> dict[str, str]:
    target = connection_target(url).url.set(drivername=f"postgresql+{driver}")
    _, found = target.get_dialect()().create_connect_args(target)
    names = {"username": "user", "database": "dbname"}
    one = {name: value[0] if isinstance(value, list) else value for name, value in found.items()}
    wanted = {names.get(name, name): str(value) for name, value in one.items()}
    return {name: wanted[name] for name in wanted if name in PLACE}


def read_by_asyncpg(url: str) -> tuple[str, str, str, str]:
    """Let asyncpg read it as its pool does; nothing is connected to."""
    from asyncpg.connect_utils import _parse_connect_arguments

    given = dict.fromkeys(
        ("host", "port", "user", "password", "passfile", "database", "ssl", "service")
    )
    none = dict.fromkeys(("servicefile", "direct_tls", "server_settings", "krbsrvname", "gsslib"))
    (address, *_), found, _ = _parse_connect_arguments(
        dsn=url,
        command_timeout=None,
        statement_cache_size=0,
        max_cached_statement_lifetime=0,
        max_cacheable_statement_size=0,
        target_session_attrs=None,
        **given,
        **none,
    )
    host = address if isinstance(address, str) else address[0]
    return found.password, found.user, found.database, host.partition("/.s.")[0]


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_raw_password_is_read_or_refused_without_a_part_of_it(password: str) -> None:
    try:
        url = own_form(f"postgresql://user:{password}@localhost/db")
    except UsageError as error:
        parts = [each for each in re.split(r"\W+", password) if len(each) > 3]
        said = str(error).replace("percent-encoded", "").replace("spaces", "")
        assert not [each for each in (password, *parts) if each in said]
    else:
        # a percent sign with two digits is one character, as everywhere
        assert parameters(url)["password"] in (password, password.replace("%20", " "))
        assert parameters(url)["host"] == "localhost"


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_known_secret_is_in_no_error(password: str) -> None:
    hide(password)
    for written in (password, quote(password), quote(password, safe=""), repr(password)[1:-1]):
        assert written not in first_line(ValueError(f"bad: {written}, at 7"))
    assert masked("nothing of it") == "nothing of it"


@pytest.mark.parametrize(
    ("query", "settings"),
    [
        ("sslmode=disable&channel_binding=prefer", {}),
        ("options=-csearch_path%3Dapp", {"options": "-csearch_path=app"}),
        ("options=-c%20statement_timeout%3D5s", {"options": "-c statement_timeout=5s"}),
        ("application_name=shop&keepalives=1&client_encoding=utf8&gssencmode=disable", {}),
        ("target_session_attrs=read-write&load_balance_hosts=random&tcp_user_timeout=9", {}),
    ],
)
def test_parameters_mean_the_same_under_every_driver(query: str, settings: dict[str, str]) -> None:
    target = connection_target(own_form(f"postgresql://u@h/db?{query}"))
    asyncpg, psycopg = (connect_arguments(each, target) for each in ("asyncpg", "psycopg"))
    named = {"application_name": "asyncdb-bench application", "client_encoding": "UTF8"}
    assert asyncpg["server_settings"] == named | settings
    assert {k: v for k, v in psycopg.items() if k == "options"} == settings
    assert psycopg["application_name"] == named["application_name"]
    assert not dict(target.url.query)


def test_certificates_and_patience_reach_every_driver() -> None:
    query = "sslmode=verify-ca&sslrootcert=%2Fmy%20ca.pem&connect_timeout=11"
    target = connection_target(own_form(f"postgresql://u@h/db?{query}"))
    asyncpg, psycopg = (connect_arguments(each, target) for each in ("asyncpg", "psycopg"))
    assert (psycopg["sslrootcert"], psycopg["connect_timeout"]) == ("/my ca.pem", 11)
    assert (psycopg["sslmode"], asyncpg["ssl"], asyncpg["timeout"]) == ("verify-ca",) * 2 + (11,)
    assert parameters(asyncpg["dsn"]) == {"sslrootcert": "/my ca.pem"}
    # it looks for that very file
    with pytest.raises(FileNotFoundError):
        asyncio.run(connected(asyncpg))


async def connected(arguments: dict[str, Any]) -> None:
    import asyncpg

    await asyncpg.connect(host="127.0.0.1", port=1, user="u", database="d", **arguments)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://h/db?channel_binding=require", "channel_binding.*write channel_binding=pre"),
        ("postgresql://h/db?schema=public", "schema is not taken.*options=-csearch_path%3DNAME"),
        ("postgresql://h/db?search_path=app", "search_path is not taken.*write options="),
        ("postgresql://h/db?pgbouncer=true", "pgbouncer is not taken.*leave it out"),
        ("postgresql://h/db?require_auth=md5", "require_auth is not taken"),
        ("postgresql://h/db?sslrootcert=system", "name the file"),
        ("postgresql://h/db?client_encoding=latin1", "UTF8 alone"),
        ("postgresql://h:port/db", "no host and port"),
        ("mysql://u:secretive@h/db", "must start with postgresql://, not mysql:"),
        ("jdbc:postgresql://h/db", "must start with postgresql://, not jdbc:postgresql:"),
        ("host=h password=secretive", "must start with postgresql://"),
    ],
)
def test_what_not_every_driver_has_is_refused_once(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        own_form(url)
    assert "secretive" not in str(caught.value)


def test_sqlalchemys_names_of_drivers_are_left_out() -> None:
    assert own_form("postgresql+asyncpg://u@h/db") == "postgresql://u@h/db"


def test_a_changed_url_is_another_place_with_the_same_account() -> None:
    socket = own_form("postgresql://u:a%20b@%2Frun/db?options=-cx%3D1")
    assert place_of(socket) == ("/run", 5432)
    there = changed(socket, host="127.0.0.1", port="6543", dbname="other")
    assert there == "postgresql://u:a%20b@127.0.0.1:6543/other?options=-cx%3D1"
    assert changed(there, options="") == "postgresql://u:a%20b@127.0.0.1:6543/other"


def test_a_socket_is_never_encrypted() -> None:
    assert connection_target(own_form("postgresql:///d?host=/run&sslmode=require")).ssl_mode == (
        "disable"
    )
    assert connection_target(own_form("postgresql://h/d?sslmode=require")).ssl_mode == "require"
