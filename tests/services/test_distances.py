"""The delay proxy: bytes whole and in order, never early, its delay set while it runs."""

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
PATIENCE_S = 60.0


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
    return socket.create_connection(("127.0.0.1", port), PATIENCE_S)


@contextmanager
def passing(delay_ms: float) -> Iterator[socket.socket]:
    """Connect to who echoes, by way of the proxy."""
    with echoing() as port:
        hop = Hop("127.0.0.1", port)
        with distances(hop) as found, connected(found.ports[hop]) as connection:
            found.set_delays({hop: delay_ms})
            yield connection


def asked_ms(connection: socket.socket) -> float:
    """Return how long a byte takes there and back, milliseconds."""
    asked = time.monotonic_ns()
    connection.sendall(b"x")
    assert connection.recv(1) == b"x"
    return (time.monotonic_ns() - asked) / 1e6


def read_all(connection: socket.socket) -> bytes:
    found = b""
    while data := connection.recv(1 << 16):
        found += data
    return found


def test_what_passes_is_whole_and_in_order_however_slowly_it_is_read() -> None:
    sent = hashlib.shake_128(b"seed").digest(BIG)
    with passing(1.0) as connection:

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


def test_a_delay_holds_for_connections_that_are_open_and_for_its_own_hop() -> None:
    with echoing() as one, echoing() as other:
        hop, beside = Hop("127.0.0.1", one), Hop("127.0.0.1", other)
        with (
            distances(hop, beside) as found,
            connected(found.ports[hop]) as first,
            connected(found.ports[beside]) as second,
        ):
            found.set_delays({hop: 10.0, beside: 300.0})
            for _ in range(3):
                assert asked_ms(first) >= 20
            assert asked_ms(second) >= 600
            found.set_delays({beside: 0.0})
            assert eventually(lambda: asked_ms(second) < 600, PATIENCE_S)
            assert asked_ms(first) >= 20, "what is not named keeps its delay"


def test_what_is_sent_after_a_delay_was_made_shorter_does_not_overtake() -> None:
    with echoing() as port:
        hop = Hop("127.0.0.1", port)
        with distances(hop) as found, connected(found.ports[hop]) as connection:
            found.set_delays({hop: 200.0})
            connection.sendall(b"a")
            # until it is under way
            time.sleep(0.05)
            found.set_delays({hop: 0.0})
            connection.sendall(b"b")
            assert connection.recv(1) + connection.recv(1) == b"ab"


def test_messages_under_way_are_not_held_up_by_one_another() -> None:
    with passing(50.0) as connection:
        asked = time.monotonic()
        for place in range(50):
            connection.sendall(bytes([place]))
            time.sleep(0.001)
        came = b"".join(iter(lambda: connection.recv(1), b"\x31"))
        took = time.monotonic() - asked
    assert came == bytes(range(49))
    assert took < 50 * 0.1, "one after another they would take five seconds"


def test_who_refuses_is_seen_to_refuse() -> None:
    hop = Hop("127.0.0.1", free_port())
    came = b""
    with (
        distances(hop) as found,
        connected(found.ports[hop]) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(b"hello")
        came = connection.recv(10)
    assert came == b""


def test_nothing_of_it_stays() -> None:
    hop = Hop("127.0.0.1", free_port())
    with distances(hop) as found:
        folder, guard = found.folder, found.program.popen
        assert folder.is_dir()
        assert found.program.part().exit_code() is None
        found.program.stop()
        with pytest.raises(ServiceError, match="the delay proxy does not take a new delay"):
            found.set_delays({hop: 1.0})
    assert guard.poll() is not None
    assert eventually(lambda: not folder.exists(), PATIENCE_S)
