"""One of several load processes: a Locust worker, ``python -m asyncdb_bench.load.worker``.

Its configuration is the first line of standard input. It ends when the master says so, when the
master is silent, or when standard input ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import gevent
import numpy as np
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore
from gevent.queue import Queue
from locust import User, runners, task
from locust.env import Environment

from asyncdb_bench.errors import BenchError
from asyncdb_bench.load import set_messages as say_to
from asyncdb_bench.load.arrivals import StepPlan, own_order
from asyncdb_bench.load.process import Orders, reply_of, user_class
from asyncdb_bench.load.recorder import Recorder
from asyncdb_bench.load.set_messages import Session, answer, batches, challenge
from asyncdb_bench.load.user import OpenModelUser, Part
from asyncdb_bench.records.messages import (
    Failed,
    LoadConfig,
    LoadWorkerConfig,
    Ready,
    decoded_config,
    say,
)

SILENCE_S = 8
"""A master that was not heard of for so long is gone."""
ALLOWED_IN_S = 10.0
BEAT_S = 0.25
AT_ONCE = 4
"""Batches under way at a time, so that no end holds many."""
HANDOVER_S = 60.0
GO_S = 60.0


class AbandonedError(Exception):
    """The master gave up a window that was not begun."""


class SetUser(User):
    """The worker's only user: offers windows as the master asks for them."""

    worker: LoadSetWorker

    @task
    def serve(self) -> None:
        """Serve for ever."""
        self.worker.serve(self.environment)


class LoadSetWorker:
    """A worker of a set.

    Parameters
    ----------
    config : where its master is.
    """

    def __init__(self, config: LoadWorkerConfig) -> None:
        self.config = config
        self.inbox: Any = Queue()
        self.going: AsyncResult[int] = AsyncResult()
        self.allowed_in: AsyncResult[str] = AsyncResult()
        self.credit = BoundedSemaphore(AT_ONCE)
        self.session: Session | None = None
        self.user: OpenModelUser | None = None
        self.counted = 0
        self.late_ns = self.window = 0
        self._own = challenge()
        SetUser.worker = self
        self.environment = Environment(user_classes=[SetUser])
        self.environment.events.request.add_listener(self._count)  # type: ignore[no-untyped-call]
        self.runner = self.environment.create_worker_runner(config.host, config.port)
        self.runner.register_message(say_to.CHALLENGE, self._challenged)
        self.runner.register_message(say_to.REFUSED, self._refused)
        self.runner.register_message(say_to.SEALED, self._received)

    def join(self) -> str:
        """Ask the master to be let in; return why it does not, or nothing."""
        self.runner.send_message(say_to.KNOCK, {})
        try:
            return str(self.allowed_in.get(timeout=ALLOWED_IN_S))
        except gevent.Timeout:
            return "the master does not answer: is it one of this version?"

    def start(self) -> None:
        """Begin to serve."""
        self.runner.start_worker({SetUser.__name__: 1})

    def serve(self, environment: Environment) -> None:
        """Serve what the master orders; it ends with the process."""
        while True:
            body = self.inbox.get()
            if isinstance(body, say_to.Configure):
                self._configure(environment, body.config)
            else:
                self._offer(body)

    def _configure(self, environment: Environment, config: LoadConfig) -> None:
        if self.user is not None:
            self.user.on_stop()
            self.user = None
        try:
            self.user = user_class(config)(environment)
            self.user.on_start()
        except BenchError as error:
            self._send(say_to.Configured(str(error)))
        else:
            gc.collect()
            gc.freeze()
            self._send(say_to.Configured())

    def _offer(self, asked: say_to.Prepare) -> None:
        user = self.user
        assert user is not None
        plan, places = _part_of(asked)
        order = own_order(asked.order, asked.worker, asked.workers)
        self.going, self.window = AsyncResult(), asked.window
        self.credit = BoundedSemaphore(AT_ONCE)
        part = Part(plan, asked.worker, asked.workers, self._begins(asked.window))
        # the client's own pauses would be taken for the server's
        gc.collect()
        gc.disable()
        counted = self.counted
        beating = gevent.spawn(self._beat, asked.window)
        try:
            record, started_ns, probes = user.serve(order, part)
            served_ns = time.monotonic_ns() - started_ns
            reply = reply_of(record, started_ns, self.counted - counted, user.opened)
            sent = self._hand_over(asked.window, record, places, started_ns)
        except AbandonedError:
            return
        finally:
            beating.kill()
            gc.enable()
        lags = record.send_lags_ns(started_ns)
        probes = np.asarray(probes) - np.array([started_ns, 0])
        self._send(
            say_to.Done(
                window=asked.window,
                reply=reply,
                batches=sent,
                probes=probes.astype(np.int64).tobytes(),
                late_ns=self.late_ns,
                served_ns=served_ns,
                send_lag_p50_us=float(np.median(lags)) / 1000 if len(lags) else None,
            )
        )

    def _begins(self, window: int) -> Callable[[], int]:
        """Return what says that all is prepared and waits for the agreed moment."""

        def begin() -> int:
            self._send(say_to.Prepared(window))
            start_ns = int(self.going.get(timeout=GO_S))
            self.late_ns = max(0, time.monotonic_ns() - start_ns)
            return start_ns

        return begin

    def _hand_over(
        self, window: int, record: Recorder, places: np.ndarray[Any, Any] | None, started_ns: int
    ) -> int:
        columns = record.columns(started_ns)
        if places is None:
            places = np.arange(len(record.intended_ns))
        count = 0
        for index, batch in enumerate(batches(columns, places, started_ns)):
            count += 1
            if not self.credit.acquire(timeout=HANDOVER_S):
                # it waits for one more in vain, and knows that not all has come
                break
            self._send(say_to.Records(window, index, batch))
        return count

    def _beat(self, window: int) -> None:
        while True:
            self._send(say_to.Beat(window))
            gevent.sleep(BEAT_S)

    def _count(self, **_: Any) -> None:
        self.counted += 1

    def _challenged(self, environment: Environment, msg: Any, **_: Any) -> None:
        asked, name = bytes(msg.data["challenge"]), self.runner.client_id
        token = self.config.token
        self.session = Session(token, asked, self._own, name, master=False)
        place = self.config.place or socket.gethostname()
        identity = say_to.own_identity(place, os.getpid())
        self.runner.send_message(
            say_to.HELLO,
            {
                "own": self._own,
                "answer": answer(token, asked, self._own, name),
                "identity": say_to.packed(identity),
            },
        )

    def _refused(self, environment: Environment, msg: Any, **_: Any) -> None:
        why = msg.data.get("why") if isinstance(msg.data, dict) else ""
        self.allowed_in.set(f"the master refuses this worker: {why or 'it does not say why'}")

    def _received(self, environment: Environment, msg: Any, **_: Any) -> None:
        if self.session is None:
            return
        try:
            body = say_to.unpacked(self.session.opened(msg.data))
        except (BenchError, ValueError):
            # whoever writes that is not the master
            return
        if not self.allowed_in.ready():
            self.allowed_in.set("")
        if isinstance(body, say_to.Ping):
            self._send(say_to.Pong(body.sent_ns, time.monotonic_ns()))
        elif isinstance(body, say_to.Go):
            self.going.set(body.start_ns)
        elif isinstance(body, say_to.Taken):
            if body.window == self.window:
                self.credit.release()
        else:
            if not self.going.ready():
                # another was not ready, and the window was given up
                self.going.set_exception(AbandonedError())
            self.inbox.put(body)

    def _send(self, body: Any) -> None:
        assert self.session is not None
        self.runner.send_message(say_to.SEALED, self.session.sealed(say_to.packed(body)))


def _part_of(
    asked: say_to.Prepare,
) -> tuple[StepPlan | None, np.ndarray[Any, Any] | None]:
    if asked.intended is None:
        return None, None
    intended, chosen, places = (
        np.frombuffer(each, np.int64) for each in (asked.intended, asked.chosen, asked.places)
    )
    return StepPlan(asked.names, intended, chosen.copy()), places


def main() -> int:
    """Serve a master until it has no more."""
    with contextlib.suppress(OSError):
        os.nice(-10)
    orders = Orders()
    try:
        config = decoded_config(orders.next(), LoadWorkerConfig)
    except BenchError as error:
        say(Failed(str(error)))
        return error.exit_code
    runners.MASTER_HEARTBEAT_TIMEOUT = SILENCE_S
    runners.CONNECT_TIMEOUT = 1
    runners.CONNECT_RETRY_COUNT = max(1, int(config.wait_s))
    where = f"{config.host}:{config.port}"
    try:
        worker = LoadSetWorker(config)
    except (ConnectionError, OSError):
        say(Failed(f"no master at {where} within {config.wait_s:g} s: is the run waiting there?"))
        return 3
    why = worker.join()
    if why:
        say(Failed(why))
        worker.runner.quit()
        return 3
    worker.start()
    say(Ready(pid=os.getpid()))
    worker.runner.greenlet.join()
    return int(worker.environment.process_exit_code or 0)


if __name__ == "__main__":
    raise SystemExit(main())
