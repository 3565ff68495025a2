"""URLs of databases: read as libpq reads them, written so that every driver reads the same.

Drivers differ in what they make of a URL: in spaces and ``+``, in sockets, and in parameters,
which asyncpg takes for arguments or for settings of the server. So a URL that was given is read
once, by libpq's own reader, and everything of ours gets it in one plain form: each value
percent-encoded, and none but the parameters of :data:`KEPT`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from asyncdb_bench.errors import STARS, UsageError, hide

SOURCE = "DATABASE_URL"
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
        raise UsageError(
            f"{SOURCE} must start with postgresql://, not {_shown_scheme(scheme if is_url else '')}"
        )
    if not PLAIN.fullmatch(rest.partition("?")[0]):
        raise UsageError(f"{SOURCE} cannot be read: {ENCODE}")
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(given).items()}
    except psycopg.Error as error:
        unknown = re.match(r'invalid URI query parameter: "(\w+)"', str(error))
        why = f"{_not_taken(unknown[1])}" if unknown else ENCODE
        raise UsageError(f"{SOURCE} cannot be read: {why}") from None
    hide(found.get("password", ""))
    _see_that_its_place_is_one(found)
    for name, value in found.items():
        _see_that_it_is_taken(name, value)
    return found


def _shown_scheme(scheme: str) -> str:
    return f"{scheme}:" if re.fullmatch(r"[a-z][a-z0-9+.-]*(:[a-z]+)?", scheme) else "what it does"


def _see_that_its_place_is_one(found: Mapping[str, str]) -> None:
    """Refuse what is neither host nor port, without its text: it may be half a password."""
    ports = found.get("port", "").split(",")
    numbers = all(each == "" or each.isdecimal() for each in ports)
    if not numbers or "@" in found.get("host", "")[1:]:
        raise UsageError(f"{SOURCE} cannot be read: it names no host and port; {ENCODE}")


def _see_that_it_is_taken(name: str, value: str) -> None:
    if name in HARMLESS and value.lower() in HARMLESS[name]:
        return
    if name == "sslrootcert" and value == "system":
        raise UsageError(
            f"{SOURCE}: sslrootcert=system is not known to every driver; name the file, e.g."
            " sslrootcert=/etc/ssl/certs/ca-certificates.crt"
        )
    if name in {*KEPT, *LEFT_OUT, *PLACE}:
        return
    raise UsageError(f"{SOURCE}: {_not_taken(name)}")


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
    account = _encoded(user) + (f":{_encoded(password)}" if password else "")
    place = f"[{host}]" if ":" in host else _encoded(host)
    query = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in rest.items())
    return (
        f"postgresql://{account}{'@' if account else ''}{place}{f':{port}' if port else ''}"
        f"/{_encoded(database)}{'?' if query else ''}{query}"
    )


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


def _encoded(text: str) -> str:
    return quote(text, safe="")
