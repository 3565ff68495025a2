"""When a task came to its worker: noted where the worker itself knows, in its main process."""

from __future__ import annotations

import time
from typing import Any

from celery.worker.request import Request


class StampedRequest(Request):  # type: ignore[misc]
    """Notes when a task was received; the note travels with the message's own headers."""

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        self._request_dict["received_ns"] = time.monotonic_ns()
