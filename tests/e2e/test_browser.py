"""The report as a reader opens it: in Chromium, from disk, without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.drift import all_series
from asyncdb_bench.report import write
from asyncdb_bench.report.compare_page import write_page
from asyncdb_bench.report.gate_page import render_gate
from asyncdb_bench.report.history_page import write_history
from asyncdb_bench.sides import Side, compare_sides
from asyncdb_bench.store import RunFolder
from asyncdb_bench.tables import steps_table
from tests.e2e.conftest import ROOT, Bench
from tests.factories import manifest
from tests.unit.test_drift import nights, series, stepped
from tests.unit.test_effects import climbs
from tests.unit.test_gate import cell, result

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

ARTIFACTS = ROOT / ".artifacts"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        if os.environ.get("CI"):
            raise RuntimeError("Chromium must be there in CI: make browser")
        pytest.skip("Chromium is not installed: make browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"],
        )
        yield launched
        launched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 390])
def test_it_opens_without_an_error_or_a_request(
    browser: Any, finished: tuple[Bench, subprocess.CompletedProcess[str]], scheme: str, width: int
) -> None:
    page_file = (finished[0].reports / "latest" / "index.html").resolve()
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(page_file.as_uri())
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"report-{scheme}-{width}.png", full_page=True)
    assert problems == []
    assert [url for url in requested if not url.startswith("data:")] == [page_file.as_uri()]
    assert page.locator("section#verdict .verdict").count() == 1
    # the percentile figure needs a load at which all were soundly measured
    assert page.locator("figure svg").count() >= 2
    assert page.locator("figure svg text", has_text="offered load").count() >= 1
    # nothing sticks out of the page sideways; wide tables and figures scroll in themselves
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()


def test_it_prints_to_a4(
    browser: Any, finished: tuple[Bench, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    page = browser.new_page()
    page.goto((finished[0].reports / "latest" / "index.html").resolve().as_uri())
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000
    page.close()


def test_a_long_word_from_data_does_not_make_the_page_wider(
    browser: Any, finished: tuple[Bench, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """A doubt may quote a command line, or a path, that has no place to break."""
    bench = finished[0]
    run = (bench.results / "latest").resolve()
    copied = tmp_path / "results" / run.name
    shutil.copytree(run, copied)
    lines = (copied / "steps.jsonl").read_text().splitlines()
    first = json.loads(lines[0]) | {"valid": False, "reasons": ["held by /" + "path" * 200]}
    (copied / "steps.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    written = write(RunFolder(copied), tmp_path / "reports")
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(written.path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.close()


def opened(browser: Any, path: Path, name: str) -> Any:
    """Open a page; fail on any message, error or request; keep a picture."""
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(path.resolve().as_uri())
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)
    assert problems == []
    assert [url for url in requested if not url.startswith("data:")] == [path.resolve().as_uri()]
    return page


def test_a_comparison_opens_with_every_name_escaped(browser: Any, tmp_path: Path) -> None:
    odd = '<script>alert("x")</script>'
    one = Side(manifest(("a", odd), run_id="one"), steps_table([*climbs("a", 5), *climbs(odd, 6)]))
    duel = compare_sides(replace(one, variant="a"), replace(one, variant=odd))
    page = opened(browser, write_page(duel, tmp_path), "compare")
    assert page.locator("figure svg").count() == 1
    assert page.locator("tbody tr").count() == 6
    assert page.locator("script").count() == 0
    assert odd in page.inner_text("h1")


def test_a_gates_page_shows_each_cell_and_its_verdict(browser: Any, tmp_path: Path) -> None:
    made = result(cell("regress", confirmed=True), cell("inconclusive", strategy='<b>"odd"'))
    path = tmp_path / "gate.html"
    path.write_text(render_gate(made, has_report=False))
    page = opened(browser, path, "gate")
    assert "Gate: regress" in page.inner_text("h1")
    assert page.locator("tbody tr").count() == 2
    assert '<b>"odd"' in page.inner_text("table")


def test_the_history_opens_with_its_changes(browser: Any, tmp_path: Path) -> None:
    found = all_series(nights(60), series(stepped(60, 35, 1.2)))
    path = write_history(nights(60), found, ["a clock ran <backwards>"], tmp_path)
    page = opened(browser, path, "history")
    assert page.locator("#changes tbody tr").count() == 1
    assert "rev7" in page.inner_text("#changes")
    assert page.locator("#series figure").count() == 1
