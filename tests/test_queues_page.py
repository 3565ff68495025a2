"""The tables of docs/queues.md, made of figures."""

from __future__ import annotations

from typing import Any

from scripts.queues_page import written

ROW = {"scenario": "read", "error_rate": 0.0}
KEPT: dict[str, Any] = {
    "runs": {
        "read": {
            "day": "2026-12-01",
            "seconds": 60,
            "rows": [
                ROW | {"variant": "saq", "pace_rps": 312.4, "capacity_rps_low": 290.0,
                       "capacity_rps_high": 340.0, "cpu_ms_net": 2.41, "p50_ms": None,
                       "p99_ms": None, "at_common_load": False},
                ROW | {"variant": "saq", "pace_rps": None, "capacity_rps_low": None,
                       "cpu_ms_net": None, "p50_ms": 4.0, "p99_ms": 20.0, "at_common_load": True},
            ],
        }
    },
    "faults": {
        "saq": {
            "commands": {"alone": 20.4, "together": 31.0},
            "term_s": None,
            "terminated": {"status": 504, "seconds": 8.0},
            "killed": {"status": 200, "seconds": 4.0},
            "stalled": {"loop_s": 0.012, "back_s": None},
            "restarted_s": None,
            "worker_ended": True,
            "left": {"keys": 200, "forever": 1, "usual_s": 60.0},
        }
    },
}  # fmt: skip
TEXT = """before
<!-- pace: begin -->
old
<!-- pace: end -->
between
<!-- faults: begin -->
<!-- faults: end -->
after
"""


def test_the_page_has_what_was_measured_between_its_markers() -> None:
    page = written(TEXT, KEPT)
    assert "old" not in page
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "| `saq` | 312/s (290 to 340) | 4 / 20 | 2.41 |" in page
    assert "ignored for 6 s, then killed: lost (504 after 8.0 s)" in page
    assert "run again, 4.0 s | loop held 12 ms, back after never | its worker ends" in page
    assert "200 keys of 200 tasks, for 60 s, 1 of them for ever" in page
    assert written(page, KEPT) == page


def test_what_was_not_measured_is_said() -> None:
    assert "Not measured yet." in written(TEXT, {})
