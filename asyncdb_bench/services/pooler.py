"""PgBouncer in transaction mode, before the database, started by us."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from asyncdb_bench.contract.database_url import place_of
from asyncdb_bench.contract.engine import Target, connection_target
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.services.broker import write_private
from asyncdb_bench.services.program import Part, Program, free_port, is_listening, unprivileged

MISSING = "PgBouncer is not installed; apt-get install pgbouncer"
SETTINGS = """
[databases]
* = host={host} port={port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 2000
{encrypted}
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
stats_period = 3600
{tls}
"""
TLS = """client_tls_sslmode = allow
client_tls_cert_file = {certificate}
client_tls_key_file = {key}
"""


def find_pooler() -> Path | None:
    """Return the `pgbouncer` program."""
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


class Pooler:
    """A running PgBouncer.

    Parameters
    ----------
    url : of the server behind it, whose account it uses.
    size : connections that it holds for each database.
    folder : for its settings; removed when it ends.
    logs : folder for its log.
    tls : certificate and key; None: no client encrypts.

    Attributes
    ----------
    password : by which that account connects to it.

    Raises
    ------
    ServiceError : it is not installed, or does not start.
    """

    def __init__(
        self, url: str, size: int, folder: Path, logs: Path, tls: tuple[Path, Path] | None = None
    ) -> None:
        program = find_pooler()
        if program is None:
            raise ServiceError(MISSING)
        server = connection_target(url)
        host, port = place_of(url)
        self.port, self.path, self.size = free_port(), program, size
        users, settings = folder / "users.txt", folder / "pgbouncer.ini"
        name = server.place.get("user", "")
        # a server that asks for none leaves the pooler's own clients without one
        self.password = password = server.place.get("password", "") or secrets.token_urlsafe(24)
        write_private(users, f"{_quoted(name)} {_quoted(password)}\n")
        write_private(
            settings,
            SETTINGS.format(
                host=host,
                port=port,
                encrypted=_encryption(server),
                listen=self.port,
                users=users,
                size=size,
                tls=TLS.format(certificate=tls[0], key=tls[1]) if tls else "",
            ),
        )
        identity = {}
        account = unprivileged()
        if account is not None:
            # it refuses to run as root
            for path in (folder, users, settings):
                os.chown(path, account.pw_uid, account.pw_gid)
            identity = {"user": account.pw_uid, "group": account.pw_gid}
        self.program = Program(
            "PgBouncer",
            [str(program), str(settings)],
            log=logs / "pgbouncer.log",
            remove=[folder],
            **identity,
        )
        self.program.wait_ready(lambda: is_listening(self.port), 10)

    def part(self) -> Part:
        """Return it as a part whose life is watched."""
        return self.program.part()

    def stop(self) -> None:
        """End it."""
        self.program.stop()


def _encryption(server: Target) -> str:
    """Return how it reaches the server, as libpq would."""
    named = {"sslrootcert": "ca_file", "sslcert": "cert_file", "sslkey": "key_file"}
    lines = [f"server_tls_sslmode = {server.ssl_mode}"]
    lines += [
        f"server_tls_{name} = {server.rest[each]}"
        for each, name in named.items()
        if each in server.rest
    ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
