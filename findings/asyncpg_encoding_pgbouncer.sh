#!/bin/sh
# asyncpg 0.32.0, PgBouncer 1.18 (transaction mode): each transaction costs a SET and a transaction more on the server.
#
# Guess beforehand: a client that speaks UTF8 to a UTF8 server has nothing to be set; PgBouncer passes its transactions on.
# Seen: asyncpg's startup message has client_encoding 'utf-8', with the quotes. PgBouncer compares that with the server's
# UTF8, takes it for another, and sends SET client_encoding='''utf-8''' before every transaction: 20 for 20 transactions. The
# client sees none of them; the server counts each as a transaction. With server_settings={"client_encoding": "UTF8"}: 0.
#
# Needs pgbouncer on the PATH and a PostgreSQL that trusts postgres on 127.0.0.1 (or PGPORT of one). Fails if what is
# seen changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check asyncpg==0.32.0
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import os
import pathlib
import socket
import subprocess
import sys
import time

import asyncpg

FOLDER, SERVER = pathlib.Path(sys.argv[1]), int(os.environ.pop("PGPORT", "5432"))
INI = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = transaction
unix_socket_dir =
ignore_startup_parameters = extra_float_digits
"""


def free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def counted(pooler, seen, **how):
    connection = await asyncpg.connect(
        host="127.0.0.1", port=pooler, user="postgres", database="postgres", statement_cache_size=0, ssl=False, **how
    )
    seen.clear()
    for _ in range(20):
        async with connection.transaction():
            await connection.fetchval("SELECT 1")
    await connection.close()
    return b"".join(seen).lower().count(b"set client_encoding")


async def main():
    seen = []

    async def pipe(reader, writer, note):
        while data := await reader.read(65536):
            note(data)
            writer.write(data)
        writer.close()

    async def through(reader, writer):
        up, down = await asyncio.open_connection("127.0.0.1", SERVER)
        await asyncio.gather(pipe(reader, down, seen.append), pipe(up, writer, lambda _: None))

    between, pooler = free(), free()
    await asyncio.start_server(through, "127.0.0.1", between)
    ini = FOLDER / "pgbouncer.ini"
    ini.write_text(INI.format(server=between, port=pooler))
    FOLDER.chmod(0o755)
    account = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    process = subprocess.Popen(["pgbouncer", "-q", str(ini)], **account)
    time.sleep(1)
    try:
        usual = await counted(pooler, seen)
        told = await counted(pooler, seen, server_settings={"client_encoding": "UTF8"})
    finally:
        process.terminate()
        process.wait()
    print(f"SET client_encoding for 20 transactions: {usual} as asyncpg comes, {told} with UTF8 said", flush=True)
    os._exit(0 if usual == 20 and told == 0 else 1)


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/seen.py" "$folder"
