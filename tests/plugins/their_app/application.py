"""An application as people have it: Tornado, SQLAlchemy in an executor, handlers of its own.

``application.py PORT [slow] [idle] [attach] [trace FOLDER] [values DUMP]``; its database is at
``DATABASE_URL``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import create_engine, text
from tornado.concurrent import run_on_executor
from tornado.web import Application, RequestHandler

URL = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
ENGINE = create_engine(URL, pool_size=4)
SLOW = "slow" in sys.argv


def prepare() -> None:
    """Make its tables where they are not there yet."""
    with ENGINE.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(7)"))
        connection.execute(
            text("CREATE TABLE IF NOT EXISTS note (id serial PRIMARY KEY, body text NOT NULL)")
        )
        if not connection.execute(text("SELECT count(*) FROM note")).scalar_one():
            connection.execute(
                text("INSERT INTO note (body) SELECT 'note ' || g FROM generate_series(1, 200) g")
            )


class Notes(RequestHandler):
    """Lists and writes notes."""

    executor = ThreadPoolExecutor(4)

    @run_on_executor
    def listed(self) -> list[dict[str, Any]]:
        """Read ten."""
        if SLOW:
            time.sleep(0.01)
        with ENGINE.begin() as connection:
            rows = connection.execute(text("SELECT id, body FROM note ORDER BY id LIMIT 10"))
            return [{"id": row.id, "body": row.body} for row in rows]

    @run_on_executor
    def written(self, body: str) -> int:
        """Write one, after a look."""
        with ENGINE.begin() as connection:
            connection.execute(text("SELECT count(*) FROM note WHERE id < 5 AND body <> 'secret'"))
            write = text("INSERT INTO note (body) VALUES (:body) RETURNING id")
            return int(connection.execute(write, {"body": body}).scalar_one())

    async def get(self) -> None:
        """Answer the list."""
        self.write({"notes": await self.listed()})

    async def post(self) -> None:
        """Take a form."""
        self.set_status(201)
        self.write(f"<p>{await self.written(self.get_body_argument('body'))}")


class Note(RequestHandler):
    """One note, on the loop itself."""

    def get(self, key: str) -> None:
        """Answer it, or 404."""
        with ENGINE.connect() as connection:
            row = connection.execute(
                text("SELECT id, body FROM note WHERE id = :id"), {"id": int(key)}
            ).one_or_none()
        if row is None:
            self.send_error(404)
            return
        self.write({"id": row.id, "body": row.body})


class Away(RequestHandler):
    """Redirects."""

    def get(self) -> None:
        """Send it on."""
        self.redirect("/notes")


class Health(RequestHandler):
    """Answers at once."""

    def get(self) -> None:
        """Say ok."""
        self.write("ok")


async def main() -> None:
    """Serve."""
    prepare()
    application = Application(
        [
            (r"/notes", Notes),
            (r"/notes/(\d+)", Note),
            (r"/away", Away),
            (r"/health", Health),
        ]
    )
    if "attach" in sys.argv:
        import asyncdb_bench

        asyncdb_bench.attach(application, ENGINE)
    if "trace" in sys.argv:
        import asyncdb_bench

        folder = sys.argv[sys.argv.index("trace") + 1]
        dump = sys.argv[sys.argv.index("values") + 1] if "values" in sys.argv else ""
        asyncdb_bench.trace(ENGINE, folder, seconds=600, values=bool(dump), dump=dump)
    # gunicorn closes idle connections after 2 s, uvicorn and Node after 5 s
    patience_s = 0.2 if "idle" in sys.argv else 3600
    application.listen(int(sys.argv[1]), "127.0.0.1", idle_connection_timeout=patience_s)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
