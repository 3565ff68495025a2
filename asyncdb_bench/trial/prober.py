"""Light, steady questions to an application while something breaks: what failed, and until when."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from asyncdb_bench.contract.route import Request

EVERY_S = 0.05
AT_ONCE = 64
STEADY = 5
"""So many right answers in a row are an application that answers again."""


class ProbeAnswer(NamedTuple):
    """One question: when it was asked (monotonic seconds), how long it took, what came.

    `status` is HTTP's, 0 where no answer came; `right` whether it is that of a right answer.
    """

    asked_s: float
    took_s: float
    status: int
    right: bool


class Prober:
    """Asks the same every 50 ms, each time on a connection of its own, whatever became of the last.

    Parameters
    ----------
    port : of the application on loopback.
    asked : what to ask.
    timeout_s : after which an answer does not count any more.
    expects : whether a status is that of a right answer.
    """

    def __init__(
        self,
        port: int,
        asked: Request,
        timeout_s: float,
        expects: Callable[[int], bool] = lambda status: status == http.client.OK,
    ) -> None:
        self.expects = expects
        self.port = port
        self.asked = asked
        self.timeout_s = timeout_s
        self.answers: list[ProbeAnswer] = []
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="prober")
        self._thread = threading.Thread(target=self._ask_all, name="prober", daemon=True)

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self._pool.shutdown(wait=True)

    def ask(self) -> ProbeAnswer:
        """Ask once."""
        asked, status = time.monotonic(), 0
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
        try:
            connection.request(
                self.asked.method, self.asked.target, self.asked.body or None, self.asked.headers
            )
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        return ProbeAnswer(asked, time.monotonic() - asked, status, self.expects(status))

    def steady_since(self, moment_s: float) -> bool:
        """Return whether the last few questions, all asked after a moment, were answered."""
        after = sorted(each for each in list(self.answers) if each.asked_s > moment_s)
        last = after[-STEADY:]
        return len(last) == STEADY and all(each.right for each in last)

    def _ask_all(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._pool.submit(lambda: self.answers.append(self.ask()))
            due += EVERY_S


def back_after_s(answers: list[ProbeAnswer], moment_s: float) -> float | None:
    """Return how long after a moment the application answered again and went on to, seconds.

    Parameters
    ----------
    answers : in any order.
    moment_s : when something was killed.

    Returns
    -------
    From the moment to the first right answer after the last failure; 0 where nothing failed; None
    where it does not answer at the end.
    """
    after = sorted(each for each in answers if each.asked_s + each.took_s > moment_s)
    failed = [place for place, each in enumerate(after) if not each.right]
    if not failed:
        return 0.0
    rest = after[failed[-1] + 1 :]
    if len(rest) < STEADY:
        return None
    return min(each.asked_s + each.took_s for each in rest) - moment_s
