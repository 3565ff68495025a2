"""A TCP proxy before PostgreSQL that permits so many connections and refuses the next."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
import time
from contextlib import suppress
from typing import cast

from asyncdb_bench.contract.urls import changed, is_socket, place_of

POLL_S = 0.05


class FailingProxy(socketserver.ThreadingTCPServer):
    """Runs in threads of its own: a strategy may block its event loop while it opens.

    Parameters
    ----------
    host, port : of PostgreSQL.
    permits : connections that are forwarded; later ones are closed at once.
    """

    def __init__(self, host: str, port: int, permits: int) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.target = (host, port)
        self.permits = permits
        self.open = 0
        self.ends = False
        self._taken = 0
        self._count = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(POLL_S,), daemon=True)

    def url(self, database: str) -> str:
        """Return the URL of a database by way of the proxy."""
        return changed(database, host="127.0.0.1", port=str(self.server_address[1]))

    def taken(self) -> bool:
        """Count a connection and return whether it is permitted."""
        with self._count:
            self._taken += 1
            return self._taken <= self.permits

    def counted(self, change: int) -> None:
        """Count a forwarded connection that began (1) or ended (-1)."""
        with self._count:
            self.open += change

    def left_open(self, seconds: float) -> int:
        """Return how many forwarded connections have not ended after so many seconds at most."""
        deadline = time.monotonic() + seconds
        while self.open and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return self.open

    def __enter__(self) -> FailingProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ends = True
        self.shutdown()
        self.server_close()
        self._thread.join(5)


class _Forward(socketserver.BaseRequestHandler):
    """One connection, both ways, until either side closes it."""

    def handle(self) -> None:
        proxy = cast("FailingProxy", self.server)
        if not proxy.taken():
            return
        with socket.create_connection(proxy.target) as server:
            proxy.counted(1)
            with suppress(ConnectionError):
                self._forward(self.request, server, proxy)
            proxy.counted(-1)

    def _forward(self, client: socket.socket, server: socket.socket, proxy: FailingProxy) -> None:
        other = {client: server, server: client}
        while not proxy.ends:
            for each in select.select(list(other), [], [], POLL_S)[0]:
                data = each.recv(65536)
                if not data:
                    return
                other[each].sendall(data)


def tcp_target(url: str) -> tuple[str, int] | None:
    """Return the host and port where a database listens; None: not on TCP."""
    host, port = place_of(url)
    return None if is_socket(host) else (host, port)
