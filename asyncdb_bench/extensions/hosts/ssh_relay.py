"""A program on another machine over SSH: ``python -m …ssh_relay HOST [key=value …] -- PROGRAM …``.

Its standard streams are this process's, and so is its exit code. Keys, the agent and the known
hosts are those of OpenSSH (asyncssh); no password is ever asked for. When standard input ends, or
this process is told to end, the program's standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import asyncssh

CONNECT_S = 10.0
ALIVE_S, ALIVE_TIMES = 2, 3
"""A machine that is silent for so long, so many times, is gone."""
END_S = 3.0
BLOCK = 65536
FAILED = 255
"""The exit code of ssh(1) where the connection itself failed."""


async def relay(host: str, options: dict[str, str], program: list[str]) -> int:
    """Run a program there; return its exit code.

    Raises
    ------
    OSError, asyncssh.Error : there is no connection, or it broke.
    """
    known: dict[str, Any] = {}
    if "known_hosts" in options:
        known["known_hosts"] = str(Path(options["known_hosts"]).expanduser())
    if "key" in options:
        known["client_keys"] = [str(Path(options["key"]).expanduser())]
    if "user" in options:
        known["username"] = options["user"]
    async with asyncssh.connect(
        host,
        int(options.get("port", 22)),
        preferred_auth=("publickey",),
        connect_timeout=CONNECT_S,
        keepalive_interval=ALIVE_S,
        keepalive_count_max=ALIVE_TIMES,
        **known,
    ) as connection:
        process = await connection.create_process(shlex.join(program), encoding=None)
        ending = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ending.set)
        pumps = [
            asyncio.ensure_future(_send(process, ending)),
            asyncio.ensure_future(_copy(process.stdout, 1)),
            asyncio.ensure_future(_copy(process.stderr, 2)),
        ]
        ended = asyncio.ensure_future(process.wait())
        told = asyncio.ensure_future(ending.wait())
        await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            with contextlib.suppress(OSError):
                process.stdin.write_eof()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(ended), END_S)
        told.cancel()
        if not ended.done():
            process.kill()
            return FAILED
        await asyncio.gather(*pumps[1:])
        pumps[0].cancel()
        done = ended.result()
        return FAILED if done.exit_status is None else done.exit_status


async def _send(process: Any, ending: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with contextlib.suppress(OSError):
        while data := await reader.read(BLOCK):
            process.stdin.write(data)
            await process.stdin.drain()
    ending.set()


async def _copy(source: Any, descriptor: int) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(BLOCK):
            while data:
                data = data[os.write(descriptor, data) :]


def main(arguments: list[str]) -> int:
    """Run what the command line says."""
    head, program = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    options = dict(each.split("=", 1) for each in head[1:])
    try:
        return asyncio.run(relay(head[0], options, program))
    except asyncssh.HostKeyNotVerifiable as error:
        why = f"its key is not among the known hosts ({error}); `ssh {head[0]}` once adds it"
    except asyncssh.PermissionDenied:
        why = "it takes none of the keys; add the public one to its authorized_keys"
    except (OSError, asyncssh.Error, TimeoutError) as error:
        why = str(error) or type(error).__name__
    sys.stderr.write(f"cannot reach {head[0]} over SSH: {why}\n")
    return FAILED


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
