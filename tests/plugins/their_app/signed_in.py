"""What members of :mod:`members` do: sign in by its form, then read and write."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from asyncdb_bench import OwnScenario, Route, ScenarioKnobs, Session, Steps, Talk, operation


@operation(
    check=lambda _, answer: answer.cookies["_xsrf"] and "_xsrf" in answer.body,
    route=Route("GET", "/sign-in", whole=True),
)
def form() -> Steps:
    """Get the form, and with it a cookie."""
    yield


@operation(
    check=lambda params, answer: answer["member"] == params["member"],
    route=Route("POST", "/sign-in", body="form", follow=True),
)
def sign_in(member: str, _xsrf: str) -> Steps:
    """Sign in, and be sent to what only members see."""
    yield


@operation(
    check=lambda _, answer: answer == "",
    route=Route("PUT", "/notes/{note}", headers={"X-XSRFToken": "{token}"}),
)
def written(note: int, text: str, token: str) -> Steps:
    """Write a note: 204."""
    yield


@operation(
    check=lambda _, answer: answer == "",
    route=Route("DELETE", "/notes/{note}", headers={"X-XSRFToken": "{token}"}),
)
def deleted(note: int, token: str) -> Steps:
    """Delete it: 204."""
    yield


@operation(
    check=lambda params, answer: (
        (answer.headers["x-note"], answer.body) == (str(params["note"]), "")
    ),
    route=Route("HEAD", "/notes/{note}", whole=True),
)
def looked(note: int) -> Steps:
    """See that it is there."""
    yield


@operation(
    check=lambda _, answer: answer == "",
    route=Route("GET", "/notes/{note}", headers={"If-None-Match": "{known}"}, statuses=(304,)),
)
def unchanged(note: int, known: str) -> Steps:
    """Ask whether it has changed: 304."""
    yield


@operation(check=lambda _, answer: answer == "ok", route=Route("GET", "/secure"))
def secure() -> Steps:
    """Get a cookie that is not sent over HTTP."""
    yield


@operation(check=lambda _, answer: answer["member"] == "kim", route=Route("GET", "/me"))
def me() -> Steps:
    """Who am I."""
    yield


STEPS = ("form", "sign_in", "written", "looked", "unchanged", "deleted")


def visit(rng: np.random.Generator) -> Talk:
    """Sign in by the form, then write, look and delete."""
    page = yield "form", {}
    token = re.search(r'value="([^"]+)"', page.body)[1]  # type: ignore[index]
    assert page.cookies["_xsrf"]
    yield "sign_in", {"member": f"member {rng.integers(100)}", "_xsrf": token}
    note = int(rng.integers(1, 100))
    yield "written", {"note": note, "text": "ünd", "token": token}
    yield "looked", {"note": note}
    yield "unchanged", {"note": note, "known": f'"{note}"'}
    yield "deleted", {"note": note, "token": page.cookies["_xsrf"]}


class SignedIn(OwnScenario[ScenarioKnobs]):
    """Members."""

    name = "signed_in"
    summary = "members sign in by a form with a token"
    operations = (form, sign_in, written, looked, unchanged, deleted)
    visits = (Session(STEPS, visit),)
    users = 8


def in_vain(rng: np.random.Generator) -> Talk:
    """Ask with a cookie that does not come back."""
    yield "secure", {}
    yield "me", {}


class Behind(OwnScenario[ScenarioKnobs]):
    """What stood behind TLS."""

    name = "behind"
    summary = "a cookie for HTTPS alone"
    operations = (secure, me)
    visits = (Session(("secure", "me"), in_vain),)


class Strangers(OwnScenario[ScenarioKnobs]):
    """Who does not sign in is sent there."""

    name = "strangers"
    summary = "a redirect that is right"
    asks_for = {me: 1}

    def draw(self, operation: str, rng: Any) -> dict[str, Any]:
        """Draw nothing."""
        return {}


def forgetful(rng: np.random.Generator) -> Talk:
    """Sign in without the form's token."""
    yield "sign_in", {"member": "kim", "_xsrf": "none"}


class Forgetful(OwnScenario[ScenarioKnobs]):
    """Who has no token."""

    name = "forgetful"
    summary = "a token is missing"
    operations = (sign_in,)
    visits = (Session(("sign_in",), forgetful),)


def stumbling(rng: np.random.Generator) -> Talk:
    """Look for what is not there."""
    page = yield "form", {}
    yield "sign_in", {"member": "kim", "_xsrf": page.cookies["nothing"]}


class Stumbling(OwnScenario[ScenarioKnobs]):
    """Whose session raises."""

    name = "stumbling"
    summary = "a session raises"
    operations = (form, sign_in)
    visits = (Session(("form", "sign_in"), stumbling),)


class Unsaid(OwnScenario[ScenarioKnobs]):
    """Who asks for no note."""

    name = "unsaid"
    summary = "None in a path"
    asks_for = {unchanged: 1}

    def draw(self, operation: str, rng: Any) -> dict[str, Any]:
        """Draw none."""
        return {"note": None, "known": "x"}
