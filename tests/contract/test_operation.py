"""Operations are sans-IO: driven by any `execute`, blocking or not."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from asyncdb_bench.contract.data.accounts import balance_of, read, slow, write
from asyncdb_bench.contract.operation import Steps, drive, drive_async, operation


@operation(check=lambda params, answer: answer["sum"] == params["first"] + 2)
def add(first: int) -> Steps:
    """Add what two statements give."""
    one = yield "one"
    two = yield "two"
    return {"sum": first + one * 0 + two}


def answer_of(statement: str) -> int:
    return {"one": 1, "two": 2}[statement]


async def answer_later(statement: str) -> int:
    await asyncio.sleep(0)
    return answer_of(statement)


def test_both_ways_of_driving_give_the_same() -> None:
    seen: list[Any] = []

    def execute(statement: str) -> int:
        seen.append(statement)
        return answer_of(statement)

    assert drive(add.steps(first=5), execute) == {"sum": 7}
    assert seen == ["one", "two"]
    assert asyncio.run(drive_async(add.steps(first=5), answer_later)) == {"sum": 7}


def test_an_error_of_the_database_is_raised_inside_the_operation_first() -> None:
    @operation(check=lambda _p, _a: True)
    def forgiving() -> Steps:
        try:
            yield "breaks"
        except KeyError:
            return {"caught": True}
        return {"caught": False}

    assert drive(forgiving.steps(), answer_of) == {"caught": True}
    assert asyncio.run(drive_async(forgiving.steps(), answer_later)) == {"caught": True}


def test_an_error_that_is_not_caught_comes_through() -> None:
    @operation(check=lambda _p, _a: True)
    def broken() -> Steps:
        yield "breaks"
        return {}

    with pytest.raises(KeyError):
        drive(broken.steps(), answer_of)


def test_an_answer_may_be_all_that_json_can_say() -> None:
    @operation(check=lambda _p, _a: True)
    def listed() -> Steps:
        return [(yield "one"), (yield "two")]

    assert drive(listed.steps(), answer_of) == [1, 2]
    assert asyncio.run(drive_async(listed.steps(), answer_later)) == [1, 2]


@pytest.mark.parametrize(
    "body",
    [b'{"account": "seven"}', b'{"account": 0}', b'{"account": 1, "more": 2}', b"{}", b"[1]", b"x"],
)
def test_wrong_parameters_are_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body, type=read.params_type)


def test_right_parameters_are_taken() -> None:
    made = msgspec.json.decode(b'{"account": 3, "seconds": 0.05}', type=slow.params_type)
    assert msgspec.structs.asdict(made) == {"account": 3, "seconds": 0.05}


def test_checks_know_a_wrong_answer() -> None:
    assert read.check({"account": 7}, {"id": 7, "balance": balance_of(7)})
    assert not read.check({"account": 7}, {"id": 8, "balance": balance_of(8)})
    assert not read.check({"account": 7}, {"id": 7, "balance": balance_of(7) + 1})
    assert write.check({"counter": 1}, {"counter": 1, "entry": 1, "entries": 4})
    assert not write.check({"counter": 1}, {"counter": 1, "entry": 1, "entries": 0})
