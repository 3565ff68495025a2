#!/bin/sh
# asyncpg 0.32.0, psycopg 3.3.9, PostgreSQL: a query whose task is cancelled at once may run to its end.
#
# Guess beforehand: who cancels the task that awaits a query ends the query in the server; both drivers send a
# cancel request, and that is documented.
# Seen: the request comes by a connection of its own and does something only while the query runs. Where it
# overtakes the query, which on a busy server happens to some of a thousand, the server ignores it, and neither
# driver sends another: with asyncpg the connection stays busy, and whoever releases it waits, until the query's own
# end; psycopg gives up after 5 s, closes the connection, and the query runs on in the server.
# `abandon=query` sends the request again until the statement has ended (asyncdb_bench/contract/abandoning.py).
#
# The server's process is stopped here while query and cancel request are on their way, so that it happens each time.
# Needs a PostgreSQL in DATABASE_URL on this machine, and the right to stop its processes (as root or its user).
# Prints what it saw; fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "asyncpg==0.32.0" "psycopg[binary]==3.3.9"
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import logging
import os
import signal
import time

import asyncpg
import psycopg

URL = os.environ["DATABASE_URL"]
QUERY_S = 8


async def overtaken(pid, query):
    """Cancel a query's task while the server's process is stopped; return how long the query ran."""
    with psycopg.connect(URL, autocommit=True) as watch:
        os.kill(pid, signal.SIGSTOP)
        task = asyncio.create_task(query)
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.sleep(0.3)
        os.kill(pid, signal.SIGCONT)
        began = time.monotonic()
        await asyncio.gather(task, return_exceptions=True)
        awaited = time.monotonic() - began
        while watch.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active'", [pid]).fetchone():
            await asyncio.sleep(0.1)
        return awaited, time.monotonic() - began


async def main():
    one = await asyncpg.connect(URL)
    # prepared already, as in an application: else the request meets the preparation
    await one.fetch("SELECT pg_sleep($1)", 0)
    _, ran_one = await overtaken(one.get_server_pid(), one.fetch("SELECT pg_sleep($1)", QUERY_S))
    other = await psycopg.AsyncConnection.connect(URL, autocommit=True)
    awaited, ran_other = await overtaken(other.info.backend_pid, other.execute(f"SELECT pg_sleep({QUERY_S})"))
    print(f"asyncpg: cancelled at once, the query ran for {ran_one:.0f} of {QUERY_S} s")
    print(f"psycopg: likewise {ran_other:.0f} s; the task ended after {awaited:.0f} s, connection closed: {other.closed}")
    return 0 if min(ran_one, ran_other) > QUERY_S - 1 and other.closed else 1


logging.disable()
raise SystemExit(asyncio.run(main()))
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
