"""What an application of one's own calls to be looked into by asyncdb-bench: Tornado is enough.

In comes a Tornado or ASGI application, perhaps its SQLAlchemy engine; out go the loop's lag, the
phases of each request, and, where it is asked for, what its requests do in the database. Nothing is
imported, patched or started before :func:`attach` or :func:`trace` is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncdb_bench_attach.tracing import Tracing

__all__ = ["attach", "trace"]
__version__ = "0.9.0"
"""Of asyncdb-bench, too, whose changelog's newest entry has it."""


def attach(application: Any, *engines: Any) -> Any:
    """Let the harness read an application's loop lag, and where each request's time goes.

    It adds ``Server-Timing`` to answers, to some 125 a second where there are more, and answers
    ``GET /.well-known/asyncdb-bench`` to clients of this machine: with the lateness of a heartbeat
    that begins when it is first asked.
    Where a proxy of this machine stands before the application, let it not pass that path on.

    Parameters
    ----------
    application : a :class:`tornado.web.Application`, to which it is added; or an ASGI application.
    engines : SQLAlchemy engines, async ones, too: pool and database become phases. Work in threads
        that do not inherit the request's context (``run_on_executor``) is not told apart.

    Returns
    -------
    The application; of an ASGI application one that wraps it, to be served instead.
    """
    from asyncdb_bench_attach.application import attach_asgi, attach_tornado
    from asyncdb_bench_attach.timing import watch

    for engine in engines:
        watch(engine)
    add = attach_tornado if hasattr(application, "add_handlers") else attach_asgi
    return add(application)


def trace(
    engine: Any,
    folder: str = "traced",
    *,
    seconds: float = 300.0,
    values: bool = False,
    dump: str = "",
) -> Tracing:
    """Note for some time what an application's requests do in the database, and write a scenario.

    Noted are, for each kind of work (the statements from the checkout of a connection until it is
    given back): how often, the statements' text without literals, how long each took, how many
    rows; and of which request, where :func:`attach` is used and the context reaches there. Values
    are not noted unless `values` says so.

    Parameters
    ----------
    engine : SQLAlchemy's, blocking or async.
    folder : ``trace.json`` and ``traced.py`` are written there when the time is over, by
        :meth:`Tracing.stop`, or when the process ends. With `values` also ``values.jsonl``.
    seconds : after which nothing is noted any more.
    values : keep the values of some requests, so that the scenario sends the statements themselves.
        Whoever reads the folder reads them.
    dump : a file of ``pg_dump`` beside ``traced.py`` that the scenario seeds its database with;
        needed with `values`.

    Returns
    -------
    The tracing under way.

    Raises
    ------
    ValueError : `values` without a `dump`.
    """
    import atexit

    from asyncdb_bench_attach.tracing import Tracing

    if values and not dump:
        raise ValueError("values=True needs dump=: the statements run on the tables in it")
    tracing = Tracing(folder, seconds, values=values, dump=dump)
    tracing.listen(getattr(engine, "sync_engine", engine))
    atexit.register(tracing.stop)
    return tracing
