"""An environment of our own: without variables that change what processes of ours do.

Somebody's application may be set up by them: libpq's (which asyncpg reads, too), Celery's,
Locust's, asyncio's, Python's. Applications of others (``--target``) get all of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping

FOREIGN = (
    *("PG", "PSYCOPG_", "CELERY", "KOMBU_", "LOCUST_", "GEVENT_", "ERL_", "RABBITMQ_"),
    *("PYTHONASYNCIODEBUG", "PYTHONDEBUG", "PYTHONDEVMODE", "PYTHONINSPECT", "PYTHONIOENCODING"),
    *("PYTHONMALLOC", "PYTHONOPTIMIZE", "PYTHONPROFILEIMPORTTIME", "PYTHONTRACEMALLOC"),
    *("PYTHONVERBOSE", "PYTHONWARNINGS"),
)
"""How their names begin."""
OF_PASSWORDS = {"PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR"}
"""What a URL without a password may be completed from."""


def is_foreign(name: str) -> bool:
    """Return whether a variable changes what processes of ours do."""
    return name.startswith(FOREIGN)


def without_foreign(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for processes of ours."""
    return {name: value for name, value in environment.items() if not is_foreign(name)}


@contextlib.contextmanager
def own_environment(keep: Collection[str] = ()) -> Iterator[tuple[str, ...]]:
    """Take foreign variables out of this process's environment, and put them back at the end.

    Parameters
    ----------
    keep : names that stay.

    Yields
    ------
    The names that were taken out.
    """
    found = {n: v for n, v in os.environ.items() if is_foreign(n) and n not in keep}
    for name in found:
        del os.environ[name]
    try:
        yield tuple(sorted(found))
    finally:
        os.environ.update(found)
