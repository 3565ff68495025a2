"""Sessions: steps in order, each made of the answers before, at arrivals that do not change."""

from __future__ import annotations

import numpy as np
import pytest

from asyncdb_bench.contract.scenario import Session, Talk, Users, begun, mix_of


def visit(rng: np.random.Generator) -> Talk:
    token = (yield "login", {"user": int(rng.integers(1, 9))})["token"]
    posts = yield "list", {"token": token}
    yield "open", {"post": posts[0]}


VISIT = Session(("login", "list", "open"), visit)
ANSWERS = {"login": {"token": "t"}, "list": [7], "open": {}}


def test_a_step_is_made_of_the_answers_before() -> None:
    conversation = begun(VISIT, np.random.default_rng(1))
    assert conversation.operation == "login"
    assert conversation.answered(ANSWERS["login"])
    assert conversation.params == {"token": "t"}
    assert conversation.answered(ANSWERS["list"])
    assert (conversation.operation, conversation.params) == ("open", {"post": 7})
    assert not conversation.answered({})


def test_the_mix_follows_from_the_steps_and_weights() -> None:
    short = Session(("login",), visit, weight=3)
    assert mix_of([VISIT]) == pytest.approx({"login": 1 / 3, "list": 1 / 3, "open": 1 / 3})
    assert mix_of([VISIT, short]) == pytest.approx({"login": 4 / 6, "list": 1 / 6, "open": 1 / 6})


def test_users_take_the_requests_in_turn_and_keep_their_order() -> None:
    users = Users([VISIT], 3, np.random.default_rng(2))
    asked: list[str] = []
    for _ in range(900):
        user = users.take()
        asked.append(user.operation)
        users.give_back(user, ANSWERS[user.operation], right=True)
        assert len(users.waiting) <= 3
    assert {name: asked.count(name) / 900 for name in ANSWERS} == pytest.approx(
        dict.fromkeys(ANSWERS, 1 / 3), abs=0.01
    )


def test_who_waits_for_an_answer_is_not_asked_again_and_who_failed_leaves() -> None:
    users = Users([VISIT], 1, np.random.default_rng(2))
    first, second = users.take(), users.take()
    assert first is not second
    users.give_back(first, None, right=False)
    users.give_back(second, ANSWERS["login"], right=True)
    assert users.waiting == [second]


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (("list",), "step 1 is login; its steps say list"),
        (("login", "open"), "step 2 is list; its steps say open"),
        (("login",), "step 2 is list; its steps say the end"),
        (("login", "list", "open", "login"), "step 4 is its end; its steps say login"),
    ],
)
def test_steps_that_do_not_agree_are_refused(steps: tuple[str, ...], says: str) -> None:
    def to_the_end() -> None:
        conversation = begun(Session(steps, visit), np.random.default_rng(1))
        while conversation.answered(ANSWERS[conversation.operation]):
            pass

    with pytest.raises(ValueError, match=says):
        to_the_end()
