"""``--web``: a page on loopback that shows a run as it goes on; the terminal's view stays."""

from __future__ import annotations

import asyncio
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.resources import files
from typing import Any

from asyncdb_bench.cli.live_answers import Row
from asyncdb_bench.cli.progress import Progress
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.records.step import Step

LOOPBACK = "127.0.0.1"
STOP_S = 3.0


def with_page(
    progress: Progress, port: int = 0, *, show: bool = False
) -> AbstractContextManager[Progress]:
    """Return a display that is served as a page, too, while it is shown.

    Parameters
    ----------
    progress : the terminal's display, which has the answers.
    port : to listen on; 0: any that is free.
    show : whether to open the page in a browser.

    Raises
    ------
    ServiceError : the port cannot be had; nothing was started then.
    """
    from tornado.netutil import bind_sockets

    try:
        sockets = bind_sockets(port, address=LOOPBACK)
    except OSError as error:
        raise ServiceError(
            f"--web: port {port} cannot be had ({error.strerror or error});"
            " --web-port 0 takes one that is free"
        ) from error
    return _served(progress, sockets, show)


@contextmanager
def _served(progress: Progress, sockets: list[Any], show: bool) -> Iterator[Progress]:
    from tornado.httpserver import HTTPServer

    port = sockets[0].getsockname()[1]
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        server = HTTPServer(make_application(progress, port))
        server.add_sockets(sockets)
        await stop.wait()
        server.stop()
        await server.close_all_connections()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run, name="web", daemon=True)
    where = f"http://{LOOPBACK}:{port}/"
    with progress:
        thread.start()
        progress.say(f"watch: {where}")
        if show:
            webbrowser.open(where)
        try:
            yield progress
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(STOP_S)


def state_of(progress: Progress) -> dict[str, Any]:
    """Return all that the page shows, as JSON can carry it; called from the page's thread."""
    answers = progress.answers
    with progress.lock:
        return {
            "now": progress.now,
            "left": progress.left(),
            "spent_s": round(time.monotonic() - progress.began),
            "scenarios": [
                {
                    "label": each.label,
                    "work": each.work or each.label,
                    "rounds": answers.rounds(each.label),
                    "rows": [_row(row) for row in answers.rows(each.label)],
                }
                for each in progress.plan.scenarios
            ],
            "open": answers.open,
            "turns": [_turn(step) for step in progress.latest],
        }


def _turn(step: Step) -> dict[str, Any]:
    return {
        "scenario": step.scenario,
        "variant": step.variant,
        "what": step.turn.kind,
        "offered_rps": step.offered_rps,
        "achieved_rps": step.achieved_rps,
        "p99_ms": step.latency.p99_ms,
        "valid": step.valid,
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


def make_application(progress: Progress, port: int) -> Any:
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
            self.finish(state_of(progress))

    return Application([(r"/", Page), (r"/state", State)], log_function=lambda _: None)
