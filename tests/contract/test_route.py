"""Routes: a request made of parameters, and parameters made of a request."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench import Reply, Route, clamped
from asyncdb_bench.contract.route import decoded


def test_parameters_stand_where_the_route_says() -> None:
    route = Route(
        "POST", "/posts/{post}", query=("page",), headers={"Authorization": "Bearer {token}"}
    )
    asked = route.parts({"post": "a b/c", "page": 2, "token": "t", "text": "x", "deep": {"a": [1]}})
    assert asked.target == "/posts/a%20b%2Fc?page=2"
    assert asked.headers["Authorization"] == "Bearer t"
    assert asked.body == b'{"text":"x","deep":{"a":[1]}}'
    assert asked.headers["Content-Length"] == str(len(asked.body))
    assert route.header_values({"Authorization": "Bearer t"}) == {"token": "t"}
    assert route.header_values({"Authorization": "Basic t"}) == {}


def test_a_get_has_its_parameters_in_the_query_and_a_form_in_its_body() -> None:
    assert Route("GET", "/q").parts({"n": 5, "on": True}).target == "/q?n=5&on=true"
    assert Route("GET", "/q").parts({"n": None}).target == "/q"
    form = Route("POST", "/q", body="form").parts({"n": 5, "text": "ä&"})
    assert form.body == b"n=5&text=%C3%A4%26"
    assert form.headers["Content-Type"] == "application/x-www-form-urlencoded"


@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_stands_in_a_path_comes_back(value: str) -> None:
    from urllib.parse import unquote

    route = Route("GET", "/a/{value}/b")
    found = re.fullmatch(route.pattern, route.parts({"value": value}).target)
    assert found
    assert unquote(found["value"]) == value


@pytest.mark.parametrize(
    ("given_text", "number"),
    [("2", 2), ("0", 1), ("foo", 1), ("501", 500), ("", 1), (None, 1), ("-3", 1), ("2.5", 1)],
)
def test_a_number_is_forced_into_bounds(given_text: str | None, number: int) -> None:
    row = {} if given_text is None else {"n": given_text}
    assert clamped("n", 1, 500)(row) == {"n": number}


def test_answers_are_read_by_their_content_type() -> None:
    assert decoded(b"[1]", "application/json; charset=UTF-8") == [1]
    assert decoded(b"[1]", "application/problem+json") == [1]
    assert decoded("ä".encode(), "text/html; charset=utf-8") == "ä"
    assert decoded(b"\xff", "image/png") == b"\xff"
    assert decoded(b"", "application/json") == decoded(b"", "") == decoded(b"", "image/png") == ""
    with pytest.raises(ValueError, match="JSON"):
        decoded(b"<html>", "application/json")


def test_an_answer_may_be_rendered_or_have_headers() -> None:
    plain = Route("GET", "/a").reply([1])
    assert (plain.encoded, plain.content_type) == (b"[1]", "application/json")
    page = Route("GET", "/a", render=lambda answer: Reply(f"<p>{answer}", headers={"X-A": "1"}))
    made = page.reply("ä")
    assert (made.encoded, made.headers) == ("<p>ä".encode(), {"X-A": "1"})
    renamed = Route("GET", "/a", render=lambda answer: {"all": answer}).reply([1])
    assert renamed.encoded == b'{"all":[1]}'


def test_a_header_of_ones_own_takes_the_place_of_the_usual_one() -> None:
    own = Route("POST", "/a", headers={"content-type": "application/vnd.api+json", "Host": "shop"})
    sent = own.parts({}).sent_to("127.0.0.1", 80)
    assert sent.lower().count(b"content-type:") == sent.lower().count(b"host:") == 1
    assert b"Host: shop\r\n" in sent
    latin = Route("GET", "/a", headers={"X": "{x}"}).parts({"x": "é"})
    assert b"X: \xe9\r\n" in latin.sent_to("h", 1)
    assert Route("GET", "/a", headers={"X": "a {x}"}).parts({"x": None}).headers == {}


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [(204, "x", "204 has no body"), (304, b"x", "304 has no body"), (101, "", "200 to 599")],
)
def test_a_reply_that_cannot_be_is_refused(status: int, body: bytes | str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Reply(body, status=status)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"method": "FETCH", "path": "/"}, "FETCH"),
        ({"method": "GET", "path": "a"}, "begin with /"),
        ({"method": "POST", "path": "/a", "body": "xml"}, "xml"),
        ({"method": "GET", "path": "/a#b"}, "behind # is never sent"),
        ({"method": "GET", "path": "/a/{b:int}"}, "braces hold a parameter's name"),
        ({"method": "GET", "path": "/a/{b"}, "braces hold a parameter's name"),
        ({"method": "GET", "path": "/a", "fields": ("b",)}, "a GET has no body"),
        ({"method": "GET", "path": "/a", "statuses": (100,)}, "statuses are 200 to 599, not 100"),
        ({"method": "GET", "path": "/a", "headers": {"A b": "c"}}, "'A b' is no header"),
        ({"method": "POST", "path": "/a", "headers": {"content-length": "1"}}, "no header"),
        ({"method": "GET", "path": "/a", "headers": {"A": "b\nC: d"}}, "no line of latin-1"),
    ],
)
def test_a_route_that_cannot_be_is_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Route(**given)  # type: ignore[arg-type]
