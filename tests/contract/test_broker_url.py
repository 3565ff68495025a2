"""URLs of brokers: one reading for kombu, Celery, aio-pika and redis-py."""

from __future__ import annotations

import re
import ssl
from urllib.parse import quote, unquote, urlsplit

import pytest

from asyncdb_bench.contract.urls import (
    ENCODE,
    aio_pika_url,
    broker_place,
    is_encrypted,
    kombu_arguments,
    kombu_connection,
    read_broker_url,
)
from asyncdb_bench.errors import UsageError
from tests.contract.test_database_url import PASSWORDS


@pytest.mark.parametrize("password", PASSWORDS)
def test_every_library_reads_the_same_password(password: str) -> None:
    import redis
    from yarl import URL

    encoded = quote(password, safe="")
    amqp = read_broker_url(f"amqps://us%40er:{encoded}@h/my%2Fhost")
    connection = kombu_connection(amqp)
    assert (connection.userid, connection.password) == ("us@er", password)
    assert connection.virtual_host == "my/host"
    assert URL(aio_pika_url(amqp)).password == password
    store = read_broker_url(f"rediss://:{encoded}@h")
    kept = redis.ConnectionPool.from_url(store.url).connection_kwargs
    assert kept["password"] == password
    assert kombu_connection(store).password == password


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("scheme", ["amqp", "rediss"])
def test_a_raw_password_is_read_or_refused_without_a_part_of_it(password: str, scheme: str) -> None:
    try:
        broker = read_broker_url(f"{scheme}://user:{password}@localhost/0")
    except UsageError as error:
        said = str(error).replace(ENCODE, "")
        parts = [each for each in re.split(r"\W+", password) if len(each) > 3]
        assert not [each for each in (password, *parts) if each in said]
    else:
        assert unquote(urlsplit(broker.url).password or "") in (password, unquote(password))
        assert broker_place(broker.url)[0] == "localhost"


@pytest.mark.parametrize(
    ("url", "kind", "place", "encrypted"),
    [
        ("amqps://u:p@h//", "rabbitmq", ("h", 5671), True),
        ("pyamqp://h:1//", "rabbitmq", ("h", 1), False),
        ("rediss://h", "redis", ("h", 6379), True),
        ("valkeys://[::1]:7/3", "redis", ("::1", 7), True),
        ("valkey://h?db=2&heartbeat=9", "redis", ("h", 6379), False),
    ],
)
def test_every_scheme_has_its_kind_and_port(
    url: str, kind: str, place: tuple[str, int], encrypted: bool
) -> None:
    broker = read_broker_url(url)
    assert (broker.kind, broker_place(broker.url)) == (kind, place)
    assert is_encrypted(broker) == encrypted


@pytest.mark.parametrize(
    ("query", "checks"),
    [
        ("", True),
        ("?ssl_cert_reqs=CERT_REQUIRED", True),
        ("?ssl_cert_reqs=none", False),
        ("?verify=verify_none", False),
        ("?no_verify_ssl=1", False),
    ],
)
def test_certificates_are_checked_by_all_or_by_none(query: str, checks: bool) -> None:
    broker = read_broker_url(f"amqps://h{query}")
    url, encryption = kombu_arguments(broker)
    assert (encryption["cert_reqs"] == ssl.CERT_REQUIRED) == checks
    assert (encryption.get("server_hostname") == "h") == checks
    assert "?" not in url
    assert ("no_verify_ssl=1" in aio_pika_url(broker)) != checks
    store = kombu_connection(read_broker_url(f"rediss://h{query}"))
    assert (store.ssl["ssl_cert_reqs"] == ssl.CERT_REQUIRED) == checks


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("kafka://u:secretive@h", "amqp(s):// or redis(s)://, not 'kafka'"),
        ("redis+socket:///run/x", "amqp(s):// or redis(s)://, not 'what it does'"),
        ("amqps://h?ssl_cert_reqs=perhaps", "ssl_cert_reqs is required or none, not perhaps"),
        ("amqp://h?auth=EXTERNAL", "auth is not taken"),
    ],
)
def test_what_cannot_be_used_is_refused(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)) as caught:
        read_broker_url(url)
    assert "secretive" not in str(caught.value)
