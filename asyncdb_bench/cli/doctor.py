"""`doctor` and `calibrate`: what was found on this machine, and what the client can do on it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions
from asyncdb_bench.contract.urls import shown
from asyncdb_bench.errors import EXIT_DONE, EXIT_SERVICE, BenchError, masked
from asyncdb_bench.processes.host import describe_machine, fingerprint
from asyncdb_bench.records.run_folder import read_calibration
from asyncdb_bench.services import broker as brokers
from asyncdb_bench.services import postgres as databases
from asyncdb_bench.services.program import is_listening, program_version
from asyncdb_bench.services.reaching import MISSING, find_pooler
from asyncdb_bench.text import counted

REDIS_PORT = 6379


CacheOption = Annotated[
    Path | None, typer.Option(help="folder of the environments for named versions", metavar="DIR")
]


def doctor_verb(cache: CacheOption = None) -> None:
    """Say what was found on this machine, and what is missing."""
    raise SystemExit(print_findings(os.environ, cache))


def clean_verb(cache: CacheOption = None) -> None:
    """Remove the environments that were made for named versions."""
    from asyncdb_bench.plan.environment_cache import EnvironmentCache

    environments = EnvironmentCache(cache)
    gone, used = environments.empty()
    kept = f"; {used} in use by a run" if used else ""
    print(f"removed {counted(gone, 'environment')} from {environments.folder}{kept}")


def calibrate_verb(
    folders: FolderOptions,
    cpus: Annotated[str, typer.Option(help="auto, off, or cores as 0-1/2/3")] = "auto",
    load_processes: Annotated[
        int, typer.Option(help="Locust workers that offer the load", min=1, max=64)
    ] = 1,
) -> None:
    """Measure what the load generator and this machine can do (a minute)."""
    from asyncdb_bench.measure.client_calibration import measure_client
    from asyncdb_bench.records.run_folder import see_writable, write_calibration

    results = folders.places().results
    see_writable(results)
    calibration = measure_client(
        lambda text: print(text, flush=True), cpus, processes=load_processes
    )
    print(f"calibration: {write_calibration(results, calibration)}")


def print_findings(given: Mapping[str, str], cache: Path | None = None) -> int:
    """Print the findings; return 3 where no PostgreSQL can be used, else 0.

    Parameters
    ----------
    given : environment variables.
    cache : folder of the environments for named versions; None: the usual one.
    """
    here = describe_machine()
    _line("Python", platform.python_version(), "")
    _line("machine", f"{here['cpu']}, {here['usable_cores']} usable cores", "")
    if here["usable_cores"] < 2:
        _hint("on one core the load and the application share it: no figure will be sound")
    usable = _postgres(given.get("DATABASE_URL", ""))
    _broker(given.get("BROKER_URL", ""))
    _redis()
    _between()
    _calibration()
    _environments(cache)
    _optional(
        "Chromium",
        ("chromium", "chromium-browser", "google-chrome"),
        "make browser",
        "only to test the report in a browser",
    )
    _optional(
        "wrk",
        ("wrk",),
        "apt-get install wrk",
        "only for benchmarks/ (an independent load generator)",
    )
    return EXIT_DONE if usable else EXIT_SERVICE


def _postgres(url: str) -> bool:
    if url:
        try:
            server = databases.use_url(url, "asyncdb_bench_doctor")
            info = server.info()
        except BenchError as error:
            _line("PostgreSQL", "DATABASE_URL cannot be used", masked(str(error)))
            return False
        _line("PostgreSQL", f"{info.version} at {shown(server.url)}", "used: DATABASE_URL is set")
        return True
    found = databases.find_programs()
    if found is None:
        _line("PostgreSQL", "none", "missing: make setup, or set DATABASE_URL")
        return False
    source, folder = found
    why = "used: embedded, started for each run; set DATABASE_URL for a server of yours"
    _line("PostgreSQL", f"{program_version(folder / 'postgres')} from {source}", why)
    return True


def _broker(url: str) -> None:
    if url:
        try:
            info = brokers.use_url(url).info()
        except BenchError as error:
            _line("broker", "BROKER_URL cannot be used", masked(str(error)))
        else:
            _line("broker", info.version, "used: BROKER_URL is set")
        return
    rabbitmq, valkey = brokers.find_rabbitmq(), brokers.find_valkey()
    if rabbitmq is not None:
        _line("RabbitMQ", str(rabbitmq), "used: installed; a node of its own for each run")
        return
    _line("RabbitMQ", "none", "missing: apt-get install rabbitmq-server (celery_aio needs it)")
    if valkey is not None:
        _line("Valkey", program_version(valkey), "used as the broker: embedded")
    else:
        _line("Valkey", "none", "missing: make setup; without a broker Celery is not run")


def _between() -> None:
    """Say how a round trip is added, and what else can lie before the database."""
    if sys.platform == "linux":
        _line(
            "round trips", "added by the delay proxy: --rtt MS", "the kernel's netem is not used:"
        )
        _hint("on loopback it would hold back the load's connections, too, and outlive a kill")
    else:
        _line("round trips", "cannot be added here", "the delay proxy needs Linux (epoll, timerfd)")
    pooler = find_pooler()
    found = program_version(pooler) if pooler is not None else "none"
    _line("PgBouncer", found, "--via pgbouncer" if pooler else f"missing: {MISSING}")
    encrypting = databases.find_programs(tls=True)
    where = encrypting[0] if encrypting else "none that can encrypt"
    _line("TLS", where, "--tls" if encrypting else "missing: apt-get install postgresql")


def _calibration() -> None:
    found = read_calibration(Path("results"))
    if found is None or found.machine != fingerprint(describe_machine()):
        _line("calibration", "none of this machine", "make calibrate: takes a minute")
    else:
        known = f"the load generator keeps {found.max_rps:,.0f}/s, measured {found.measured_at}"
        _line("calibration", known, "")


def _environments(cache: Path | None) -> None:
    """Say what makes environments for named versions, and what they take."""
    from asyncdb_bench.plan.environment_cache import EnvironmentCache
    from asyncdb_bench.plan.environments import NotMadeError, uv_program

    kept = EnvironmentCache(cache)
    _line("versions", kept.described(), f"for native@NAME==VERSION, in {kept.folder}")
    try:
        uv_program()
    except NotMadeError as error:
        _hint(f"missing: {error}")


def _redis() -> None:
    running = is_listening(REDIS_PORT)
    found = "runs on its standard port" if running else "not running on its standard port"
    _line("Redis", found, "not used; BROKER_URL=redis://127.0.0.1:6379/0 would" if running else "")


def _optional(name: str, programs: tuple[str, ...], command: str, purpose: str) -> None:
    found = next(filter(None, map(shutil.which, programs)), None)
    _line(name, found or "none", purpose if found else f"missing: {command} ({purpose})")


def _line(name: str, found: str, remark: str) -> None:
    print(f"{name:<12} {found}")
    if remark:
        _hint(remark)


def _hint(text: str) -> None:
    print(f"{'':<12} {text}")
