"""The Celery application: one task that runs an operation by its name."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from celery import Celery, Task, signals
from celery.app.amqp import AMQP
from celery.worker.request import Request
from kombu import Connection, Queue
from kombu.utils.json import loads
from msgspec.json import decode

from asyncdb_bench.contract.abandoning import Deadline, bound, rest_s
from asyncdb_bench.contract.engine import open_sessions
from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.route import portable
from asyncdb_bench.contract.strategy import Knobs
from asyncdb_bench.contract.urls import kombu_arguments
from asyncdb_bench.errors import UnavailableError
from asyncdb_bench.records.plan import Broker
from asyncdb_bench_attach.timing import Phases, current, report


class StampedRequest(Request):  # type: ignore[misc]
    """Notes when a task was received; the note travels with the message's own headers."""

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        self._request_dict["received_ns"] = time.monotonic_ns()


TASK = "asyncdb_bench.run_operation"
QUEUE_EXPIRES_S = 60.0
"""A queue that nobody uses any more is deleted by RabbitMQ after this long."""

RESULT_QUEUE_EXPIRES_S = 15.0
"""Likewise a task's own result queue, which a late result declares anew."""


class PromptConnection(Connection):  # type: ignore[misc]
    """Tries again every 0.2 to 1 s.

    kombu's own default waits 2, 4, 6 … 30 s, so that a worker would find a broker that came back
    only after as long again as it had been away.
    """

    def ensure_connection(
        self, errback: Any = None, max_retries: Any = None, **options: Any
    ) -> Any:
        """Connect, with short pauses; parameters as kombu's."""
        prompt = {"interval_start": 0.2, "interval_step": 0.2, "interval_max": 1.0}
        return super().ensure_connection(errback, max_retries, **(prompt | options))


class PromptAMQP(AMQP):  # type: ignore[misc]
    """Celery's message layer on :class:`PromptConnection`."""

    Connection = PromptConnection


class BenchCelery(Celery):  # type: ignore[misc]
    """A Celery application that reconnects promptly."""

    amqp_cls = PromptAMQP


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How tasks and results travel; equal in the application and its workers.

    Parameters
    ----------
    broker, queue : where; the queue's name is unique to the trial.
    results : how results come back: ``"rpc"`` (reply messages), ``"redis"``, or ``"amqp"`` (one
        queue per task).
    store : the Redis that keeps them with ``"redis"``; None: the broker, which then is one.
    acks_late : acknowledge a task after it ran, so that a killed worker's task runs again.
    prefetch : tasks that a worker process takes ahead.
    timeout_s : after how long an unanswered task is worth nothing.
    """

    broker: Broker
    queue: str
    results: str
    acks_late: bool = False
    prefetch: int = 1
    timeout_s: float = 10.0
    store: Broker | None = None

    @property
    def results_url(self) -> str:
        """Where Redis keeps the results: the store, else the broker, which then is a Redis."""
        return (self.store or self.broker).url


def results_exchange(queue: str) -> str:
    """Return the exchange to which `results=amqp` publishes, of this trial alone."""
    return f"{queue}.results"


def transport_options(options: QueueOptions) -> dict[str, Any]:
    """Return the broker connection's timeouts, and for Redis a prefix for every key."""
    if options.broker.kind == "redis":
        return {
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "global_keyprefix": f"{options.queue}:",
            "visibility_timeout": 3600,
        }
    return {"read_timeout": 5, "write_timeout": 2, "confirm_publish": False}


def _backend_url(options: QueueOptions, *, client: bool) -> str:
    """Return Celery's result backend; replies by message need none on the client's side."""
    if options.results == "redis":
        return options.results_url
    if options.results == "amqp":
        return "celery_amqp_backend.AMQPBackend://"
    return "disabled://" if client else "rpc://"


def _expires_s(options: QueueOptions) -> float | None:
    """Return after how long without use the queue goes.

    Over Redis kombu would set the time anew with each message, four commands more, and drop what
    waits for longer.
    """
    return QUEUE_EXPIRES_S if options.broker.kind == "rabbitmq" else None


def make_app(options: QueueOptions, *, client: bool) -> Celery:
    """Make the Celery application.

    Parameters
    ----------
    options : how tasks and results travel.
    client : it sends tasks, and replies come to a queue that it consumes itself.

    Returns
    -------
    An application whose only task is :data:`TASK`.
    """
    url, encryption = kombu_arguments(options.broker)
    backend = _backend_url(options, client=client)
    app = BenchCelery("asyncdb_bench", broker=url, backend=backend, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_default_queue=options.queue,
        task_queues=[Queue(options.queue, routing_key=options.queue, expires=_expires_s(options))],
        task_acks_late=options.acks_late,
        task_reject_on_worker_lost=options.acks_late,
        worker_prefetch_multiplier=options.prefetch,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2,
        broker_heartbeat=0,
        broker_use_ssl=encryption or False,
        broker_transport_options=transport_options(options),
        result_backend_transport_options={"global_keyprefix": f"{options.queue}:"},
        result_expires=RESULT_QUEUE_EXPIRES_S if options.results == "amqp" else QUEUE_EXPIRES_S,
        result_exchange=results_exchange(options.queue),
        result_exchange_type="direct",
        result_persistent=False,
        redis_socket_timeout=max(5.0, 2 * options.timeout_s),
        event_queue_ttl=5,
    )
    app.task(
        run_operation,
        name=TASK,
        shared=False,
        bind=True,
        # answered as 503 or 504: no traceback for each in the worker's log
        throws=(UnavailableError,),
        Request="asyncdb_bench.contract.celery.celery_app:StampedRequest",
    )
    return app


def stamp() -> dict[str, int]:
    """Return the headers of a message that is published now: when that is."""
    return {"published_ns": time.monotonic_ns()}


Arguments = tuple[str, dict[str, Any], float, bool, bool]


def task_arguments(name: str, params: dict[str, Any], timeout_s: float) -> Arguments:
    """Return the task's arguments: after `timeout_s` nobody waits for its result any more.

    The others say whether the worker should note the task's phases, and whether the server is to
    end its statements then.

    Celery's own `expires` is not used: a worker whose queue holds only expired tasks drops them
    at about 30/s (their acknowledgement waits for the next event of its loop), so that a backlog
    outlives the outage that made it.
    """
    bounded = bound.get() is not None
    return name, params, time.time() + rest_s(timeout_s), current.get() is not None, bounded


def decoded_reply(body: bytes | memoryview | str) -> dict[str, Any]:
    """Return a message of a worker; dates and the like, which kombu's JSON marks, as such."""
    content = body.encode() if isinstance(body, str) else bytes(body)
    reply: dict[str, Any] = loads(content) if b'"__type__"' in content else decode(content)
    return reply


def unwrapped(result: dict[str, Any], submitted_ns: int) -> Any:
    """Return the answer in a task's result, and note the phases that came with it."""
    phases = current.get()
    if phases is not None and result["phases"]:
        phases.absorb(submitted_ns, result["phases"])
    return result["answer"]


def run_operation(
    task: Task,
    name: str,
    params: dict[str, Any],
    deadline: float,
    timed: bool = False,
    bounded: bool = False,
) -> dict[str, Any]:
    """Run an operation in the worker's own session: the body of the task.

    Parameters
    ----------
    task : as it runs, with its message's stamps.
    name, params : the operation.
    deadline : seconds since the epoch after which the task is abandoned without running.
    timed : whether to note the phases.
    bounded : whether the server ends its statements at the deadline.

    Returns
    -------
    The operation's ``answer``, and its ``phases`` as :func:`report` gives
    them, or None.
    """
    left_s = deadline - time.time()
    if left_s < 0:
        raise UnavailableError("abandoned: nobody waits for it any more")
    if _database is None:
        raise UnavailableError("this worker process has no database connection yet")
    phases = Phases() if timed else None
    token = current.set(phases)
    within = bound.set(Deadline(time.monotonic() + left_s) if bounded else None)
    try:
        answer = _database.run(name, params)
    finally:
        bound.reset(within)
        current.reset(token)
    stamps = (getattr(task.request, name, 0) for name in ("published_ns", "received_ns"))
    return {"answer": answer, "phases": phases and report(phases, *stamps)}


USUAL_KNOBS = Knobs()


class WorkerDatabase:
    """Engine and operations of one worker process, made after the fork."""

    def __init__(
        self,
        url: str,
        operations: Mapping[str, Operation],
        pool: int,
        timeout_s: float,
        knobs: Knobs = USUAL_KNOBS,
    ) -> None:
        self.operations = operations
        self.sessions = open_sessions(url, pool, timeout_s, knobs)

    def run(self, name: str, params: dict[str, Any]) -> Any:
        """Run one operation in one session; a task may name those of the scenario alone."""
        operation = self.operations.get(name)
        if operation is None:
            raise UnavailableError(f"no operation {name!r} in this worker's scenario")
        return portable(self.sessions.run(operation, operation.typed(params)))


_database: WorkerDatabase | None = None


def connect_when_ready(
    make: Callable[[], WorkerDatabase],
    *,
    forks: bool,
    gc_freeze: bool = True,
    connected: Callable[[], object] = lambda: None,
) -> None:
    """Have a worker connect to the database once it runs.

    Parameters
    ----------
    make : connects.
    forks : whether the pool forks: an engine made before would share its sockets with the children.
    gc_freeze : take what start-up made out of garbage collection, as the application does.
    connected : called then in each process that runs tasks, also where that failed.
    """

    def connect(**_: Any) -> None:
        global _database
        try:
            _database = make()
            if gc_freeze:
                gc.collect()
                gc.freeze()
        finally:
            connected()

    when = signals.worker_process_init if forks else signals.worker_init
    when.connect(connect, weak=False)


def task_of(app: Celery) -> Task:
    """Return the application's task."""
    return app.tasks[TASK]
