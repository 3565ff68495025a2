"""The accounts of a report rest on sound steps alone."""

from __future__ import annotations

import pytest

from asyncdb_bench.analysis.comparison import compare_scenarios
from asyncdb_bench.analysis.resources import steps_compared, used_by_role
from asyncdb_bench.records.step import Percentiles, Usage
from tests.factories import LATE, manifest, step


def test_an_invalid_block_is_in_no_account() -> None:
    steps = [
        step(
            "native",
            100,
            block=block,
            valid=block != 1,
            reasons=(LATE,) if block == 1 else (),
            usage={"app": Usage(cpu, 60, 50, 1)},
            phases={
                name: Percentiles(100, took, took, took, took, took, took)
                for name in ("database", "back")
            },
        )
        for block, (cpu, took) in enumerate(((0.2, 5.0), (9.0, 90.0), (0.4, 7.0)))
    ]
    (found,) = compare_scenarios(manifest(("native",)), [], steps)
    own = steps_compared(steps, found)["native"]
    assert [each.block for each in own] == [0, 2]
    assert used_by_role(steps, found)["native"]["cpu"]["app"] == pytest.approx(1.5)
    assert found.phases["native"]["database"] == pytest.approx(6.0)
    assert found.rows.loc["native"].cpu_ms_per_request == pytest.approx(2**0.5)
