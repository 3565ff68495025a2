"""What one Locust process can offer: rates climbed against a server that does nothing.

``.venv/bin/python benchmarks/load_capacity.py`` prints, for each rate, what was achieved and how
late requests were sent; then the error against servers with a known delay.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from asyncdb_bench import stats
from asyncdb_bench.observe import Times
from asyncdb_bench.process import Child


def offer(load: Child, file: Path, rate: float, seconds: float) -> tuple[dict[str, object], Times]:
    """Offer one rate; return the reply and the times."""
    order = {"rate_rps": rate, "window_s": seconds, "drain_s": 2, "seed": [1]}
    reply = load.ask({"do": "step", "step": order, "file": str(file)}, seconds + 40)
    return reply, Times(file, reply["started_ns"], seconds, 2)


def measure(rates: list[float], seconds: float, delay_s: float, folder: Path) -> None:
    """Start a server and a load, and print a line for each rate."""
    server = Child(
        "benchmarks.null_server", {"delay_s": delay_s}, folder / "null.log", "null server"
    )
    config = {
        "host": "127.0.0.1",
        "port": server.receive(20)["port"],
        "scenario": "read",
        "scenario_knobs": {},
        "timeout_s": 5,
        "outstanding": 4000,
    }
    load = Child("asyncdb_bench.load", config, folder / "load.log", "load")
    try:
        load.receive(20)
        offer(load, folder / "warm.npz", 200, 1)
        for rate in rates:
            reply, times = offer(load, folder / "step.npz", rate, seconds)
            if reply["errors"]:
                print(reply["errors"])
            lag, latency = stats.percentiles(times.send_lag_us), stats.percentiles(times.latency_us)
            print(
                f"offered {rate:6.0f}/s  achieved {times.achieved_rps:6.0f}/s"
                f"  send lag p50 {lag.p50_ms:.3f} p99 {lag.p99_ms:.3f} ms"
                f"  latency p50 {latency.p50_ms:.3f} p99 {latency.p99_ms:.3f} ms"
                f"  client busy {float(str(reply['cpu_s'])) / seconds:.0%}  {reply['ledger']}",
                flush=True,
            )
    finally:
        load.stop(0)
        server.stop()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rates", default="500,1000,2000,3000,3500,4000,4500")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("against a server that answers at once:")
        rates = [float(rate) for rate in options.rates.split(",")]
        measure(rates, options.seconds, 0, Path(folder))
        for delay_ms in (20, 50):
            print(f"against a server that takes {delay_ms} ms:")
            measure([100, 500], options.seconds, delay_ms / 1000, Path(folder))


if __name__ == "__main__":
    main()
