"""What is asked of the application of others: its routes, no tables of ours."""

from __future__ import annotations

from typing import Any

from asyncdb_bench import OwnScenario, Route, ScenarioKnobs, Steps, operation


@operation(
    check=lambda _, answer: len(answer["notes"]) == 10, reads=True, route=Route("GET", "/notes")
)
def listed() -> Steps:
    """List notes."""
    yield


@operation(
    check=lambda params, answer: answer["id"] == params["note"],
    reads=True,
    route=Route("GET", "/notes/{note}"),
)
def opened(note: int) -> Steps:
    """Open one."""
    yield


@operation(
    check=lambda _, answer: answer.startswith("<p>"), route=Route("POST", "/notes", body="form")
)
def written(body: str) -> Steps:
    """Write one."""
    yield


class Notes(OwnScenario[ScenarioKnobs]):
    """A mix."""

    name = "notes"
    summary = "notes of an application of others"
    asks_for = {listed: 3, opened: 6, written: 1}
    loads = (20, 50, 100, 200, 300, 400)

    def draw(self, operation: str, rng: Any) -> dict[str, Any]:
        """Draw a note."""
        if operation == "opened":
            return {"note": int(rng.integers(1, 201))}
        return {"body": "ünd"} if operation == "written" else {}


class Reads(Notes):
    """What may be sent again."""

    name = "reads"
    asks_for = {listed: 3, opened: 6}


@operation(check=lambda _, answer: bool(answer), reads=True, route=Route("GET", "/away"))
def away() -> Steps:
    """Be sent on."""
    yield


class Away(OwnScenario[ScenarioKnobs]):
    """Asks where it is sent on."""

    name = "away"
    summary = "a redirect"
    asks_for = {away: 1}


@operation(check=lambda _, answer: answer["ok"], reads=True, route=Route("GET", "/health"))
def page() -> Steps:
    """Expect JSON where there is a page."""
    yield


class Page(OwnScenario[ScenarioKnobs]):
    """Expects JSON."""

    name = "page"
    summary = "a page where JSON was expected"
    asks_for = {page: 1}


@operation(check=lambda _, answer: bool(answer), reads=True, route=Route("GET", "/nothing"))
def nothing() -> Steps:
    """Ask for what is not there."""
    yield


class Nothing(OwnScenario[ScenarioKnobs]):
    """Asks for what is not there."""

    name = "nothing"
    summary = "a path that is not there"
    asks_for = {nothing: 1}
