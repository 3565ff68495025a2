"""A Tornado application whose members sign in: ``members.py PORT``. No database.

Its cookies are signed, its forms have XSRF tokens, what is written is answered without a body.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from tornado.web import Application, RequestHandler, authenticated


class Member(RequestHandler):
    """Who is signed in."""

    def get_current_user(self) -> str | None:
        """Read the signed cookie."""
        found = self.get_signed_cookie("member")
        return found.decode() if found else None


class SignIn(Member):
    """The form, and what it is sent to."""

    def get(self) -> None:
        """Answer the form; its token sets a cookie."""
        self.write(f"<form method=post>{self.xsrf_form_html()}<input name=member></form>")

    def post(self) -> None:
        """Sign in, and send on."""
        self.set_signed_cookie("member", self.get_body_argument("member"))
        self.redirect("/me")


class Me(Member):
    """Who am I."""

    @authenticated
    def get(self) -> None:
        """Say it."""
        self.write({"member": self.current_user})


class Note(Member):
    """Notes, which are not kept."""

    @authenticated
    def put(self, _number: str) -> None:
        """Write one: no body."""
        self.set_status(204)

    delete = put

    def head(self, number: str) -> None:
        """Say that it is there."""
        self.set_header("Content-Type", "application/json")
        self.set_header("X-Note", number)

    def get(self, number: str) -> None:
        """Answer it, if it is not known already."""
        self.set_header("Etag", f'"{number}"')
        if self.check_etag_header():
            self.set_status(304)
            return
        self.write({"note": int(number)})


class Secure(Member):
    """A cookie for HTTPS alone."""

    def get(self) -> None:
        """Set it."""
        self.set_cookie("behind_tls", "1", secure=True)
        self.write("ok")


def application() -> Application:
    """Make it."""
    settings: dict[str, Any] = {
        "cookie_secret": "not a secret",
        "xsrf_cookies": True,
        "login_url": "/sign-in",
    }
    return Application(
        [(r"/sign-in", SignIn), (r"/me", Me), (r"/notes/(\d+)", Note), (r"/secure", Secure)],
        log_function=lambda _: None,
        **settings,
    )


async def main() -> None:
    """Serve."""
    application().listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
