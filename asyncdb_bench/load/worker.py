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
from gevent.queue import Queue
from locust import User, runners, task
from locust.env import Environment

from asyncdb_bench.errors import EXIT_SERVICE, BenchError
from asyncdb_bench.load import set_messages as m
from asyncdb_bench.load.arrivals import drawn, own_order, share_of
from asyncdb_bench.load.merging import packed_records
from asyncdb_bench.load.process import Orders, reply_of, secure, user_class
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
GO_S = 60.0
REFUSED = 3
"""So many connections in a row that did not come about are no accident."""


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

    Raises
    ------
    OSError : there is no master.
    """

    def __init__(self, config: LoadWorkerConfig) -> None:
        self.hello = m.Hello(host=config.machine or socket.gethostname(), child=config.child)
        self.inbox: Any = Queue()
        self.going: AsyncResult[int] = AsyncResult()
        self.allowed_in: AsyncResult[str] = AsyncResult()
        self.user: OpenModelUser | None = None
        self.counted = self.late_ns = self.refused = 0
        SetUser.worker = self
        self.environment = Environment(user_classes=[SetUser])
        self.environment.events.request.add_listener(self._count)  # type: ignore[no-untyped-call]
        secure(config.token, master=False, on_refused=self._leave_where_refused)
        self.runner = self.environment.create_worker_runner(config.host, config.port)
        self.runner.register_message(m.TYPE, self._receive)

    def join(self) -> str:
        """Ask the master to be let in; return why it does not, or nothing."""
        self._send(self.hello)
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
            if isinstance(body, m.Configure):
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
            self._send(m.Configured(str(error)))
        else:
            gc.collect()
            gc.freeze()
            self._send(m.Configured())

    def _offer(self, asked: m.Prepare) -> None:
        user = self.user
        assert user is not None
        plan, step = None, asked.order
        if not step.connections:
            whole = drawn(step, user.scenario_of(step).mix())
            plan = share_of(whole, asked.worker, asked.workers, step.seed)
        order = own_order(step, asked.worker, asked.workers)
        self.going = AsyncResult()
        part = Part(plan, asked.worker, asked.workers, self._begins(asked.window))
        # the client's own pauses would be taken for the server's
        gc.collect()
        gc.disable()
        counted = self.counted
        beating = gevent.spawn(self._beat, asked.window)
        try:
            record, started_ns, probes = user.serve(order, part)
            served_ns = time.monotonic_ns() - started_ns
            records = packed_records(record.columns(started_ns), np.asarray(probes))
        except AbandonedError:
            return
        finally:
            beating.kill()
            gc.enable()
        lags = record.send_lags_ns(started_ns)
        self._send(
            m.Done(
                window=asked.window,
                reply=reply_of(record, started_ns, self.counted - counted, user.opened),
                records=records,
                late_ns=self.late_ns,
                served_ns=served_ns,
                send_lag_p50_us=float(np.median(lags)) / 1000 if len(lags) else None,
            )
        )

    def _begins(self, window: int) -> Callable[[], int]:
        """Return what says that all is prepared and waits for the agreed moment."""

        def begin() -> int:
            self._send(m.Prepared(window))
            start_ns = int(self.going.get(timeout=GO_S))
            self.late_ns = max(0, time.monotonic_ns() - start_ns)
            return start_ns

        return begin

    def _beat(self, window: int) -> None:
        while True:
            self._send(m.Beat(window))
            gevent.sleep(BEAT_S)

    def _count(self, **_: Any) -> None:
        self.counted += 1

    def _leave_where_refused(self) -> None:
        self.refused += 1
        if self.refused == REFUSED and not self.allowed_in.ready():
            say(Failed(f"the master refuses this worker: {m.STRANGER}"))
            os._exit(EXIT_SERVICE)

    def _receive(self, environment: Environment, msg: Any, **_: Any) -> None:
        body = m.unpacked(msg.data)
        if isinstance(body, m.Welcome):
            self.allowed_in.set(body.refusal and f"the master refuses this worker: {body.refusal}")
        elif isinstance(body, m.Ping):
            self._send(m.Pong(body.number, time.monotonic_ns()))
        elif isinstance(body, m.Go):
            self.going.set(body.start_ns)
        else:
            if not self.going.ready():
                # another was not ready, and the window was given up
                self.going.set_exception(AbandonedError())
            self.inbox.put(body)

    def _send(self, body: m.Body) -> None:
        self.runner.send_message(m.TYPE, m.packed(body))


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
    except OSError:
        say(Failed(f"no master at {where} within {config.wait_s:g} s: is the run waiting there?"))
        return EXIT_SERVICE
    why = worker.join()
    if why:
        say(Failed(why))
        worker.runner.quit()
        return EXIT_SERVICE
    worker.start()
    say(Ready(pid=os.getpid()))
    worker.runner.greenlet.join()
    return int(worker.environment.process_exit_code or 0)


if __name__ == "__main__":
    raise SystemExit(main())
