"""A run with the database far away, as a user asks for it: the map, and what it says of itself."""

from __future__ import annotations

import json
import re

import pytest

from tests.command_line import Bench

pytestmark = pytest.mark.e2e


def test_a_map_says_how_far_away_the_database_is_and_was(bench: Bench) -> None:
    wanted = ("--scenario", "map:grid=tiny:queries=1", "--strategy", "blocking,native")
    # as many rounds on any machine, in the time that they take there
    bounds = ("--blocks", "1", "--rounds", "4", "--time-budget", "240")
    done = bench("run", *wanted, *bounds, "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    first = done.stdout.splitlines()[0]
    assert first.startswith("profile map: 2 variants in 2 scenarios")
    assert first.endswith("the database 0 and 1 ms away")
    lines = (bench.results / "latest" / "trials.jsonl").read_text().splitlines()
    ends = [json.loads(line) for line in lines]
    assert {(each["variant"], each["scenario"]) for each in ends} >= {
        (variant, scenario)
        for variant in ("blocking", "native")
        for scenario in {each["scenario"] for each in ends}
    }
    for end in ends:
        (trip,) = end["round_trips"]
        assert trip["to"] == "database"
        assert trip["asked_ms"] == (1.0 if "rtt=1" in end["scenario"] else 0.0)
        assert trip["before_ms"] >= trip["asked_ms"] * 0.8
        assert trip["after_ms"] >= trip["asked_ms"] * 0.8
    report = bench.reports / "latest"
    assert 'id="map"' in (report / "index.html").read_text()
    written = (report / "map.md").read_text()
    assert "| queries a request | loopback | 1 ms away |" in written
    # who is ahead is the machine's matter, and not told where others use most of it
    assert re.search(r"\| 1 \| \w+.*: [\d,.]+/s.* \| \w+.*: [\d,.]+/s", written), written


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--rtt", "0.05"), "nearer than the proxy can be"),
        (("--rtt", "-1"), "outside 0..200"),
        (("--via", "haproxy"), "not one of direct, pgbouncer"),
        (("--strategy", "native:rtt=x"), "not a number"),
    ],
)
def test_what_cannot_be_had_is_refused_at_once(
    bench: Bench, given: tuple[str, ...], words: str
) -> None:
    done = bench("run", "--profile", "smoke", *given)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert not bench.results.exists()


def test_a_strategy_is_checked_beside_its_database(bench: Bench) -> None:
    done = bench("check", "native:rtt=2")
    assert done.returncode == 2
    assert "leave rtt out" in done.stderr


def test_what_is_installed_between_is_told(bench: Bench) -> None:
    done = bench("doctor")
    assert "added by the delay proxy" in done.stdout
    assert "PgBouncer" in done.stdout


def test_how_services_are_reached_is_listed(bench: Bench) -> None:
    done = bench("list")
    assert "rtt=0 ms (0..200): round trip to the database" in done.stdout
    for name in ("page", "fanout", "hold", "map", "to_thread", "processes"):
        assert f"\n  {name}" in done.stdout
