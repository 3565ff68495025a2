"""The delay proxy: bytes whole and in order, never early, and no nearer than it can be."""

from __future__ import annotations

import hashlib
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.services.distances import Distances, Hop
from asyncdb_bench.services.program import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.services
BIG = 24 * 2**20


@contextmanager
def echoing() -> Iterator[int]:
    """Serve what is sent back, until the other side ends, on a port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


@contextmanager
def distances(*hops: Hop) -> Iterator[Distances]:
    with tempfile.TemporaryDirectory() as logs:
        made = Distances(hops, Path(tempfile.mkdtemp(prefix="delay-")), Path(logs))
        try:
            yield made
        finally:
            made.stop()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10)


@contextmanager
def passing(rtt_ms: float) -> Iterator[socket.socket]:
    """Connect to who echoes, by way of the proxy."""
    with echoing() as port:
        hop = Hop("127.0.0.1", port, rtt_ms)
        with distances(hop) as found, connected(found.port(hop)) as connection:
            yield connection


def read_all(connection: socket.socket) -> bytes:
    found = b""
    while data := connection.recv(1 << 16):
        found += data
    return found


def test_what_passes_is_whole_and_in_order_however_slowly_it_is_read() -> None:
    sent = hashlib.shake_128(b"seed").digest(BIG)
    with passing(2.0) as connection:

        def write() -> None:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=write)
        writer.start()
        # more than the kernel holds for a reader that does not read
        time.sleep(0.5)
        came = read_all(connection)
        writer.join()
    assert hashlib.sha256(came).digest() == hashlib.sha256(sent).digest()


def test_no_answer_comes_earlier_than_both_directions_take() -> None:
    with echoing() as port:
        near, far = Hop("127.0.0.1", port, 4.0), Hop("127.0.0.1", port, 20.0)
        with distances(near, far) as found:
            for hop in (near, far):
                with connected(found.port(hop)) as connection:
                    for _ in range(5):
                        asked = time.monotonic()
                        connection.sendall(b"x")
                        assert connection.recv(1) == b"x"
                        assert time.monotonic() - asked >= hop.rtt_ms / 1000


def test_messages_under_way_are_not_held_up_by_one_another() -> None:
    with passing(100.0) as connection:
        asked = time.monotonic()
        for place in range(50):
            connection.sendall(bytes([place]))
            time.sleep(0.001)
        came = b"".join(iter(lambda: connection.recv(1), b"\x31"))
        took = time.monotonic() - asked
    assert came == bytes(range(49))
    assert took < 50 * 0.1, "one after another they would take five seconds"


def test_who_refuses_is_seen_to_refuse() -> None:
    hop = Hop("127.0.0.1", free_port(), 1.0)
    came = b""
    with (
        distances(hop) as found,
        connected(found.port(hop)) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(b"hello")
        came = connection.recv(10)
    assert came == b""


def test_a_delay_is_read_again_at_a_new_connection() -> None:
    with echoing() as port:
        hop = Hop("127.0.0.1", port, 50.0)
        with distances(hop) as found:
            asked: list[float] = []

            def ask() -> list[float]:
                with connected(found.port(hop)) as connection:
                    began = time.monotonic()
                    connection.sendall(b"x")
                    connection.recv(1)
                    asked.append((time.monotonic() - began) * 1000)
                return [asked[-1]]

            came = found.adjust(50.0, ask, 10.0)
            # the first look was without the 10 ms that the way was said to take already
            assert asked[0] < came
            assert abs(came - 50.0) <= 2.5


def test_what_cannot_be_had_is_refused() -> None:
    with echoing() as port:
        hop = Hop("127.0.0.1", port, 1.0)
        with distances(hop) as found:
            with pytest.raises(ServiceError, match=r"3\.00 ms away already, so it cannot be 1 ms"):
                found.adjust(1.0, lambda: [1.0], 3.0)
            with pytest.raises(ServiceError, match=r"gives 7\.00 ms where 1 ms were asked for"):
                found.adjust(1.0, lambda: [7.0], 0.1)


def test_nothing_of_it_stays() -> None:
    with echoing() as port, distances(Hop("127.0.0.1", port, 1.0)) as found:
        folder, guard = found.settings.parent, found.program.popen
        assert folder.is_dir()
        assert found.part().exit_code() is None
    assert guard.poll() is not None
    assert eventually(lambda: not folder.exists(), 5)
