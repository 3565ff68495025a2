"""`advise`: the answer to a case of the reader's own, from what is on disk."""

from __future__ import annotations

import pytest

from tests.cli.test_report_verb import REFERENCE
from tests.command_line import Bench

pytestmark = [pytest.mark.e2e, pytest.mark.patient]


def test_a_case_is_answered_from_a_run(bench: Bench) -> None:
    folder = ("--results", str(REFERENCE.parent))
    done = bench("advise", "reference", "--rtt", "0.5", "--query-ms", "0", "--rps", "100", *folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("use ")
    assert "measured" in done.stdout
    assert "to measure it: bench.py run --strategy " in done.stdout


def test_outside_of_what_was_measured_there_is_no_answer_but_a_command(bench: Bench) -> None:
    done = bench("advise", "reference", "--rtt", "40", "--results", str(REFERENCE.parent))
    assert done.returncode == 4
    assert "no answer from" in done.stdout
    assert "round trip, ms: 40 asked" in done.stdout
    assert "--rtt 40" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing-here",), "nothing-here"),
        (("reference", "--queries", "0"), "queries"),
        (("reference", "--rps", "-3"), "rps"),
    ],
)
def test_what_is_wrong_is_said(bench: Bench, arguments: tuple[str, ...], said: str) -> None:
    done = bench("advise", *arguments, "--results", str(REFERENCE.parent))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
