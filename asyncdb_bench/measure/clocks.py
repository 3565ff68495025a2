"""Wall clock and monotonic clock side by side."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clocks:
    """Wall clock and monotonic clock at one moment."""

    def __init__(self) -> None:
        self.started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._wall_s, self._monotonic_s = time.time(), time.monotonic()

    def jump_s(self) -> float:
        """Return by how much the wall clock has run away from the monotonic one since, seconds."""
        return (time.time() - self._wall_s) - (time.monotonic() - self._monotonic_s)
