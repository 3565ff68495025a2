"""JupyterHub's REST API, as its admin page and its services ask for it."""

from __future__ import annotations

from typing import Any

from asyncdb_bench import OwnScenario, Route, ScenarioKnobs, Steps, operation

TOKEN = {"Authorization": "token 0123456789abcdef0123456789abcdef"}


@operation(
    check=lambda params, answer: answer["name"] == params["user"],
    reads=True,
    route=Route("GET", "/hub/api/users/{user}", headers=TOKEN),
)
def user(user: str) -> Steps:
    """One user."""
    yield


@operation(
    check=lambda params, answer: len(answer) == params["limit"],
    reads=True,
    route=Route("GET", "/hub/api/users", headers=TOKEN),
)
def users(limit: int) -> Steps:
    """A page of users."""
    yield


@operation(
    check=lambda params, answer: answer["name"] == params["group"],
    reads=True,
    route=Route("GET", "/hub/api/groups/{group}", headers=TOKEN),
)
def group(group: str) -> Steps:
    """A group."""
    yield


@operation(
    check=lambda _, answer: answer["admin"] is False,
    route=Route("PATCH", "/hub/api/users/{user}", headers=TOKEN),
)
def changed(user: str, admin: bool) -> Steps:
    """A user, written."""
    yield


class Hub(OwnScenario[ScenarioKnobs]):
    """A mix."""

    name = "hub"
    summary = "JupyterHub's API: 60 % a user, 15 % a page of users, 15 % a group, 10 % written"
    asks_for = {user: 12, users: 3, group: 3, changed: 2}
    loads = (10, 20, 40, 60, 80, 100, 150, 200)

    def draw(self, operation: str, rng: Any) -> dict[str, Any]:
        """Draw whom."""
        number, place = int(rng.integers(0, 20)), int(rng.integers(0, 5))
        whose = f"user-{number}-{place}"
        return {
            "user": {"user": whose},
            "users": {"limit": 20},
            "group": {"group": f"group-{number}"},
            "changed": {"user": whose, "admin": False},
        }[operation]
