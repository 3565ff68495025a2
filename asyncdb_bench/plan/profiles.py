"""Profiles of ``bench.toml`` with the overrides of the command line -> settings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from asyncdb_bench.errors import UnknownNameError, UsageError
from asyncdb_bench.plan.cores import share_out, usable_cores
from asyncdb_bench.plan.reach import FIELDS, made
from asyncdb_bench.plan.registry import CHECKOUT, PACKAGE, in_checkout
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.records.plan import PlannedScenario, Settings, Tolerance


def climbs(settings: Settings, asked: PlannedScenario) -> bool:
    """Return whether a scenario's turns are rungs of a ladder.

    A load whose rate changes during a window, and a chat whose members stay in their rooms, have no
    pace: they are asked at loads, one after another. An overload is one of a pace, and needs it.
    """
    by_pace = asked.overload is not None
    return (settings.ladder and not by_pace) or bool(asked.shape) or asked.websocket


def rung_window_s(settings: Settings, asked: PlannedScenario, rate_rps: float) -> float:
    """Return the length of a rung's window, seconds.

    Long enough for the arrivals that are wanted, within bounds; where the scenario has a shape,
    that says how long it is.
    """
    if asked.shape:
        return sum(each.seconds for each in asked.shape)
    wanted = settings.min_arrivals / rate_rps
    return min(max(settings.window_s, wanted), max(settings.window_max_s, settings.window_s))


def read_profiles(path: Path | None = None) -> dict[str, dict[str, Any]]:
    """Read the profiles, each with the defaults filled in.

    Raises
    ------
    UsageError : no such file, or it is not TOML.
    """
    content = configuration(path)
    defaults = content.get("defaults", {})
    return {name: defaults | each for name, each in content.get("profiles", {}).items()}


def read_calibrated_scenario(path: Path | None = None) -> str:
    """Read which scenario the load generator is calibrated with.

    Raises
    ------
    UsageError : no such file, it is not TOML, or it says no such thing.
    """
    try:
        return str(configuration(path)["calibration"]["scenario"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"bench.toml lacks a scenario to calibrate with: {error}") from None


def configuration(path: Path | None = None) -> dict[str, Any]:
    """Return what ``bench.toml`` says: ours, with what the working folder's says besides or else.

    Parameters
    ----------
    path : of a file that is read alone.

    Raises
    ------
    UsageError : no such file, or it is not TOML.
    """
    if path is not None:
        return _content(path)
    carried = PACKAGE / "_builtin" / "bench.toml"
    ours = carried if carried.is_file() else CHECKOUT / "bench.toml"
    own = Path("bench.toml").resolve()
    content = _content(ours)
    if own.is_file() and not in_checkout():
        for table, values in _content(own).items():
            if not isinstance(values, dict):
                raise UsageError(
                    f"{own}: {table!r} is no table; known are defaults, profiles, targets"
                )
            content[table] = content.get(table, {}) | values
    return content


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error


def make_settings(name: str, choices: Choices, profile: Mapping[str, Any]) -> Settings:
    """Return a profile's settings with the command line's overrides."""
    known = {field.name for field in fields(Settings)} - {"profile"}
    usual = {field.name for field in fields(Settings) if field.default is not MISSING}
    values = {name: value for name, value in profile.items() if name in known}
    values |= {
        name: value for name, value in (choices.overrides or {}).items() if value is not None
    }
    missing = known - values.keys() - usual
    if missing:
        raise UsageError(f"profile {name!r} lacks {', '.join(sorted(missing))}")
    values["tolerance"] = make_tolerance(profile.get("tolerance", {}))
    for name_of in ("shares", "beside_rtt_ms"):
        if name_of in values:
            values[name_of] = tuple(values[name_of])
    asked = (choices.overrides or {}).get("rtt_ms")
    if choices.far and asked is None:
        values["rtt_ms"] = 0.0
    if not values.get("rtt_ms"):
        # what is measured as it is needs no company at round trips that were not asked for
        values["beside_rtt_ms"] = ()
    wanted = {name: values[each] for name, each in FIELDS.items() if each in values}
    values |= made(wanted, "this run")
    settings = Settings(profile=name, **values)
    for setting, low, high in (
        ("blocks", 1, 1000),
        ("budget", 1, 350),
        ("window_s", 0.1, 3600),
        ("window_max_s", 0.1, 3600),
        ("warmup_s", 0, 600),
        ("timeout_s", 0.1, 600),
        ("drain_s", 0, 600),
        ("outstanding", 1, 60_000),
        ("time_budget_s", 0, 1e6),
        ("ladder_blocks", 1, 1000),
        ("rounds", 0, 10_000),
        ("turn_s", 0.05, 600),
        ("connections", 1, 4096),
        ("half_width", 0.005, 1),
        ("equal", 0.005, 1),
        ("least_blocks", 1, 1000),
        ("load_processes", 0, 64),
        ("expect_load_workers", 0, 1000),
        ("locust_web", 0, 65535),
    ):
        value = getattr(settings, setting)
        if not low <= value <= high:
            raise UsageError(f"{setting}={value} is outside {low}..{high:g}")
    if not settings.load_processes + settings.expect_load_workers:
        raise UsageError("load_processes=0 leaves no one to offer load; --expect-load-workers N")
    share_out(settings.cpus, usable_cores())
    return settings


def make_tolerance(given: Mapping[str, float]) -> Tolerance:
    """Return the tolerances of a profile.

    Raises
    ------
    UsageError : one that does not exist, or is not a positive number.
    """
    known = {field.name for field in fields(Tolerance)}
    for name, value in given.items():
        if name not in known:
            raise UnknownNameError("tolerance", name, known)
        if not isinstance(value, int | float) or not 0 < value < 1000:
            raise UsageError(f"tolerance {name}={value!r} must be a positive number")
    return Tolerance(**given)
