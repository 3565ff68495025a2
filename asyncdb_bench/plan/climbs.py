"""Which scenarios climb a ladder of offered loads instead of being asked at full speed. Pure."""

from __future__ import annotations

from asyncdb_bench.records.plan import PlannedScenario, Settings


def climbs(settings: Settings, asked: PlannedScenario) -> bool:
    """Return whether a scenario's turns are rungs of a ladder.

    A load whose rate changes during a window, and a chat whose members stay in their rooms, have no
    pace: they are asked at loads, one after another.
    """
    return settings.ladder or bool(asked.shape) or asked.websocket


def rung_window_s(settings: Settings, asked: PlannedScenario, rate_rps: float) -> float:
    """Return the length of a rung's window, seconds.

    Long enough for the arrivals that are wanted, within bounds; where the scenario has a shape,
    that says how long it is.
    """
    if asked.shape:
        return sum(each.seconds for each in asked.shape)
    wanted = settings.min_arrivals / rate_rps
    return min(max(settings.window_s, wanted), max(settings.window_max_s, settings.window_s))
