"""The report as a reader opens it: in Chromium, from disk, without a network."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.extensions.gate.page import gate_page
from asyncdb_bench.extensions.history.change_points import all_series
from asyncdb_bench.extensions.history.page import write_history
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.report.sides import compare_sides
from asyncdb_bench.report.sides_page import write_comparison
from tests.command_line import ROOT
from tests.factories import LATE, manifest, turn
from tests.gate.test_decision import cell, result
from tests.history.test_history import history_runs, series, stepped
from tests.made_turns import Truth, measured_turns
from tests.report.made import at_loads, reported
from tests.report.test_sides import turned

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
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_without_an_error_or_a_request(
    browser: Any, two_scenarios: Path, scheme: str, width: int
) -> None:
    name = f"report-{scheme}-{width}"
    page = opened(browser, two_scenarios, name, scheme=scheme, width=width)
    assert page.locator("section#decision .choices tbody tr").count() == 2
    assert page.locator("figure svg").count() >= 4
    assert page.locator("figure svg text", has_text="offered load").count() >= 1
    # nothing sticks out of the page sideways; wide tables and figures scroll in themselves
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    ink = page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
    assert ink == ("rgb(27, 31, 36)" if scheme == "light" else "rgb(230, 237, 243)")
    page.context.close()


def barriers(page: Any) -> list[tuple[str, str, str]]:
    """Return what axe-core objects to, with all folds open: rule, impact, the first place."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    for button in page.locator("button.data").all():
        button.click()
    response = Axe().run(page).response
    assert len(response["passes"]) > 10
    return [
        (each["id"], each["impact"], each["nodes"][0]["html"][:200])
        for each in response["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_object_to(browser: Any, two_scenarios: Path, scheme: str) -> None:
    page = opened(browser, two_scenarios, "axe", scheme=scheme)
    assert barriers(page) == []
    page.context.close()


@pytest.fixture(scope="module")
def two_scenarios(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two scenarios and three variants, one turn of which is not sound."""
    truths = {"native": Truth(900, 5), "executor": Truth(400, 6), "blocking": Truth(150, 9)}
    steps = []
    for scenario in ("read", "slow"):
        steps += measured_turns(truths, launches=2, rounds=6, scenario=scenario)
        late = turn("executor", 200, "limit", scenario=scenario, valid=False, reasons=(LATE,))
        steps.append(late)
    made = manifest(tuple(truths), ("read", "slow"))
    return reported(tmp_path_factory.mktemp("two"), made, steps).path


def unfolded(page: Any) -> Any:
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    return page


def test_tables_sort_by_number_both_ways(browser: Any, two_scenarios: Path) -> None:
    page = unfolded(opened(browser, two_scenarios, "sorting"))
    table = page.locator("#scenario-1-table")
    header = table.locator("thead th").nth(1)
    first = table.locator("tbody tr td:first-child")

    def names() -> list[str]:
        return [text.split("\n")[0] for text in first.all_inner_texts()]

    header.get_by_role("button", name="Sort by pace").click()
    assert names() == ["blocking", "executor", "native"]
    assert header.get_attribute("aria-sort") == "ascending"
    header.get_by_role("button").press("Enter")
    assert names() == ["native", "executor", "blocking"]
    assert header.get_attribute("aria-sort") == "descending"
    page.context.close()


def test_filters_hide_rows_and_lines(browser: Any, two_scenarios: Path) -> None:
    page = unfolded(opened(browser, two_scenarios, "filters"))
    lines = page.locator('#scenario-1 svg [data-variant="1"]')
    rows = page.locator('#scenario-1 tr[data-variant="1"]')
    assert lines.count() > 2
    page.get_by_label("executor", exact=True).uncheck()
    assert not any(each.is_visible() for each in [*lines.all(), *rows.all()])
    assert page.locator('#scenario-1-table tr[data-variant="0"]').is_visible()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function(
        "!document.querySelector('#scenario-1-table tr[data-variant=\"1\"]').hidden"
    )
    page.context.close()


def test_a_pointer_near_a_marker_is_told_its_value(browser: Any, two_scenarios: Path) -> None:
    page = unfolded(opened(browser, two_scenarios, "hover"))
    marker = page.locator('#scenario-1-latency svg [data-variant="0"] use').first
    marker.scroll_into_view_if_needed()
    box = marker.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2)
    told = page.locator("#tip").inner_text()
    assert re.fullmatch(r"native at 100/s: p99 [\d.]+ ms \([\d.]+ to [\d.]+\)", told)
    page.mouse.move(5, 5)
    assert not page.locator("#tip").is_visible()
    page.context.close()


def test_a_table_is_copied_as_markdown(browser: Any, two_scenarios: Path) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(two_scenarios.as_uri())
    unfolded(page)
    copy = page.locator("#scenario-1 button.copy").first
    copy.click()
    copy.filter(has_text="Copied").wait_for()
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[0].startswith("| variant | pace (requests/s) | beside native |")
    assert lines[1] == "|---|---|---|---|---|---|"
    assert lines[2].startswith("| native | 90")
    assert len(lines) == 5
    context.close()


def test_without_javascript_everything_is_there_and_nothing_useless(
    browser: Any, two_scenarios: Path
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(two_scenarios.as_uri())
    assert page.locator("#filters").is_hidden()
    assert page.locator("button.copy").count() == 0
    assert page.locator(".choices tbody tr").count() == 2
    page.locator("#scenario-2 > summary").click()
    assert page.locator("#scenario-2-latency svg").is_visible()
    assert page.locator("#scenario-2-latency table").is_visible(), "its data, in noscript"
    context.close()


def test_every_link_in_the_page_leads_somewhere(browser: Any, two_scenarios: Path) -> None:
    page = opened(browser, two_scenarios, "links")
    assert (
        page.evaluate(
            "[...document.querySelectorAll('a[href^=\\'#\\']')]"
            ".filter(a => !document.getElementById(a.hash.slice(1))).map(a => a.hash)"
        )
        == []
    )
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
    assert len(ids) == len(set(ids))
    missing = [
        href
        for href in page.evaluate(
            "[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))"
        )
        if not href.startswith("#") and not (two_scenarios.parent / href).is_file()
    ]
    assert missing == []
    page.context.close()


def test_the_keyboard_reaches_filters_tables_and_folds(browser: Any, two_scenarios: Path) -> None:
    page = unfolded(opened(browser, two_scenarios, "keyboard"))
    reached = set()
    for _ in range(90):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.getAttribute('class') || document.activeElement.tagName"
            )
        )
    assert {"A", "SELECT", "INPUT", "small copy", "small data", "wide", "SUMMARY"} <= reached
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_prints_to_a4_without_a_cut_figure(
    browser: Any, two_scenarios: Path, tmp_path: Path, scheme: str
) -> None:
    page = unfolded(opened(browser, two_scenarios, "before-print", scheme=scheme))
    pdf = page.pdf(format="A4", prefer_css_page_size=True)
    (ARTIFACTS / f"report-{scheme}.pdf").write_bytes(pdf)
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000
    page.emulate_media(media="print")
    # the printable height of A4 at 96 dots an inch, less the margins of 13 mm
    page.set_viewport_size({"width": 695, "height": 1024})
    tallest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('figure')].map(f => f.offsetHeight))"
    )
    assert tallest < 1024
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('figure svg, table')].map(f => f.scrollWidth))"
    )
    assert widest <= 695
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
    page.context.close()


def test_a_long_word_from_data_does_not_make_the_page_wider(browser: Any, tmp_path: Path) -> None:
    """A doubt may quote a command line, or a path, that has no place to break."""
    doubt = Doubt(DoubtKind.OTHER_RUN, subject="/" + "path" * 200)
    bad = turn("native", 100, number=9, valid=False, reasons=(doubt,))
    written = reported(tmp_path, manifest(), [bad, *at_loads("native", "executor")])
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(written.path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.close()


def opened(browser: Any, path: Path, name: str, *, scheme: str = "light", width: int = 1100) -> Any:
    """Open a page; fail on any message, error or request; keep a picture."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
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
    one = turned({"a": Truth(), odd: Truth(1250)})
    contrast = compare_sides(replace(one, variant="a"), replace(one, variant=odd))
    again = compare_sides(replace(one, variant="a"), replace(one, variant="a"))
    page = unfolded(opened(browser, write_comparison([contrast, again], tmp_path), "compare"))
    assert page.locator("figure svg").count() == 2
    rows = [row for each in (contrast, again) for row in each.compared["read"]]
    assert page.locator("tbody tr").count() == len(rows)
    assert page.locator("script").count() == 1
    assert odd in page.inner_text("h1")
    assert barriers(page) == []
    page.context.close()


def test_a_comparison_shows_at_first_only_what_is_known_to_have_changed(
    browser: Any, tmp_path: Path
) -> None:
    one = turned({"a": Truth(), "b": Truth(1250)})
    contrast = compare_sides(replace(one, variant="a"), replace(one, variant="b"))
    page = opened(browser, write_comparison([contrast], tmp_path), "compare-first")
    said = page.locator("tbody tr td:last-child")
    rows = contrast.compared["read"]
    known = {Said.BETTER, Said.WORSE, Said.UNSOUND}
    changed = [row for row in rows if row.answer.said in known]
    visible = [each.inner_text() for each in said.all() if each.is_visible()]
    assert 0 < len(visible) == len(changed) < len(rows)
    assert all(text.startswith(tuple(known)) for text in visible)
    page.get_by_text(f"{len(rows) - len(changed)} others: the same or not known").click()
    assert len([each for each in said.all() if each.is_visible()]) == len(rows)
    page.context.close()


def test_a_gates_page_shows_each_decision_and_its_verdict(browser: Any, tmp_path: Path) -> None:
    made = result(cell(Said.WORSE, confirmed=True), cell(Said.UNKNOWN, strategy='<b>"odd"'))
    path = tmp_path / "gate.html"
    path.write_text(gate_page(made))
    page = unfolded(opened(browser, path, "gate"))
    assert "Performance gate: worse" in page.inner_text("h1")
    assert page.locator("tbody tr").count() == 2
    assert '<b>"odd"' in page.inner_text("main")
    assert barriers(page) == []
    page.context.close()


def test_the_history_opens_with_its_changes(browser: Any, tmp_path: Path) -> None:
    found = all_series(history_runs(60), series(stepped(60, 35, 1.2)))
    path = write_history(history_runs(60), found, ["a clock ran <backwards>"], tmp_path)
    page = opened(browser, path, "history")
    assert page.locator("#changes tbody tr").count() == 1
    assert "rev7" in page.inner_text("#changes")
    assert page.locator("#series figure").count() == 1
    assert barriers(page) == []
    page.context.close()
