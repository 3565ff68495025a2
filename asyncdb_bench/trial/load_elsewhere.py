"""A load worker as it is started by hand on another machine."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time

import msgspec

from asyncdb_bench.errors import EXIT_DONE, EXIT_SERVICE
from asyncdb_bench.plan.other_checkout import environment
from asyncdb_bench.records.messages import Failed, LoadWorkerConfig, Ready, encoded

END_S = 5.0
AGAIN_S = 1.0


def serve_master(host: str, port: int, token: str, *, wait_s: float, stay: bool) -> int:
    """Offer load for a master until it ends.

    Parameters
    ----------
    host, port : of the master.
    token : of the run.
    wait_s : how long it is looked for.
    stay : look for another when it has ended.

    Returns
    -------
    The exit code: 0, or 3 where no master was there or it refused.
    """
    config = LoadWorkerConfig(host=host, port=port, token=token, wait_s=wait_s)
    while True:
        code = _once(config)
        if not stay or code == EXIT_SERVICE:
            return code
        time.sleep(AGAIN_S)


def _once(config: LoadWorkerConfig) -> int:
    with subprocess.Popen(
        [sys.executable, "-m", "asyncdb_bench.load.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(encoded(config))
            process.stdin.flush()
            for line in process.stdout:
                with contextlib.suppress(msgspec.DecodeError):
                    said = msgspec.json.decode(line, type=Failed | Ready)
                    if isinstance(said, Failed):
                        sys.stderr.write(f"error: {said.message}\n")
                    else:
                        sys.stdout.write(f"offering load for {config.host}:{config.port}\n")
                        sys.stdout.flush()
            code = process.wait()
        except BaseException:
            # it may hold its answers until they have gone out; it need not
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
            process.kill()
            raise
    return EXIT_SERVICE if code else EXIT_DONE
