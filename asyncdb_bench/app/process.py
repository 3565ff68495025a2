"""What the processes that the harness starts have in common: how they fail, and end with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from asyncdb_bench.errors import BenchError, ServiceError
from asyncdb_bench.records.messages import Failed, say


def end_with_parent() -> None:
    """Wait until standard input ends, and end the process group."""
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


def run_process(work: Callable[[], int], failing: str) -> int:
    """Do what a process is there for; where that fails, say why to who started it.

    Parameters
    ----------
    work : returns the exit code.
    failing : what the log says before a traceback.

    Returns
    -------
    The exit code.
    """
    import logging

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    try:
        return work()
    except BenchError as error:
        say(Failed(str(error)))
        return error.exit_code
    except Exception as error:
        logging.exception(failing)
        say(Failed(f"{type(error).__name__}: {error}"))
        return ServiceError.exit_code
