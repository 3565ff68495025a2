"""Routes of a scenario's own: where an operation is asked for, and what its answer looks like."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, quote, urlencode
from uuid import UUID

import msgspec

from asyncdb_bench.errors import PluginError

if TYPE_CHECKING:
    from email.message import Message

JSON = "application/json"
HTML = "text/html; charset=UTF-8"
FORM = "application/x-www-form-urlencoded"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
BODILESS = frozenset({204, 205, 304})
"""Whose answers have no body (RFC 9110, 15.3.5, 15.3.6 and 15.4.5)."""
BODIES = ("json", "form")
KEPT = (bytes, datetime, date, time, UUID, Decimal)
REDIRECTS = frozenset({301, 302, 303, 307, 308})
REQUEST_TIMEOUT = "Request-Timeout-Ms"
"""A request's header: after how many milliseconds the application gives it up, answered as 504."""
PLAIN = "%/:@!$&'()*+,;=~"
"""What stands in a path as it is, besides letters, digits and ``_.-`` (RFC 3986, 3.3)."""
_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")
_BARE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""A header's name and value (RFC 9110, 5.1 and 5.5)."""
REQUEST_TIMEOUT = "Request-Timeout-Ms"
_OURS = frozenset({"content-length", "transfer-encoding", "connection"})

Given = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is not JSON, or that has headers of its own.

    Parameters
    ----------
    body : text is sent as UTF-8.
    content_type : value of ``Content-Type``.
    headers : further ones.
    status : of HTTP; 200 to 599. One that is not 200 to 299 is right where the route's `statuses`
        has it.

    Raises
    ------
    ValueError : another status, or a body with one that has none.
    """

    body: bytes | str
    content_type: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200

    def __post_init__(self) -> None:
        if not 200 <= self.status < 600:
            raise ValueError(f"a reply's status is 200 to 599, not {self.status}")
        if self.body and self.status in BODILESS:
            raise ValueError(f'a reply with status {self.status} has no body: Reply("", …)')

    @property
    def encoded(self) -> bytes:
        """The body as bytes."""
        return self.body.encode() if isinstance(self.body, str) else self.body


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as a client has it, for routes that say ``whole=True``.

    Parameters
    ----------
    status : of HTTP.
    headers : by names in any case; what is not there is None, ``get_all(name)`` has several.
    body : JSON decoded, text as text, else bytes; ``""`` where there is none.
    """

    status: int
    headers: Message
    body: Any

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that it sets, by name, as they would be sent back."""
        from asyncdb_bench.contract.browsing import set_by

        return set_by(self.headers)


def host_of(host: str) -> str:
    """Return a host as it stands in a request: numbers of IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host


class Request(NamedTuple):
    """A request: `target` is path and query, `body` empty where it has none."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def sent_to(self, host: str, port: int) -> bytes:
        """Return its bytes in HTTP/1.1.

        Parameters
        ----------
        host, port : of the application; a header ``Host`` of its own goes before.
        """
        lines = [f"{self.method} {self.target} HTTP/1.1"]
        if not any(name.lower() == "host" for name in self.headers):
            lines.append(f"Host: {host}:{port}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True)
class Route:
    """Where an operation is asked for, instead of ``POST /op/<name>``.

    Values stand in path, query, headers and form as JSON says them, without quotes: an enum's
    member as its value, ``true``, a date in ISO form, bytes in base64. A list is a name several
    times in query and form. None is left out there, and with it the header that it stands in; in a
    path it is refused.

    Parameters
    ----------
    method : of HTTP.
    path : with parameters in braces: ``/posts/{post}``. A query in it is sent as it stands, with
        parameters in braces, too: ``/posts?view=full&page[size]={size}``.
    query : parameters that stand in the query. None: those that are not in the path or a header,
        where the method has no body.
    headers : sent with every request, with parameters in braces, too:
        ``{"Authorization": "Bearer {token}"}``.
    body : how the parameters of the body stand there: ``"json"`` or ``"form"``.
    read : changes the parameters as they came (text, where they stood in path, query, header or
        form) before they are validated: defaults, bounds, other names.
    render : makes a :class:`Reply` of the operation's answer, or something else to be sent as JSON.
        What it is given is the same under every strategy, see :func:`portable`.
        It runs on the event loop, as in any handler. None: the answer is sent as JSON.
    fields : parameters that stand in the body; one may stand in the path, the query or a header
        as well. None: those that stand nowhere else, where the method has a body.
    statuses : of right answers. None: 200 to 299.
    follow : redirects within the application are followed, as browsers do; for applications of
        others alone.
    whole : `check` and sessions have the answer as a :class:`Response`, with its status and
        headers.

    Raises
    ------
    ValueError : it cannot be asked for.
    """

    method: str
    path: str
    query: tuple[str, ...] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = "json"
    read: Callable[[Given], Given] | None = None
    render: Callable[[Any], Any] | None = None
    fields: tuple[str, ...] | None = None
    statuses: Collection[int] | None = None
    follow: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"route method {self.method!r} is not one of {', '.join(METHODS)}")
        if not self.path.startswith("/"):
            raise ValueError(f"route {self.path!r} does not begin with /")
        if "#" in self.path:
            raise ValueError(f"route {self.path!r}: what stands behind # is never sent")
        if re.search("[{}]", _FIELD.sub("", self.path)):
            raise ValueError(f"route {self.path!r}: braces hold a parameter's name and no more")
        if self.body not in BODIES:
            raise ValueError(f"route body {self.body!r} is not one of {', '.join(BODIES)}")
        if self.fields and self.method in {"GET", "HEAD"}:
            raise ValueError(f"route {self.method} {self.path}: a {self.method} has no body")
        if wrong := [each for each in self.statuses or () if not 200 <= each < 600]:
            raise ValueError(f"route {self.path}: statuses are 200 to 599, not {wrong[0]}")
        self._see_that_headers_can_be_sent()

    def _see_that_headers_can_be_sent(self) -> None:
        for name, value in self.headers.items():
            if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
                raise ValueError(f"route {self.path}: {name!r} is no header that may be set")
            if not _VALUE.fullmatch(value):
                raise ValueError(f"route {self.path}: header {name} is no line of latin-1")

    @cached_property
    def pattern(self) -> str:
        """The path as a regular expression whose groups are named for the parameters."""
        return _pattern(self._path.partition("?")[0], "[^/]+")

    @cached_property
    def _in_query(self) -> dict[str, list[str]]:
        """What the query in its path has under each name."""
        return parse_qs(self._path.partition("?")[2], keep_blank_values=True)

    @cached_property
    def constants(self) -> frozenset[tuple[str, str]]:
        """Names and values of the query in its path that are always the same."""
        found = ((name, each) for name, several in self._in_query.items() for each in several)
        return frozenset((name, each) for name, each in found if "{" not in each)

    def takes(self, arguments: Mapping[str, Sequence[bytes]]) -> bool:
        """Return whether a request's query has the constants."""
        return all(value.encode() in arguments.get(name, ()) for name, value in self.constants)

    @cached_property
    def _path(self) -> str:
        """The path as it is sent, with parameters in braces still."""
        path, mark, query = _BARE_PERCENT.sub("%25", self.path).partition("?")
        pieces = re.split(r"(\{\w+\})", path), re.split(r"(\{\w+\})", query)
        for each, plain in zip(pieces, (PLAIN, PLAIN + "?"), strict=True):
            # every other piece is a parameter
            each[::2] = [quote(text, plain) for text in each[::2]]
        return "".join([*pieces[0], mark, *pieces[1]])

    @cached_property
    def _kind(self) -> str:
        """The content type that a body is sent with; empty: one stands among the headers."""
        own = any(name.lower() == "content-type" for name in self.headers)
        return "" if own else FORM if self.body == "form" else JSON

    @property
    def has_body(self) -> bool:
        """Whether its requests have a body."""
        return self.method in WITH_BODY or bool(self.fields)

    @cached_property
    def named(self) -> tuple[set[str], set[str]]:
        """The parameters that stand in the path, and those that stand in headers."""
        in_headers = _FIELD.findall(" ".join(self.headers.values()))
        return set(_FIELD.findall(self.path)), set(in_headers)

    def placed(self, names: Collection[str]) -> tuple[list[str], list[str]]:
        """Return which parameters stand in the query, and which in the body.

        Parameters
        ----------
        names : of the parameters.
        """
        in_path, in_headers = self.named
        rest = [name for name in names if name not in in_path and name not in in_headers]
        if self.query is not None:
            in_query = [name for name in names if name in self.query]
            rest = [name for name in rest if name not in self.query]
        else:
            in_query, rest = ([], rest) if self.has_body else (rest, [])
        if self.fields is not None:
            rest = [name for name in names if name in self.fields]
        return in_query, rest

    def see_that_it_fits(self, names: Collection[str]) -> None:
        """See that all that it names is a parameter, and that each parameter stands somewhere.

        Parameters
        ----------
        names : of the operation's parameters.

        Raises
        ------
        ValueError : it does not.
        """
        in_path, in_headers = self.named
        in_query, in_body = self.placed(names)
        there = {*in_path, *in_headers, *(self.query or ()), *(self.fields or ())}
        if unknown := sorted(there - set(names)):
            raise ValueError(
                f"route {self.method} {self.path} names {unknown[0]!r}, no parameter of the"
                f" operation; it has {', '.join(names) or 'none'}"
            )
        sent = {*in_path, *in_headers, *in_query, *(in_body if self.has_body else ())}
        if lost := [name for name in names if name not in sent]:
            raise ValueError(
                f"route {self.method} {self.path}: {lost[0]!r} stands neither in the path, the"
                " query or a header nor in a body; name it by query= or fields="
            )

    def parts(self, params: Mapping[str, Any]) -> Request:
        """Return the request for an operation.

        Parameters
        ----------
        params : of the operation.

        Raises
        ------
        PluginError : a value cannot stand where the route has it.
        """
        in_query, in_body = self.placed(params)

        def piece(found: re.Match[str]) -> str:
            return quote(self._text(found[1], params[found[1]], "a path"), safe="")

        target = _FIELD.sub(piece, self._path)
        if query := urlencode(self._pairs(in_query, params)):
            target += f"{'&' if '?' in target else '?'}{query}"
        headers = {}
        for name, template in self.headers.items():
            value = self._header(template, params) if "{" in template else template
            if value is not None:
                headers[name] = value
        body = b""
        if self.has_body:
            if self.body == "form":
                body = urlencode(self._pairs(in_body, params)).encode()
            else:
                body = msgspec.json.encode({name: params[name] for name in in_body})
            if self._kind:
                headers["Content-Type"] = self._kind
            headers["Content-Length"] = str(len(body))
        return Request(self.method, target, headers, body)

    def _header(self, template: str, params: Mapping[str, Any]) -> str | None:
        """Return a header's value; None: a parameter of it is."""
        names = _FIELD.findall(template)
        if any(params[name] is None for name in names):
            return None
        text = {name: self._text(name, params[name], "a header") for name in names}
        value = _FIELD.sub(lambda found: text[found[1]], template)
        if not _VALUE.fullmatch(value):
            what = "has a line's end or letters beyond latin-1"
            raise self._refused(" and ".join(names), what, "a header")
        return value

    def _pairs(self, names: Sequence[str], params: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return names and values as they stand in a query or a form."""
        found = []
        for name in names:
            value = params[name]
            if value is None:
                continue
            if not isinstance(value, str | int | float):
                value = msgspec.to_builtins(value, enc_hook=str)
            several = value if isinstance(value, list | tuple) else (value,)
            found += [(name, self._text(name, each, "a query or a form")) for each in several]
        return found

    def _text(self, name: str, value: Any, place: str) -> str:
        """Return a value as text: as JSON says it, without quotes."""
        if type(value) is str:
            return value
        said = msgspec.to_builtins(value, enc_hook=str)
        if isinstance(said, bool):
            return str(said).lower()
        if said is None or isinstance(said, list | tuple | dict):
            what = "None" if said is None else "a dict" if isinstance(said, dict) else "a list"
            raise self._refused(name, f"is or holds {what}", place)
        return str(said)

    def _refused(self, name: str, what: str, place: str) -> PluginError:
        return PluginError(
            f"route {self.method} {self.path}: parameter {name} {what}, which {place} cannot say"
        )

    def header_values(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the parameters that stand in headers.

        Parameters
        ----------
        given : the request's headers, by a mapping that minds no case.
        """
        return _values(self.headers, given)

    def query_values(self, given: Given) -> Given:
        """Return what came in a query with the parameters of the path's under their own names.

        Parameters
        ----------
        given : text by the names in the query.
        """
        if not self._in_query:
            return given
        kept = {name: value for name, value in given.items() if name not in self._in_query}
        return kept | _values({name: each[-1] for name, each in self._in_query.items()}, given)

    def reply(self, answer: Any) -> Reply:
        """Return what is sent for an operation's answer."""
        made = answer if self.render is None else self.render(portable(answer))
        return made if isinstance(made, Reply) else Reply(msgspec.json.encode(made), JSON)

    def expects(self, status: int) -> bool:
        """Return whether a right answer may have a status of HTTP."""
        return 200 <= status < 300 if self.statuses is None else status in self.statuses

    def answer(self, status: int, headers: Message, body: bytes) -> Any:
        """Return an answer as `check` and sessions have it; see :func:`decoded`.

        Parameters
        ----------
        status, headers, body : as they came.
        """
        found = decoded(b"" if self.method == "HEAD" else body, headers.get("Content-Type", ""))
        return Response(status, headers, found) if self.whole else found


def portable(answer: Any) -> Any:
    """Return an operation's answer as it is after a way to another process.

    Dates, times, UUIDs, Decimals and bytes are kept; structs, dataclasses and named tuples become
    dicts and lists, as in JSON.
    """
    return msgspec.to_builtins(answer, builtin_types=KEPT, str_keys=True)


def _values(templates: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of templates by what came under each one's name."""
    found: dict[str, str] = {}
    for name, template in templates.items():
        if match := re.fullmatch(_pattern(template, ".+"), str(given.get(name, ""))):
            found |= match.groupdict()
    return found


def _pattern(template: str, value: str) -> str:
    pieces = _FIELD.split(template)
    names = pieces[1::2]
    # a parameter that stands there twice is the same both times
    fields = (
        f"(?P={name})" if name in names[:at] else f"(?P<{name}>{value})"
        for at, name in enumerate(names)
    )
    return "".join(
        re.escape(text) + field for text, field in zip(pieces[::2], [*fields, ""], strict=True)
    )


def usual_route(name: str) -> Route:
    """Return the route of an operation that names none."""
    return Route("POST", f"/op/{name}")


def decoded(body: bytes, content_type: str) -> Any:
    """Return an answer as an operation's `check` has it: JSON decoded, text as text, else bytes.

    One without a body is an empty text, whatever its type.

    Parameters
    ----------
    body : of the answer.
    content_type : its header; empty: JSON is tried.

    Raises
    ------
    ValueError : it should be JSON, or text in UTF-8, and is not.
    """
    if not body:
        return ""
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
