"""`advise`: the answer to a case of the reader's own, from what is on disk."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.cli.inside import Inside
from tests.command_line import ROOT


@pytest.fixture
def stored(inside: Inside) -> Inside:
    """The committed run, copied."""
    shutil.copytree(ROOT / "results" / "reference", inside.results / "reference")
    return inside


def test_in_a_fresh_clone_it_names_the_run_that_is_there(stored: Inside) -> None:
    done = stored("advise", "--rtt", "0.3")
    assert done.returncode == 2
    assert "name one of those there: reference; or measure one: `bench.py run`" in done.stderr


def test_a_case_is_answered_from_a_run(stored: Inside) -> None:
    case = ("--rtt", "0.3", "--query-ms", "0", "--rps", "100", "--patience", "500")
    done = stored("advise", "reference", *case)
    assert done.returncode == 0, done.stderr
    said = re.match(r"use (\w+(?: or \w+)*): ", done.stdout)
    assert said, done.stdout
    # blocking does a third of the best here
    assert "blocking" not in said[1]
    assert "to measure it: bench.py run --strategy " in done.stdout
    assert "- clients who wait 500 ms give up from " in done.stdout
    assert "- in an overload: not measured: bench.py run --scenario overload" in done.stdout


def test_outside_of_what_was_measured_there_is_no_answer_but_a_command(stored: Inside) -> None:
    done = stored("advise", "reference", "--rtt", "40")
    assert done.returncode == 4
    assert "no answer from" in done.stdout
    assert "round trip, ms: 40 asked" in done.stdout
    assert "--rtt 40" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing-here",), "nothing-here"),
        (("latest", "--queries", "0"), "queries"),
        (("latest", "--rps", "-3"), "rps"),
    ],
)
def test_what_is_wrong_is_said(inside: Inside, arguments: tuple[str, ...], said: str) -> None:
    done = inside("advise", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
