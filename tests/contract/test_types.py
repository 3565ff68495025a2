"""Parameters and answers of types that JSON does not know, on their way between processes."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from kombu.utils.json import dumps as kombu_dumps

from asyncdb_bench import Route, Steps, operation
from asyncdb_bench.contract.celery.celery_app import decoded_reply
from asyncdb_bench.contract.route import portable


class Line(msgspec.Struct):
    """A struct in parameters and answers."""

    day: dt.datetime
    price: Decimal


def test_what_is_rendered_is_the_same_after_a_way_to_another_process() -> None:
    day = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    key = uuid.UUID(int=5)
    answer = {1: Line(day, Decimal("1.50")), "key": key, "raw": b"\xff", "pair": (1, None)}
    there = {"1": {"day": day, "price": Decimal("1.50")}, "key": key, "raw": b"\xff"}
    seen: list[Any] = []
    Route("GET", "/a", render=seen.append).reply(answer)
    assert seen == [there | {"pair": (1, None)}]
    sent = kombu_dumps({"status": "SUCCESS", "result": portable(answer)}).encode()
    came = decoded_reply(sent)["result"]
    assert came == there | {"pair": [1, None]}
    assert decoded_reply(memoryview(b'{"result": 1}')) == {"result": 1}


def test_parameters_travel_as_json_and_arrive_as_declared() -> None:
    @operation(check=lambda _params, _answer: True)
    def order(lines: list[Line], key: uuid.UUID, raw: bytes, days: set[dt.date]) -> Steps:
        """Take what JSON does not know."""
        yield

    given = {
        "lines": [Line(dt.datetime(2026, 1, 2, tzinfo=dt.UTC), Decimal("1.50"))],
        "key": uuid.UUID(int=5),
        "raw": b"\xff",
        "days": {dt.date(2026, 1, 2)},
    }
    assert order.typed(json.loads(json.dumps(order.plain(given)))) == given
    with pytest.raises(msgspec.ValidationError, match=r"\$\.key"):
        order.typed({**given, "key": "no uuid"})
