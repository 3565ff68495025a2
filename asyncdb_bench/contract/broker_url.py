"""URLs of brokers: what they say, in one form for kombu, Celery, aio-pika and redis-py.

Each library has its own names for what an encrypted connection needs, and its own opinion whether a
certificate is checked. So a URL that was given is read once, and written with redis-py's names;
certificates are checked unless it says otherwise.
"""

from __future__ import annotations

import re
import ssl
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from asyncdb_bench.errors import UsageError, hide
from asyncdb_bench.records.plan import Broker

SOURCE = "BROKER_URL"
SCHEMES = {
    "amqp": "amqp",
    "pyamqp": "amqp",
    "amqps": "amqps",
    "redis": "redis",
    "valkey": "redis",
    "rediss": "rediss",
    "valkeys": "rediss",
}
KINDS = {"amqp": "rabbitmq", "amqps": "rabbitmq", "redis": "redis", "rediss": "redis"}
PORTS = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}
FILES = {
    **dict.fromkeys(("cafile", "cacertfile", "ssl_ca_certs"), "ssl_ca_certs"),
    **dict.fromkeys(("certfile", "ssl_certfile"), "ssl_certfile"),
    **dict.fromkeys(("keyfile", "ssl_keyfile"), "ssl_keyfile"),
}
CHECKS = {"verify", "no_verify_ssl", "ssl_cert_reqs"}
UNCHECKED = {"none", "cert_none", "verify_none", "1", "true"}
CHECKED = {"required", "cert_required", "optional", "cert_optional", "verify_peer", "0", "false"}
LEFT_OUT = {
    *("heartbeat", "connection_timeout", "channel_max", "frame_max", "name"),
    *("socket_timeout", "socket_connect_timeout", "health_check_interval", "max_connections"),
}
"""What changes neither the broker nor the account, and what we choose ourselves."""
PLAIN = re.compile(r"[^@/?#]*@[^@?#]*|[^@?#]*")
ENCODE = "characters such as @ : / # % in its password are written percent-encoded"


def read_broker_url(given: str) -> Broker:
    """Return the broker that a URL names, with its URL in our form.

    Raises
    ------
    UsageError : it is no such URL, or says what not every library takes. A URL that cannot be read
        is not repeated: a part of its password may stand anywhere in it.
    """
    scheme, _, rest = given.partition("://")
    if scheme not in SCHEMES:
        what = scheme if re.fullmatch("[a-z]+", scheme) and rest else "what it does"
        raise UsageError(f"{SOURCE} must start with amqp(s):// or redis(s)://, not {what!r}")
    try:
        parts = urlsplit(f"{SCHEMES[scheme]}://{rest}")
        port = parts.port or PORTS[parts.scheme]
    except ValueError:
        raise UsageError(f"{SOURCE} cannot be read: {ENCODE}") from None
    # urlsplit() drops tabs and ends of lines
    if not PLAIN.fullmatch(rest.partition("?")[0]) or not given.isprintable():
        raise UsageError(f"{SOURCE} cannot be read: {ENCODE}")
    hide(unquote(parts.password or ""))
    return Broker(KINDS[parts.scheme], _written(parts, port))


def _written(parts: SplitResult, port: int) -> str:
    user, password = (unquote(each or "") for each in (parts.username, parts.password))
    account = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    host = parts.hostname or "127.0.0.1"
    place = f"[{host}]" if ":" in host else host
    query, path = dict(parse_qsl(parts.query, keep_blank_values=True)), parts.path
    if KINDS[parts.scheme] == "redis":
        path = f"/{query.pop('db', '') or path.strip('/') or '0'}"
    kept = _encryption(query, encrypted=parts.scheme in ("amqps", "rediss"))
    told = "&".join(f"{name}={quote(value, safe='')}" for name, value in kept.items())
    at = "@" if account else ""
    return f"{parts.scheme}://{account}{at}{place}:{port}{path}{'?' if told else ''}{told}"


def _encryption(query: dict[str, str], *, encrypted: bool) -> dict[str, str]:
    """Return what an encrypted connection needs, by redis-py's names."""
    unknown = query.keys() - FILES.keys() - CHECKS - LEFT_OUT
    if unknown:
        raise UsageError(
            f"{SOURCE}: the parameter {min(unknown)} is not taken, since not every library has it;"
            " leave it out"
        )
    checks = {value.lower() for name, value in query.items() if name in CHECKS}
    if strange := checks - CHECKED - UNCHECKED:
        raise UsageError(f"{SOURCE}: ssl_cert_reqs is required or none, not {min(strange)}")
    if not encrypted:
        return {}
    files = {FILES[name]: value for name, value in query.items() if name in FILES}
    return {"ssl_cert_reqs": "none" if checks & UNCHECKED else "required"} | files


def is_encrypted(broker: Broker) -> bool:
    """Return whether the connection to a broker is encrypted."""
    return urlsplit(broker.url).scheme in ("amqps", "rediss")


def broker_place(url: str) -> tuple[str, int]:
    """Return host and port that a broker's URL leads to."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or PORTS.get(parts.scheme, 5672)


def kombu_arguments(broker: Broker) -> tuple[str, dict[str, Any]]:
    """Return the URL that kombu (and Celery) is given, and its ``ssl`` (``broker_use_ssl``).

    Of a Redis the URL says all, and of what is not encrypted there is nothing to say.
    """
    if broker.kind == "redis" or not is_encrypted(broker):
        return broker.url, {}
    plain, _, query = broker.url.partition("?")
    said = dict(parse_qsl(query))
    names = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}
    files = {names[name]: value for name, value in said.items() if name in names}
    if said.get("ssl_cert_reqs") == "none":
        return plain, files | {"cert_reqs": ssl.CERT_NONE}
    host, _ = broker_place(broker.url)
    return plain, files | {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": host}


def kombu_connection(broker: Broker, **options: Any) -> Any:
    """Return kombu's connection to a broker, not open yet.

    Parameters
    ----------
    broker : which.
    options : of :class:`kombu.Connection`.
    """
    from kombu import Connection

    url, encryption = kombu_arguments(broker)
    return Connection(url, **({"ssl": encryption} if encryption else {}), **options)


def aio_pika_url(broker: Broker) -> str:
    """Return the URL that aio-pika is given."""
    plain, _, query = broker.url.partition("?")
    names = {"ssl_ca_certs": "cafile", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}
    said = dict(parse_qsl(query))
    told = {names[name]: value for name, value in said.items() if name in names}
    told |= {"no_verify_ssl": "1"} if said.get("ssl_cert_reqs") == "none" else {}
    encoded = "&".join(f"{name}={quote(value, safe='')}" for name, value in told.items())
    return f"{plain}{'?' if encoded else ''}{encoded}"
