"""What becomes of tasks in a worker: counted where the worker itself knows, in its main process."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from celery.worker.request import Request

from asyncdb_bench.taskqueue.app import ABANDONED

counts: Counter[str] = Counter()


class CountedRequest(Request):  # type: ignore[misc]
    """Counts tasks received, acknowledged and abandoned, and notes when each was received.

    The note travels to the process that runs the task with the message's own headers.
    """

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        self._request_dict["received_ns"] = time.monotonic_ns()
        counts["delivered"] += 1
        counts["redelivered"] += bool(self.delivery_info.get("redelivered"))

    def acknowledge(self) -> None:
        """Acknowledge the task to the broker."""
        counts["acknowledged"] += not self.acknowledged
        super().acknowledge()

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        """Note a task that failed, and whether because it came too late."""
        counts["abandoned"] += ABANDONED in str(exc_info.exception)
        return super().on_failure(exc_info, *args, **options)
