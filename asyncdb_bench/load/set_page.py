"""Locust's own page of a distributed run, on loopback and to look at only."""

from __future__ import annotations

from typing import Any

from flask import abort, request
from locust.env import Environment

LOOPBACK = "127.0.0.1"


def open_page(environment: Environment, port: int) -> None:
    """Serve Locust's page: the workers, what they ask for, and how fast.

    What would start, stop or change the load is refused, and so is a page of another name, which
    another site could have a browser ask for.

    Parameters
    ----------
    environment : the master's.
    port : where.
    """
    page = environment.create_web_ui(LOOPBACK, port, delayed_start=True)
    names = {f"{LOOPBACK}:{port}", f"localhost:{port}"}

    def look_only() -> Any:
        if request.host not in names or request.method not in ("GET", "HEAD"):
            abort(403)

    assert page.app is not None
    page.app.before_request(look_only)
    page.start()  # type: ignore[no-untyped-call]
