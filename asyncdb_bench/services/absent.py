"""No services: what is asked is somebody's own application, whose database is its own affair."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncdb_bench.records.plan import Broker, Reach
from asyncdb_bench.records.run import ServiceInfo
from asyncdb_bench.services.part import Part


class NoServices:
    """What a run asks of its services, where it has none: :mod:`asyncdb_bench.measure.launch`."""

    url = ""
    broker: Broker | None = None
    store: Broker | None = None
    taken_out: tuple[str, ...] = ()

    def __enter__(self) -> NoServices:
        """Start nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop nothing."""

    def refusal(self, kinds: tuple[str, ...], *, needs_store: bool = False) -> str:
        """Refuse nothing."""
        return ""

    def info(self) -> tuple[ServiceInfo, ...]:
        """Return none."""
        return ()

    def clone(self, data: Any, name: str) -> str:
        """Make no database; its URL is empty."""
        return ""

    def reached(self, url: str, reach: Reach, *, through: bool) -> str:
        """Return the URL as it is."""
        return url

    def broker_reached(self, broker: Broker | None, *, through: bool) -> Broker | None:
        """Return the broker as it is."""
        return broker

    def round_trips(self, reach: Reach, *, with_broker: bool, through: bool) -> Mapping[str, float]:
        """Measure none."""
        return {}

    def set_reach(self, reach: Reach) -> None:
        """Leave the services where they are."""

    def drop(self, url: str) -> None:
        """Drop nothing."""

    def clean(self, queue: str) -> None:
        """Remove nothing."""

    def parts(self, *, with_broker: bool) -> list[Part]:
        """Return none."""
        return []

    def sweep(self, queues: str, events: Path) -> Any:
        """Leave nothing to be removed."""
        return None

    def check(self, *, with_broker: bool) -> None:
        """See that all of none answer."""

    def recover(self) -> None:
        """Start nothing anew."""

    def can_restart(self, role: str) -> bool:
        """Return that there is nothing to restart."""
        return False

    def restart(self, role: str) -> None:
        """Restart nothing."""

    def roles(self) -> dict[str, list[int]]:
        """Return no processes."""
        return {}

    def statistics(self, url: str) -> Any:
        """Return none: the database is not known."""
        return None
