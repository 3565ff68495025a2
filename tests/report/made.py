"""Runs made by hand, stored and reported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.run_folder import RunFolder, make_run_folder
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.report.document import Block, Decision, Fold, Table
from asyncdb_bench.report.write import Written, write
from tests.factories import manifest, step, turn
from tests.made_turns import Truth, measured_turns

NASTY = "<script>alert(\"x\")</script> & 'q'"
USUAL = {"native": Truth(1000, 5), "executor": Truth(1500, 6)}


def stored(
    root: Path, made: Manifest, steps: Sequence[Step], ends: Sequence[TrialEnd] = ()
) -> RunFolder:
    folder = make_run_folder(root / "results", made.run_id)
    folder.write_manifest(made)
    for each in steps:
        folder.append_step(each)
    for end in ends:
        folder.append_trial(end)
    return folder


def reported(
    root: Path, made: Manifest, steps: Sequence[Step], ends: Sequence[TrialEnd] = ()
) -> Written:
    return write(stored(root, made, steps, ends), root / "reports")


@contextmanager
def without_figures() -> Iterator[None]:
    """Draw none, for words and tables alone: drawing takes most of a report's time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("asyncdb_bench.report.figures.draw_figures", lambda *_: {})
        yield


def of_truths(root: Path, truths: Mapping[str, Truth], **how: Any) -> Written:
    """Report turns of variants whose truth is known."""
    return reported(root, manifest(tuple(truths)), measured_turns(truths, **how))


def climbed(*variants: str, top: float = 200, scenario: str = "read") -> list[Step]:
    """Return the rungs of variants that hold the objective up to a load."""
    return [
        step(name, load, p99=20 if load <= top else 400, scenario=scenario)
        for name in variants
        for load in (100, 200, 300)
    ]


def at_loads(*variants: str, scenario: str = "read") -> list[Step]:
    """Return turns of variants at full speed, and at three loads, the last of which is not held."""
    steps = []
    for name in variants:
        steps += [turn(name, 320 + n, number=n, scenario=scenario, step=n) for n in range(2)]
        steps += [
            turn(
                name, load, "share", number=2 + n, scenario=scenario, p99=20 if load < 300 else 400
            )
            for n, load in enumerate((100, 200, 300))
        ]
    return steps


def words(page: str) -> str:
    """Return the text of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def decision_of(written: Written) -> Decision:
    (found,) = [each for each in written.document.walk() if isinstance(each, Decision)]
    return found


def block(written: Written, name: str) -> Block:
    """Return a part of the document by its id."""
    (found,) = [each for each in written.document.walk() if getattr(each, "id", "") == name]
    return found


def table(written: Written, name: str) -> Table:
    found = block(written, name)
    assert isinstance(found, Table)
    return found


def fold(written: Written, name: str) -> Fold:
    found = block(written, name)
    assert isinstance(found, Fold)
    return found
