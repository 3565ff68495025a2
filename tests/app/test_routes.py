"""What a route sends is what our application reads: the same parameters, whatever their shape."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from asyncdb_bench import Reply, Route, Steps, operation
from asyncdb_bench.app.application import make_application
from asyncdb_bench.contract.operation import Operation, Said, judged
from asyncdb_bench.errors import PluginError
from asyncdb_bench.measure.target_family import asked
from tests.in_thread import served


class Colour(Enum):
    """By text."""

    RED = "r&d"
    BLUE = "blue"


class Size(IntEnum):
    """By number."""

    BIG = 2


class Way(StrEnum):
    """A text itself."""

    UP = "up"


CAME: list[dict[str, Any]] = []
KEY = uuid.UUID(int=7)


def a(shown: Route) -> Callable[[Callable[..., Steps]], Operation]:
    return operation(check=lambda _, answer: answer == "", route=shown)


def nothing(_: Any) -> Reply:
    return Reply("", status=204)


@a(Route("GET", "/listed", render=nothing))
def listed(ids: list[int], page: int = 1, tags: set[str] | None = None) -> Steps:
    """Lists."""
    yield from ()


@a(Route("POST", "/filled", body="form", render=nothing))
def filled(ids: list[Colour], pair: tuple[int, str], note: str | None = None) -> Steps:
    """Lists in a form."""
    yield from ()


@a(Route("GET", "/städte/{colour}/{size}/100%/{name}.json", render=nothing))
def placed(colour: Colour, size: Size, name: str) -> Steps:
    """Members and text in a path."""
    yield from ()


@a(Route("GET", "/typed", headers={"X-Way": "to {way}", "X-Day": "{day}"}, render=nothing))
def typed(
    way: Way,
    colour: Colour,
    size: Size | None,
    one: Literal[1, 2],
    key: uuid.UUID,
    day: date,
    at: datetime,
    span: timedelta,
    price: Decimal,
    raw: bytes,
    on: bool,
    low: float | None = None,
) -> Steps:
    """Anything that text can say."""
    yield from ()


@a(Route("GET", "/fixed?view=full", render=nothing))
def full(item: int) -> Steps:
    """A constant in the query."""
    yield from ()


@a(Route("GET", "/fixed?view=short&mark=a+b%26&page[size]={size}", render=nothing))
def short(item: int, size: int) -> Steps:
    """Constants, and a parameter under another name."""
    yield from ()


@a(Route("GET", "/fixed", render=nothing))
def plain(item: int) -> Steps:
    """No constant."""
    yield from ()


@a(
    Route(
        "POST",
        "/paid/{item}",
        body="form",
        headers={"X-CSRF-Token": "{token}"},
        fields=("token", "amount"),
        render=nothing,
    )
)
def paid(item: int, token: str, amount: int) -> Steps:
    """A token both in a header and in the form."""
    yield from ()


@a(Route("DELETE", "/several", fields=("ids",), render=nothing))
def several(ids: list[int]) -> Steps:
    """A DELETE with a body."""
    yield from ()


@a(Route("PATCH", "/twice/{item}/of/{item}", query=("dry",), render=nothing))
def twice(item: int, dry: bool, lines: list[dict[str, int]]) -> Steps:
    """A parameter twice, one in the query, one in JSON."""
    yield from ()


@a(Route("HEAD", "/there"))
def there(item: int) -> Steps:
    """HEAD."""
    yield from ()


@a(Route("OPTIONS", "/there", render=nothing))
def options() -> Steps:
    """OPTIONS."""
    yield from ()


@a(Route("GET", "/known", statuses=(304,), render=lambda _: Reply("", status=304)))
def known() -> Steps:
    """304."""
    yield from ()


@a(Route("POST", "/reset", render=lambda _: Reply("", status=205)))
def reset() -> Steps:
    """205."""
    yield from ()


OPERATIONS = {
    each.name: each
    for each in (
        *(listed, filled, placed, typed, full, short, plain, paid, several, twice),
        *(there, options, known, reset),
    )
}
AT = datetime(2026, 11, 30, 1, 2, 3, 400000, UTC)
TYPED = {
    "way": Way.UP,
    "colour": Colour.RED,
    "size": Size.BIG,
    "one": 2,
    "key": KEY,
    "day": AT.date(),
    "at": AT,
    "span": timedelta(days=1, seconds=0.5),
    "price": Decimal("1.50"),
    "raw": b"\x00\xff=&",
    "on": True,
    "low": 0.1,
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    async def run(operation: Operation, params: dict[str, Any]) -> Any:
        CAME.append({"operation": operation.name, **params})
        return {}

    strategy: Any = SimpleNamespace(knobs=SimpleNamespace(timing=0, abandon="run"), run=run)
    with served(make_application(strategy, OPERATIONS, 60)) as found:
        yield found


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("listed", {"ids": [168, 1], "page": 2, "tags": {"a b", "c&d"}}),
        ("listed", {"ids": [5], "page": 1, "tags": {""}}),
        ("listed", {"ids": [], "page": 1, "tags": None}),
        ("filled", {"ids": [Colour.RED, Colour.BLUE], "pair": (1, "ä+"), "note": None}),
        ("filled", {"ids": [], "pair": (2, ""), "note": "null"}),
        ("placed", {"colour": Colour.RED, "size": Size.BIG, "name": "a/b c+d%.txt?#"}),
        ("typed", TYPED),
        ("typed", {**TYPED, "size": None, "low": None, "on": False, "raw": b""}),
        ("full", {"item": 1}),
        ("short", {"item": 1, "size": 20}),
        ("plain", {"item": 1}),
        ("paid", {"item": 1, "token": "t=&é", "amount": 5}),
        ("several", {"ids": [1, 2]}),
        ("twice", {"item": 3, "dry": True, "lines": [{"n": 1}]}),
        ("there", {"item": 3}),
        ("options", {}),
        ("known", {}),
        ("reset", {}),
    ],
)
def test_what_is_sent_is_what_is_read(port: int, name: str, params: dict[str, Any]) -> None:
    CAME.clear()
    op = OPERATIONS[name]
    said = asked("127.0.0.1", port, op.request(params), 60)
    assert judged(op, params, said) == ("", ""), said
    assert [{"operation": name, **params}] == CAME
    assert {key: type(value) for key, value in CAME[0].items() if key in params} == {
        key: type(value) for key, value in params.items()
    }


def test_lists_are_sent_as_a_name_several_times() -> None:
    assert listed.request({"ids": [168, 1]}).target == "/listed?ids=168&ids=1"
    both = paid.request({"item": 1, "token": "t", "amount": 2})
    assert both.headers["X-CSRF-Token"] == "t"
    assert both.body == b"token=t&amount=2"
    assert short.request({"item": 1, "size": 2}).target == (
        "/fixed?view=short&mark=a+b%26&page%5Bsize%5D=2&item=1"
    )


def test_a_query_without_the_constants_is_nowhere(port: int) -> None:
    only = {"short": short}
    strategy: Any = SimpleNamespace(knobs=SimpleNamespace(timing=0, abandon="run"), run=None)
    with served(make_application(strategy, only, 60)) as other:
        assert asked("127.0.0.1", other, plain.request({"item": 1}), 60).status == 404
    assert asked("127.0.0.1", port, plain.request({"item": 1}), 60).status == 204


def odd(route: Route, default: Any = ...) -> Operation:
    def steps(value: Any) -> Steps:
        yield from ()

    def with_default(value: Any = default) -> Steps:
        yield from ()

    made = steps if default is ... else with_default
    return operation(check=lambda *_: True, route=route)(made)


@pytest.mark.parametrize(
    ("op", "value", "says"),
    [
        (odd(Route("GET", "/a/{value}")), None, "GET /a/{value}: parameter value is or holds None"),
        (odd(Route("GET", "/a/{value}")), [1], "is or holds a list, which a path cannot say"),
        (odd(Route("GET", "/a?b={value}")), None, "is or holds None, which a path cannot say"),
        (odd(Route("GET", "/a")), {"b": 1}, "is or holds a dict, which a query or a form"),
        (odd(Route("GET", "/a")), [1, None], "is or holds None, which a query or a form"),
        (odd(Route("GET", "/a")), [[1]], "is or holds a list, which a query or a form"),
        (odd(Route("POST", "/a", body="form")), [{}], "is or holds a dict"),
        (odd(Route("GET", "/a", headers={"X": "{value}"})), "a\r\nY: b", "a line's end"),
        (odd(Route("GET", "/a", headers={"X": "{value}"})), "Ω", "letters beyond latin-1"),
        (odd(Route("GET", "/a", headers={"X": "{value}"})), [1], "a list, which a header cannot"),
        (
            odd(Route("GET", "/a"), 5),
            None,
            "value is None, which a query, a form or a header cannot",
        ),
        (odd(Route("GET", "/a"), (1,)), [], "so that it would be read as (1,)"),
        (
            odd(Route("GET", "/a", headers={"X": "{value}"}), "x"),
            None,
            "so that it would be read as 'x'",
        ),
        (odd(Route("GET", "/a")), [], "value is [], which a query"),
    ],
)
def test_what_text_cannot_say_is_refused(op: Operation, value: Any, says: str) -> None:
    with pytest.raises(PluginError) as caught:
        op.request({"value": value})
    assert says in str(caught.value)


def test_json_says_it_all() -> None:
    op = odd(Route("POST", "/a"), 5)
    assert op.request({"value": None}).body == b'{"value":null}'
    assert op.request({"value": [{"a": None}]}).body == b'{"value":[{"a":null}]}'


@pytest.mark.parametrize(
    ("route", "says"),
    [
        (Route("GET", "/a/{other}"), "names 'other', no parameter of the operation; it has value"),
        (Route("GET", "/a?b={other}"), "names 'other'"),
        (Route("GET", "/a", headers={"X": "{other}"}), "names 'other'"),
        (Route("GET", "/a", query=("other",)), "names 'other'"),
        (Route("POST", "/a", fields=("other",)), "names 'other'"),
        (Route("GET", "/a", query=()), "'value' stands neither in the path"),
        (Route("POST", "/a", fields=()), "'value' stands neither in the path"),
    ],
)
def test_a_route_that_does_not_fit_its_operation_is_refused(route: Route, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        odd(route)


def test_what_stands_behind_an_answer_is_told() -> None:
    from email.message import Message

    op, headers = odd(Route("GET", "/a")), Message()
    headers["Location"] = "/b"
    assert "redirects to /b: let the route ask there" in judged(op, {}, Said(302, headers, b""))[1]
    assert judged(op, {}, Said(418, headers, b"tea"))[1] == "answers 418: 'tea'"
