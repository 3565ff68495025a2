"""Who listens on a port of this machine."""

from __future__ import annotations

import contextlib
import os
import socket

import psutil


def is_here(host: str) -> bool:
    """Return whether a host is this machine, by one of its addresses."""
    own = {each.address for found in psutil.net_if_addrs().values() for each in found}
    with contextlib.suppress(OSError):
        return {each[4][0] for each in socket.getaddrinfo(host, None)} <= own | {"127.0.0.1", "::1"}
    return False


def listeners(port: int) -> tuple[int, ...]:
    """Return the processes that listen on a port, without the children of others of them.

    Those of another account are seen by root alone; processes that share the port all count.
    """
    try:
        found = {
            each.pid
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and tuple(each.laddr)[1:] == (port,) and each.pid
        }
    except psutil.Error:
        return ()
    found.discard(os.getpid())
    parents = {}
    for pid in found:
        with contextlib.suppress(psutil.Error):
            parents[pid] = psutil.Process(pid).ppid()
    return tuple(sorted(pid for pid in found if parents.get(pid) not in found))
