"""A server that does nothing but answer `read` rightly: what is left is the client's own cost.

Run as a process: configuration as the first line of standard input, ``{"delay_s": 0}``.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import cast

import uvloop

from asyncdb_bench.app.control import Control, raw_input, say
from asyncdb_bench.dataset import balance_of

ACCOUNT = re.compile(rb'"account":\s*(\d+)')


class Answer(asyncio.Protocol):
    """One answer for each request; requests do not come in pieces from our clients."""

    delay_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        found = ACCOUNT.search(data)
        account = int(found.group(1)) if found else 1
        body = b'{"id":%d,"balance":%d}' % (account, balance_of(account))
        answer = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        if self.delay_s:
            asyncio.get_running_loop().call_later(self.delay_s, self.transport.write, answer)
        else:
            self.transport.write(answer)


async def serve(delay_s: float) -> None:
    """Serve until the parent has enough."""
    Answer.delay_s = delay_s
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answer, "127.0.0.1", 0, backlog=4096)
    Control({}, stop.set).start()
    say(event="ready", port=server.sockets[0].getsockname()[1])
    await stop.wait()


if __name__ == "__main__":
    config = json.loads(raw_input().readline())
    uvloop.run(serve(config["delay_s"]))
