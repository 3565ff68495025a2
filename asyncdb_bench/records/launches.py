"""How launches strayed on this machine: ``results/launch_spreads.jsonl``, a line for each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from asyncdb_bench.errors import StoreError
from asyncdb_bench.records.json_lines import Appender, read_lines

NAME = "launch_spreads.jsonl"
LATEST = 40
"""Runs that are looked back on: a machine, and what runs on it, changes."""


@dataclass(frozen=True, slots=True)
class LaunchSpread:
    """How launches of one kind strayed by one metric.

    Parameters
    ----------
    variance : of a variant's logarithm from launch to launch, what its rounds explain taken off.
    freedom : degrees of freedom.
    """

    variance: float
    freedom: float


Seen = Mapping[str, LaunchSpread]
"""By metric and kind of variant, see :func:`asyncdb_bench.analysis.launch_prior.key_of`."""


class _Line(msgspec.Struct):
    run_id: str
    machine: str
    spreads: dict[str, LaunchSpread]


def append_launches(root: Path, run_id: str, machine: str, spreads: Seen) -> None:
    """Append what a run has shown.

    Parameters
    ----------
    root : the folder of results.
    run_id, machine : of the run, and the machine's fingerprint.
    spreads : what was seen.
    """
    if spreads:
        Appender().append(root / NAME, _Line(run_id, machine, dict(spreads)))


def read_launches(root: Path, machine: str) -> dict[str, LaunchSpread]:
    """Return what earlier runs on a machine have shown, put together; nothing where it is damaged.

    Parameters
    ----------
    root : the folder of results.
    machine : its fingerprint.
    """
    try:
        lines = [msgspec.json.decode(line, type=_Line) for _, line in read_lines(root / NAME)]
    except (StoreError, msgspec.DecodeError, OSError):
        return {}
    found: dict[str, LaunchSpread] = {}
    for line in [each for each in lines if each.machine == machine][-LATEST:]:
        for key, new in line.spreads.items():
            old = found.get(key, LaunchSpread(0.0, 0.0))
            freedom = old.freedom + new.freedom
            if freedom > 0:
                total = old.variance * old.freedom + new.variance * new.freedom
                found[key] = LaunchSpread(total / freedom, freedom)
    return found
