"""A fixed workload that touches none of the code under test: how fast the machine is today."""

from __future__ import annotations

import hashlib
import socket
import statistics
import threading
import time

ROUNDS = 7
BLOCK = b"asyncdb-bench" * 5000
ROUND_TRIPS = 200


def machine_pace() -> dict[str, float]:
    """Return the machine's pace, in about 0.2 s.

    Returns
    -------
    ``cpu_ms``: wall time of a fixed piece of Python and of hashing; ``loopback_us``: of a round
    trip over a loopback socket. Medians of seven rounds. Where a figure of the code changes and
    these change too, it was the machine.
    """
    return {
        "cpu_ms": statistics.median(_compute_ms() for _ in range(ROUNDS)),
        "loopback_us": statistics.median(_round_trips_us()),
    }


def _compute_ms() -> float:
    began = time.perf_counter()
    total = 0
    for number in range(40_000):
        total += number * number % 7
    for _ in range(20):
        hashlib.sha256(BLOCK).digest()
    return (time.perf_counter() - began) * 1000


def _round_trips_us() -> list[float]:
    took = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        echo = threading.Thread(target=_echo, args=(server,), daemon=True)
        echo.start()
        with socket.create_connection(server.getsockname()) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(ROUNDS):
                began = time.perf_counter()
                for _ in range(ROUND_TRIPS):
                    client.sendall(b"x")
                    client.recv(1)
                took.append((time.perf_counter() - began) * 1e6 / ROUND_TRIPS)
        echo.join(timeout=5)
    return took


def _echo(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while received := connection.recv(1):
            connection.sendall(received)
