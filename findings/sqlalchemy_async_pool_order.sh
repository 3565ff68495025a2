#!/bin/sh
# SQLAlchemy 2.1.9, AsyncAdaptedQueuePool: who waits for a connection is overtaken by who comes later.
#
# Guess beforehand: its queue is asyncio's, whose getters are woken in their order, so a coroutine that
# waits for a connection is served before one that asks after it.
# Seen: a connection that is given back wakes the first that waits, but lies in the queue until the loop comes
# to it; whoever asks meanwhile takes it at once, and the one that was woken waits again, at the end.
# With a pool of one connection, somebody who asks again as soon as he has given it back gets it 197 times while
# another waits. On a busy server this is the tail of the latency (docs/native-tail.md; `native:fair=true`).
#
# Runs without a database: the pool holds objects that do nothing. Prints what it saw; fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "sqlalchemy[asyncio]==2.1.9"
cat >"$folder/seen.py" <<'PYTHON'
import asyncio

from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import greenlet_spawn


class Connection:
    def rollback(self): ...
    def commit(self): ...
    def close(self): ...


async def main():
    pool = AsyncAdaptedQueuePool(lambda: Connection(), pool_size=1, max_overflow=0, timeout=20)
    checkouts = 0
    overtaken = None

    async def again(times):
        """Ask, work, give back, ask again."""
        nonlocal checkouts
        for _ in range(times):
            connection = await greenlet_spawn(pool.connect)
            checkouts += 1
            await asyncio.sleep(0)
            connection.close()

    async def once():
        """Ask once, after all others hold or wait."""
        nonlocal overtaken
        asked = checkouts
        connection = await greenlet_spawn(pool.connect)
        overtaken = checkouts - asked
        connection.close()

    busy = asyncio.create_task(again(200))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.gather(busy, once())
    print(f"checkouts by the one that asked again and again while the other waited: {overtaken} of 200")
    return overtaken


raise SystemExit(0 if asyncio.run(main()) > 100 else 1)
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
