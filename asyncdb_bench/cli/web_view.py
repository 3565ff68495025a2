"""``--web``: a page on loopback that shows a run as it goes on; the terminal's view stays."""

from __future__ import annotations

import asyncio
import threading
import time
import webbrowser
from collections import deque
from importlib.resources import files
from threading import Lock
from types import TracebackType
from typing import Any

from asyncdb_bench.cli.live_answers import Row
from asyncdb_bench.cli.progress import Progress
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.measure.turns import LaunchOrder
from asyncdb_bench.records.files import Seen
from asyncdb_bench.records.step import Step, TrialEnd

LATEST = 40
"""Turns that a page shows."""


class LiveState:
    """Tells what a run has shown so far as data.

    The run writes it, the page's server reads it, from a thread of its own.

    Parameters
    ----------
    progress : the terminal's display, which has the answers.

    Attributes
    ----------
    lock : held while a turn is noted.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._latest: deque[dict[str, Any]] = deque(maxlen=LATEST)
        self.lock = Lock()

    def add(self, step: Step) -> None:
        """Note a turn."""
        self._latest.appendleft(
            {
                "scenario": step.scenario,
                "variant": step.variant,
                "what": step.turn.kind,
                "offered_rps": step.offered_rps,
                "achieved_rps": step.achieved_rps,
                "p99_ms": step.latency.p99_ms,
                "valid": step.valid,
            }
        )

    def told(self) -> dict[str, Any]:
        """Return all that a page shows, as JSON can carry it."""
        progress = self._progress
        answers = progress.answers
        with self.lock:
            scenarios = [
                {
                    "label": each.label,
                    "work": each.work or each.label,
                    "rounds": answers.rounds(each.label),
                    "rows": [_row(row) for row in answers.rows(each.label)],
                }
                for each in progress.plan.scenarios
            ]
            return {
                "now": progress.now,
                "left": progress.left(),
                "spent_s": round(time.monotonic() - progress.began),
                "scenarios": scenarios,
                "open": answers.open,
                "turns": list(self._latest),
            }


def _row(row: Row) -> dict[str, Any]:
    told: dict[str, Any] = {"variant": row.variant, "pace_rps": row.rps, "said": row.said}
    if row.answer is not None:
        ratio = row.answer.ratio
        bounds = ratio.bounds if ratio is not None else None
        told |= {
            "ratio": ratio.ratio if ratio is not None else None,
            "low": bounds[0] if bounds else None,
            "high": bounds[1] if bounds else None,
        }
    return told


LOOPBACK = "127.0.0.1"
STOP_S = 3.0


class WebProgress:
    """A display that passes all on to the terminal's, and serves it as a page.

    Parameters
    ----------
    inner : the terminal's display.
    port : to listen on; 0: any that is free.
    show : whether to open the page in a browser.

    Raises
    ------
    ServiceError : the port cannot be had; nothing was started then.
    """

    def __init__(self, inner: Progress, port: int = 0, *, show: bool = False) -> None:
        from tornado.netutil import bind_sockets

        try:
            self._sockets = bind_sockets(port, address=LOOPBACK)
        except OSError as error:
            raise ServiceError(
                f"--web: port {port} cannot be had ({error.strerror or error});"
                " --web-port 0 takes one that is free"
            ) from error
        self.port: int = self._sockets[0].getsockname()[1]
        self._inner, self._show = inner, show
        self.state = LiveState(inner)
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    def __enter__(self) -> WebProgress:
        self._inner.__enter__()
        self._thread.start()
        where = f"http://{LOOPBACK}:{self.port}/"
        self._inner.say(f"watch: {where}")
        if self._show:
            webbrowser.open(where)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server, and end the terminal's display."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_S)
        self._inner.__exit__(kind, error, trace)

    def _serve(self) -> None:
        asyncio.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        from tornado.httpserver import HTTPServer

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = HTTPServer(make_application(self.state, self.port))
        server.add_sockets(self._sockets)
        await self._stop.wait()
        server.stop()
        await server.close_all_connections()

    def say(self, text: str) -> None:
        """Show one line."""
        self._inner.say(text)

    def service(self, name: str) -> None:
        """Show which service is being started."""
        self._inner.service(name)

    def recall(self, launches: Seen) -> None:
        """Take note of how launches strayed on this machine before."""
        self._inner.recall(launches)

    def launch(self, order: LaunchOrder) -> None:
        """Show that variants are being launched."""
        self._inner.launch(order)

    def step(self, step: Step) -> None:
        """Show a turn."""
        with self.state.lock:
            self._inner.step(step)
            self.state.add(step)

    def end(self, end: TrialEnd) -> None:
        """Show how a trial ended."""
        self._inner.end(end)


def make_application(state: LiveState, port: int) -> Any:
    """Return the page's application: the page, and what it shows as JSON.

    Another site's page cannot read it: the names that a browser may ask it by are loopback's.
    """
    from tornado.web import Application, HTTPError, RequestHandler

    names = {f"{LOOPBACK}:{port}", f"localhost:{port}"}

    class Own(RequestHandler):
        def prepare(self) -> None:
            if self.request.host not in names:
                raise HTTPError(403)

    class Page(Own):
        def get(self) -> None:
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.set_header("Content-Security-Policy", "default-src 'self' 'unsafe-inline' data:")
            self.finish(files("asyncdb_bench.cli").joinpath("web", "live.html").read_text("utf-8"))

    class State(Own):
        def get(self) -> None:
            self.set_header("Cache-Control", "no-store")
            self.finish(state.told())

    return Application([(r"/", Page), (r"/state", State)], log_function=lambda _: None)
