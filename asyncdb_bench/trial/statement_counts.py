"""Whether a database counts its statements: not every server and every role lets it."""

from __future__ import annotations

from asyncdb_bench.errors import first_line

UNCOUNTED = (
    "; it takes shared_preload_libraries = 'pg_stat_statements' on the server, and CREATE EXTENSION"
    " pg_stat_statements by a superuser in template1; or leave DATABASE_URL out"
)


def uncounted(url: str) -> str:
    """Return why the statements of a database cannot be counted; empty: they can.

    Parameters
    ----------
    url : of the database.
    """
    import psycopg

    try:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT calls FROM pg_stat_statements LIMIT 1")
    except psycopg.Error as error:
        return f"statements are not counted here ({first_line(error)}){UNCOUNTED}"
    return ""
