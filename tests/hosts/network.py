"""Network namespaces as hosts: each with an address of its own on a bridge; as root alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg

from asyncdb_bench.services import broker as brokers
from asyncdb_bench.services import postgres as databases
from asyncdb_bench.services.program import unprivileged
from tests.waiting import eventually

NET = "10.77"


def why_not() -> str:
    """Return why there can be no namespaces here; empty: there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "ip (iproute2) is not installed"
    name = f"adbprobe{secrets.token_hex(2)}"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if done.returncode:
        return f"no network namespaces: {done.stderr.decode().strip()}"
    ip("netns", "delete", name)
    return ""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Network:
    """Some hosts; the harness, in the tests' own namespace, has the first address."""

    def __init__(self, *names: str) -> None:
        self.id = secrets.token_hex(2)
        self.names = names
        self.subnet = f"{NET}.{secrets.randbelow(250) + 1}"
        self.bridge = f"adb{self.id}br"

    @property
    def harness(self) -> str:
        return f"{self.subnet}.1"

    def address(self, name: str) -> str:
        return f"{self.subnet}.{self.names.index(name) + 2}"

    def namespace(self, name: str) -> str:
        return f"adb{self.id}{name}"

    def __enter__(self) -> Network:
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{self.harness}/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for number, name in enumerate(self.names):
            space, here, there = self.namespace(name), f"adb{self.id}v{number}", "eth0"
            ip("netns", "add", space)
            ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", space)
            ip("link", "set", here, "master", self.bridge, "up")
            ip("-n", space, "addr", "add", f"{self.address(name)}/24", "dev", there)
            ip("-n", space, "link", "set", there, "up")
            ip("-n", space, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            for pid in self.pids(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "delete", self.namespace(name))
        ip("link", "delete", self.bridge)

    def command(self, name: str, *, clock_s: int = 0) -> list[str]:
        """Return what runs a program on a host, its monotonic clock set off by so many seconds."""
        found = ["ip", "netns", "exec", self.namespace(name)]
        if clock_s:
            found += ["unshare", "--time", "--monotonic", str(clock_s), "--fork", "--kill-child"]
        return found

    def pids(self, name: str) -> list[int]:
        done = subprocess.run(
            ["ip", "netns", "pids", self.namespace(name)], capture_output=True, check=False
        )
        return [int(each) for each in done.stdout.split()]

    def link(self, name: str, state: str) -> None:
        """Cut a host's link (``"down"``), or mend it (``"up"``)."""
        number = self.names.index(name)
        ip("link", "set", f"adb{self.id}v{number}", state)

    @contextlib.contextmanager
    def postgres(self, name: str, folder: Path) -> Iterator[str]:
        """Run a PostgreSQL of our own on a host; yield its URL."""
        found, identity = databases.find_programs(), unprivileged()
        assert found is not None
        assert identity
        folder.mkdir()
        os.chown(folder, identity["user"], identity["group"])
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        programs = databases._reachable(found[1], folder, identity)
        cluster, password = folder / "cluster", secrets.token_urlsafe(16)
        databases._initdb(programs, cluster, identity, password)
        with (cluster / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.77.0.0/16 scram-sha-256\n")
        settings = {**databases.SETTINGS, "listen_addresses": self.address(name), "port": "5432"}
        user, group = identity["user"], identity["group"]
        drop = ["setpriv", f"--reuid={user}", f"--regid={group}"]
        command = [
            *self.command(name),
            *(*drop, "--clear-groups", str(programs / "postgres"), "-D", str(cluster)),
            *(f"--{key}={value}" for key, value in settings.items()),
        ]
        url = f"postgresql://{databases.USER}:{password}@{self.address(name)}:5432/postgres"
        with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
            try:
                assert eventually(lambda: _answers(url), 120), (folder / "log").read_text()
                yield url
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(60)

    @contextlib.contextmanager
    def valkey(self, name: str) -> Iterator[str]:
        """Run a Valkey of our own on a host; yield its URL."""
        program, password = brokers.find_valkey(), secrets.token_urlsafe(16)
        assert program is not None
        command = [
            *self.command(name),
            *(str(program), "--bind", self.address(name), "--port", "6379", "--save", ""),
            *("--appendonly", "no", "--requirepass", password),
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                yield f"redis://:{password}@{self.address(name)}:6379/0"
            finally:
                process.terminate()
                process.wait(60)

    def table(self, name: str, roles: list[str], *, clock_s: int = 0, **further: object) -> str:
        """Return a host's table of the file of hosts."""
        lines = [
            f"[hosts.{name}]",
            f"roles = {roles}".replace("'", '"'),
            'via = "command"',
            f'address = "{self.address(name)}"',
            f'python = "{sys.executable}"',
            f"command = {self.command(name, clock_s=clock_s)}".replace("'", '"'),
            *(f"{key} = {value}" for key, value in further.items()),
        ]
        return "\n".join(lines) + "\n"


def _answers(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
        return True
    return False
