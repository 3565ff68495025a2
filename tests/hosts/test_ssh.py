"""A host over SSH: a server of our own that runs what it is told, and takes one key."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.extensions.hosts import agent_messages as m
from asyncdb_bench.extensions.hosts.reached import ReachedHost
from asyncdb_bench.records.plan import Host
from tests.waiting import eventually

pytestmark = pytest.mark.services


async def run(process: Any) -> None:
    """Run a session's command with its streams."""
    child = await asyncio.create_subprocess_shell(
        process.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    process.exit(await child.wait())
    await process.wait_closed()


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("host", "client", "stranger"):
            key = asyncssh.generate_private_key("ssh-ed25519")
            key.write_private_key(str(folder / name))
            (folder / name).chmod(0o600)
            key.write_public_key(str(folder / f"{name}.pub"))
        self.port = 0
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[str(self.folder / "host")],
            authorized_client_keys=str(self.folder / "client.pub"),
            process_factory=run,
            encoding=None,
        )
        self.port = server.sockets[0].getsockname()[1]
        public = (self.folder / "host.pub").read_text()
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {public}")
        self._ready.set()
        await self._stop.wait()
        server.close()
        await server.wait_closed()

    def __enter__(self) -> Server:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def host(self, **changes: str) -> Host:
        options = {
            "port": str(self.port),
            "key": str(self.folder / "client"),
            "known_hosts": str(self.folder / "known"),
            "user": "bench",
        }
        return Host(
            "there",
            ("application",),
            "127.0.0.1",
            "ssh",
            python=changes.pop("python", sys.executable),
            options=options | changes,
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("ssh")) as made:
        yield made


@contextlib.contextmanager
def opened(host: Host, logs: Path) -> Iterator[ReachedHost]:
    there = ReachedHost(host, logs)
    try:
        there.open()
        yield there
    finally:
        there.close()


def test_a_host_is_given_our_code_watched_and_left_as_it_was(
    server: Server, tmp_path: Path
) -> None:
    with opened(server.host(), tmp_path) as there:
        folder = Path(there.folder)
        assert (folder / "asyncdb_bench_attach" / "timing.py").is_file()
        assert there.machine.cores
        there.ask(m.Begin({"app": [os.getpid()]}), m.State)
        used = there.ask(m.End(), m.Used)
        assert used.usage["app"].processes >= 1
        assert used.usage["app"].rss_mb > 1
        assert there.ask(m.Tick(), m.Tock).there_ns > 0
    assert eventually(lambda: not folder.exists(), 60)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": "stranger"}, "Permission denied"),
        ({"known_hosts": "stranger.pub"}, "Host key verification failed"),
        ({"port": "1"}, "cannot be reached"),
    ],
)
def test_a_host_that_cannot_be_used_is_said_and_why(
    server: Server, tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    for name in ("key", "known_hosts"):
        if name in changes:
            changes = changes | {name: str(server.folder / changes[name])}
    with pytest.raises(ServiceError, match=said), opened(server.host(**changes), tmp_path):
        pass
