"""Routes of a scenario's own: where an operation is asked for, and what its answer looks like."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec

JSON = "application/json"
HTML = "text/html; charset=UTF-8"
FORM = "application/x-www-form-urlencoded"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
BODIES = ("json", "form")
KEPT = (bytes, datetime, date, time, UUID, Decimal)
_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")

Given = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is not JSON, or that has headers of its own.

    Parameters
    ----------
    body : text is sent as UTF-8.
    content_type : value of ``Content-Type``.
    headers : further ones.
    status : of HTTP; 200 to 299.
    """

    body: bytes | str
    content_type: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200

    @property
    def encoded(self) -> bytes:
        """The body as bytes."""
        return self.body.encode() if isinstance(self.body, str) else self.body


class Request(NamedTuple):
    """A request: `target` is path and query, `body` empty where it has none."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Route:
    """Where an operation is asked for, instead of ``POST /op/<name>``.

    Parameters
    ----------
    method : of HTTP.
    path : with parameters in braces: ``/posts/{post}``.
    query : parameters that stand in the query. None: those that are not in the path or a header,
        where the method has no body.
    headers : sent with every request, with parameters in braces, too:
        ``{"Authorization": "Bearer {token}"}``.
    body : how the parameters that are left stand in the body: ``"json"`` or ``"form"``.
    read : changes the parameters as they came (text, where they stood in path, query, header or
        form) before they are validated: defaults, bounds, other names.
    render : makes a :class:`Reply` of the operation's answer, or something else to be sent as JSON.
        What it is given is the same under every strategy, see :func:`portable`.
        It runs on the event loop, as in any handler. None: the answer is sent as JSON.
    """

    method: str
    path: str
    query: tuple[str, ...] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = "json"
    read: Callable[[Given], Given] | None = None
    render: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"route method {self.method!r} is not one of {', '.join(METHODS)}")
        if not self.path.startswith("/"):
            raise ValueError(f"route {self.path!r} does not begin with /")
        if self.body not in BODIES:
            raise ValueError(f"route body {self.body!r} is not one of {', '.join(BODIES)}")

    @cached_property
    def pattern(self) -> str:
        """The path as a regular expression whose groups are named for the parameters."""
        return _pattern(self.path, "[^/]+")

    @property
    def has_body(self) -> bool:
        """Whether its requests have a body."""
        return self.method in {"POST", "PUT", "PATCH"}

    def placed(self, names: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Return which parameters stand in the query, and which in the body.

        Parameters
        ----------
        names : of the parameters; the values do not count.
        """
        elsewhere = {*_FIELD.findall(self.path), *_FIELD.findall(" ".join(self.headers.values()))}
        rest = [name for name in names if name not in elsewhere]
        if self.query is None:
            return ([], rest) if self.has_body else (rest, [])
        return [n for n in rest if n in self.query], [n for n in rest if n not in self.query]

    def request(self, host: str, port: int, params: Mapping[str, Any]) -> bytes:
        """Return a whole HTTP/1.1 request.

        Parameters
        ----------
        host, port : of the application.
        params : of the operation.
        """
        asked = self.parts(params)
        lines = [f"{asked.method} {asked.target} HTTP/1.1", f"Host: {host}:{port}"]
        lines += [f"{name}: {value}" for name, value in asked.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + asked.body

    def parts(self, params: Mapping[str, Any]) -> Request:
        """Return a request's parts; parameters as :meth:`request`."""
        in_query, in_body = self.placed(params)
        text = {name: _text(value) for name, value in params.items()}
        target = _FIELD.sub(lambda found: quote(text[found[1]], safe=""), self.path)
        if query := urlencode(_there(in_query, params)):
            target += f"?{query}"
        headers = {
            name: _FIELD.sub(lambda found: text[found[1]], value)
            for name, value in self.headers.items()
        }
        body = b""
        if self.has_body:
            if self.body == "form":
                body = urlencode(_there(in_body, params)).encode()
            else:
                body = msgspec.json.encode({name: params[name] for name in in_body})
            kind = FORM if self.body == "form" else JSON
            headers |= {"Content-Type": kind, "Content-Length": str(len(body))}
        return Request(self.method, target, headers, body)

    def header_values(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the parameters that stand in headers.

        Parameters
        ----------
        given : the request's headers, by a mapping that minds no case.
        """
        found: dict[str, str] = {}
        for name, template in self.headers.items():
            if match := re.fullmatch(_pattern(template, ".+"), given.get(name, "")):
                found |= match.groupdict()
        return found

    def reply(self, answer: Any) -> Reply:
        """Return what is sent for an operation's answer."""
        made = answer if self.render is None else self.render(portable(answer))
        return made if isinstance(made, Reply) else Reply(msgspec.json.encode(made), JSON)


def portable(answer: Any) -> Any:
    """Return an operation's answer as it is after a way to another process.

    Dates, times, UUIDs, Decimals and bytes are kept; structs, dataclasses and named tuples become
    dicts and lists, as in JSON.
    """
    return msgspec.to_builtins(answer, builtin_types=KEPT, str_keys=True)


def _pattern(template: str, value: str) -> str:
    pieces = _FIELD.split(template)
    fields = (f"(?P<{name}>{value})" for name in pieces[1::2])
    return "".join(
        re.escape(text) + field for text, field in zip(pieces[::2], [*fields, ""], strict=True)
    )


def _there(names: list[str], params: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as text; those that are null are left out, since text cannot say it."""
    return {name: _text(params[name]) for name in names if params[name] is not None}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def usual_route(name: str) -> Route:
    """Return the route of an operation that names none."""
    return Route("POST", f"/op/{name}")


def decoded(body: bytes, content_type: str) -> Any:
    """Return an answer as an operation's `check` has it: JSON decoded, text as text, else bytes.

    Parameters
    ----------
    body : of the answer.
    content_type : its header; empty: JSON is tried.

    Raises
    ------
    ValueError : it should be JSON, or text in UTF-8, and is not.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == JSON or kind.endswith("+json") or not kind:
        return msgspec.json.decode(body)
    return body.decode() if kind.startswith("text/") else body


def clamped(name: str, low: int, high: int) -> Callable[[Given], Given]:
    """Return a `read` that forces a whole number into bounds.

    Parameters
    ----------
    name : of the parameter.
    low, high : bounds; `low` stands also for one that is missing or is no whole number.
    """

    def read(given: Given) -> Given:
        try:
            number = int(given.get(name, low))
        except ValueError:
            number = low
        return {**given, name: min(max(number, low), high)}

    return read
