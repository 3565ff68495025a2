"""URLs of databases and brokers: read once, written so that every library reads the same.

Drivers differ in what they make of a database's URL: in spaces and ``+``, in sockets, and in
parameters, which asyncpg takes for arguments or for settings of the server. So a URL that was given
is read by libpq's own reader, and everything of ours gets it in one plain form: each value
percent-encoded, and none but the parameters of :data:`KEPT`.

kombu, Celery, aio-pika and redis-py have names of their own for what an encrypted connection to a
broker needs, and their own opinion whether a certificate is checked. A broker's URL is written with
redis-py's names; certificates are checked unless it says otherwise.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit
from zlib import crc32

from asyncdb_bench.errors import STARS, UsageError, hide
from asyncdb_bench.records.plan import Broker

USUAL_PORT = "5432"
PLACE = ("user", "password", "host", "port", "dbname")
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
KEPT = ("sslmode", *FILES, "options", "connect_timeout")
"""What every driver takes, beside account, host, port and database."""
LEFT_OUT = {
    # we name our connections ourselves, as the monitor knows them
    *("application_name", "fallback_application_name"),
    # how a dead connection is found out; no answer depends on it
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout", "sslsni", "sslcompression"),
    # done with when the first connection has been made: all others go to the same server
    *("target_session_attrs", "load_balance_hosts", "service", "passfile", "hostaddr"),
}
HARMLESS = {
    "channel_binding": {"prefer", "disable"},
    "gssencmode": {"prefer", "disable"},
    "client_encoding": {"utf8", "utf-8", "auto", "unicode"},
    "sslnegotiation": {"postgres"},
}
"""What makes no difference with these values, and what not every driver has with others."""
PLAIN = re.compile(r"[^@/]*@[^@]*|[^@]*")
NAMED_WRONGLY = re.compile(r"(postgres(?:ql)?)\+\w+://")
ENCODE = (
    "characters such as @ : / # % and spaces in its password are written percent-encoded"
    " (python3 -c 'import urllib.parse, getpass;"
    ' print(urllib.parse.quote(getpass.getpass(), safe=""))\')'
)


def read_url(given: str) -> dict[str, str]:
    """Return what a URL says, as libpq reads it, by libpq's names.

    Parameters
    ----------
    given : ``postgresql://…`` as people copy it, also with SQLAlchemy's name of a driver.

    Raises
    ------
    UsageError : it is no such URL, or names a parameter that not every driver takes. A URL that
        cannot be read is not repeated: a part of its password may stand anywhere in it.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    scheme, is_url, rest = given.partition("://")
    given = NAMED_WRONGLY.sub(r"\1://", given)
    if not given.startswith(("postgresql://", "postgres://")):
        named = is_url and re.fullmatch(r"[a-z][a-z0-9+.-]*(:[a-z]+)?", scheme)
        what = f"{scheme}:" if named else "what it does"
        raise UsageError(f"DATABASE_URL must start with postgresql://, not {what}")
    if not PLAIN.fullmatch(rest.partition("?")[0]):
        raise UsageError(f"DATABASE_URL cannot be read: {ENCODE}")
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(given).items()}
    except psycopg.Error as error:
        unknown = re.match(r'invalid URI query parameter: "(\w+)"', str(error))
        why = f"{_not_taken(unknown[1])}" if unknown else ENCODE
        raise UsageError(f"DATABASE_URL cannot be read: {why}") from None
    hide(found.get("password", ""))
    _see_that_its_place_is_one(found)
    for name, value in found.items():
        _see_that_it_is_taken(name, value)
    return found


def _see_that_its_place_is_one(found: Mapping[str, str]) -> None:
    """Refuse what is neither host nor port, without its text: it may be half a password."""
    ports = found.get("port", "").split(",")
    numbers = all(each == "" or each.isdecimal() for each in ports)
    if not numbers or "@" in found.get("host", "")[1:]:
        raise UsageError(f"DATABASE_URL cannot be read: it names no host and port; {ENCODE}")


def _see_that_it_is_taken(name: str, value: str) -> None:
    if name in HARMLESS and value.lower() in HARMLESS[name]:
        return
    if name == "sslrootcert" and value == "system":
        raise UsageError(
            "DATABASE_URL: sslrootcert=system is not known to every driver; name the file, e.g."
            " sslrootcert=/etc/ssl/certs/ca-certificates.crt"
        )
    if name in {*KEPT, *LEFT_OUT, *PLACE}:
        return
    raise UsageError(f"DATABASE_URL: {_not_taken(name)}")


def _not_taken(name: str) -> str:
    """Say that a parameter is not taken, and what to write instead."""
    hints = {
        "channel_binding": "write channel_binding=prefer, or leave it out: asyncpg cannot bind",
        "search_path": "write options=-csearch_path%3DNAME",
        "schema": "write options=-csearch_path%3DNAME",
        "currentSchema": "write options=-csearch_path%3DNAME",
        "sslnegotiation": "leave it out",
        "client_encoding": "asyncpg knows UTF8 alone; leave it out",
    }
    hint = hints.get(name, "leave it out")
    return f"the parameter {name} is not taken, since not every driver has it; {hint}"


def own_form(given: str) -> str:
    """Return a URL that was given, in our form.

    Raises
    ------
    UsageError : as :func:`read_url`.
    """
    found = read_url(given)
    return url_of({name: found[name] for name in (*PLACE, *KEPT) if name in found})


def name_beside(database: str) -> str:
    """Return the name of the database that a task queue has beside another.

    It begins as the other's does and fits into the 63 bytes that PostgreSQL keeps of a name.
    """
    return f"{database[:52]}_{crc32(database.encode()):08x}q"


def parameters(url: str) -> dict[str, str]:
    """Return what a URL in our form says, by libpq's names."""
    parts = urlsplit(url)
    found = {
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "host": unquote(parts.hostname or ""),
        "port": str(parts.port or ""),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    found |= dict(parse_qsl(parts.query, keep_blank_values=True))
    return {name: value for name, value in found.items() if value}


def url_of(given: Mapping[str, str]) -> str:
    """Return the URL that says this, in our form."""
    rest = {name: value for name, value in given.items() if value}
    user, password, host, port, database = (rest.pop(name, "") for name in PLACE)
    if host.startswith("/"):
        rest = {"host": host, "port": port or USUAL_PORT} | rest
        host = port = ""
    place = f"[{host}]" if ":" in host else _encoded(host)
    where = f"{_account(user, password)}{place}{f':{port}' if port else ''}"
    return f"postgresql://{where}/{_encoded(database)}{_query(rest)}"


def changed(url: str, **values: str) -> str:
    """Return a URL in our form with other values; an empty one takes it out."""
    return url_of(parameters(url) | values)


def place_of(url: str) -> tuple[str, int]:
    """Return where a URL in our form leads: host, or the folder of a socket (``/…``), and port."""
    found = parameters(url)
    return found.get("host", "127.0.0.1"), int(found.get("port", USUAL_PORT))


def is_socket(host: str) -> bool:
    """Return whether a host is the folder of a socket, or its abstract name."""
    return host.startswith(("/", "@"))


def shown(url: str) -> str:
    """Return a URL in our form for people: stars for its password, and without its parameters."""
    found = parameters(url)
    kept = {name: found[name] for name in PLACE if name in found}
    return unquote(url_of(kept | ({"password": STARS} if "password" in found else {})))


def _account(user: str, password: str) -> str:
    told = _encoded(user) + (f":{_encoded(password)}" if password else "")
    return f"{told}@" if told else ""


def _query(values: Mapping[str, str]) -> str:
    told = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in values.items())
    return f"?{told}" if told else ""


def _encoded(text: str) -> str:
    return quote(text, safe="")


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
BROKER_FILES = {
    **dict.fromkeys(("cafile", "cacertfile", "ssl_ca_certs"), "ssl_ca_certs"),
    **dict.fromkeys(("certfile", "ssl_certfile"), "ssl_certfile"),
    **dict.fromkeys(("keyfile", "ssl_keyfile"), "ssl_keyfile"),
}
CHECKS = {"verify", "no_verify_ssl", "ssl_cert_reqs"}
UNCHECKED = {"none", "cert_none", "verify_none", "1", "true"}
CHECKED = {"required", "cert_required", "optional", "cert_optional", "verify_peer", "0", "false"}
BROKER_LEFT_OUT = {
    *("heartbeat", "connection_timeout", "channel_max", "frame_max", "name"),
    *("socket_timeout", "socket_connect_timeout", "health_check_interval", "max_connections"),
}
"""What changes neither the broker nor the account, and what we choose ourselves."""
BROKER_PLAIN = re.compile(r"[^@/?#]*@[^@?#]*|[^@?#]*")


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
        raise UsageError(f"BROKER_URL must start with amqp(s):// or redis(s)://, not {what!r}")
    try:
        parts = urlsplit(f"{SCHEMES[scheme]}://{rest}")
        port = parts.port or PORTS[parts.scheme]
    except ValueError:
        raise UsageError(f"BROKER_URL cannot be read: {ENCODE}") from None
    # urlsplit() drops tabs and ends of lines
    if not BROKER_PLAIN.fullmatch(rest.partition("?")[0]) or not given.isprintable():
        raise UsageError(f"BROKER_URL cannot be read: {ENCODE}")
    hide(unquote(parts.password or ""))
    return Broker(KINDS[parts.scheme], _written(parts, port))


def _written(parts: SplitResult, port: int) -> str:
    account = _account(unquote(parts.username or ""), unquote(parts.password or ""))
    host = parts.hostname or "127.0.0.1"
    place = f"[{host}]" if ":" in host else host
    query, path = dict(parse_qsl(parts.query, keep_blank_values=True)), parts.path
    if KINDS[parts.scheme] == "redis":
        path = f"/{query.pop('db', '') or path.strip('/') or '0'}"
    kept = _encryption(query, encrypted=parts.scheme in ("amqps", "rediss"))
    return f"{parts.scheme}://{account}{place}:{port}{path}{_query(kept)}"


def _encryption(query: dict[str, str], *, encrypted: bool) -> dict[str, str]:
    """Return what an encrypted connection needs, by redis-py's names."""
    unknown = query.keys() - BROKER_FILES.keys() - CHECKS - BROKER_LEFT_OUT
    if unknown:
        raise UsageError(
            f"BROKER_URL: the parameter {min(unknown)} is not taken, since not every library has"
            " it; leave it out"
        )
    checks = {value.lower() for name, value in query.items() if name in CHECKS}
    if strange := checks - CHECKED - UNCHECKED:
        raise UsageError(f"BROKER_URL: ssl_cert_reqs is required or none, not {min(strange)}")
    if not encrypted:
        return {}
    files = {BROKER_FILES[name]: value for name, value in query.items() if name in BROKER_FILES}
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
    return plain + _query(told)
