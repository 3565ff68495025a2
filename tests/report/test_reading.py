"""A benchmark of reading: what people ask of the reference, and where on the page it stands.

Every answer is in the first two layers and needs two clicks at most; it is looked for in Chromium
by role and name.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from asyncdb_bench.analysis.advice import Ask, advise
from asyncdb_bench.report.document import Decision, YourCase
from asyncdb_bench.report.write import Written
from tests.report.test_browser import barriers, browser, opened

__all__ = ["browser"]
pytestmark = [pytest.mark.e2e, pytest.mark.browser]

MOST_WORDS, MOST_TABLES, MOST_FIGURES, MOST_BYTES = 3000, 12, 15, 1_500_000
FIRST_WORDS, OPEN_WORDS = 120, 10


@pytest.fixture(scope="module")
def opened_page(browser: Any, reference: Written) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    made = context.new_page()
    made.goto(reference.path.as_uri())
    yield made
    context.close()


AS_OPENED = """
() => {
  for (const fold of document.querySelectorAll('details')) {
    fold.open = fold.id === 'doubts' && fold.classList.contains('bad');
  }
  for (const form of document.forms) form.reset();
  document.getElementById('your-case').dispatchEvent(new Event('input', { bubbles: true }));
  history.replaceState(null, '', location.pathname);
  scrollTo(0, 0);
}
"""


@pytest.fixture
def page(opened_page: Any) -> Any:
    """The page as it was opened, at little cost: folds, forms and address as they were."""
    opened_page.mouse.move(0, 0)
    opened_page.evaluate(AS_OPENED)
    opened_page.wait_for_timeout(20)
    return opened_page


class Reader:
    """Clicks, and counts them."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.clicks = 0

    def click(self, place: Any) -> None:
        self.clicks += 1
        place.click()

    def fold(self, name: str) -> Any:
        """Open a fold by its heading."""
        fold = self.page.locator("details.fold").filter(
            has=self.page.locator(":scope > summary > .head", has_text=re.compile(f"^{name}$"))
        )
        self.click(fold.locator(":scope > summary"))
        return fold

    def case(self, **values: float) -> Any:
        """Fill numbers into the form; typing is no click."""
        form = self.page.get_by_role("form", name="Your case")
        for name, value in values.items():
            form.locator(f"[name={name}]").fill(str(value))
        return self.page.locator("#advice")


def first_screen(reader: Reader) -> Any:
    return reader.page.locator("#decision")


def with_websockets(reader: Reader) -> Any:
    shown = reader.case(rtt=0.3, ms=5, rps=300)
    reader.click(reader.page.get_by_label("WebSockets, or other work on the loop"))
    return shown


def scenario(reader: Reader) -> Any:
    return reader.fold("read")


def engineers(reader: Reader) -> Any:
    reader.fold("read")
    reader.click(reader.page.get_by_text("Limits, how many of each, all figures").first)
    return reader.page.get_by_role("table").filter(has=reader.page.get_by_text("held back by"))


def beside_native(reader: Reader) -> Any:
    reader.clicks += 1
    reader.page.get_by_role("combobox", name="beside").select_option("native")
    return reader.page.get_by_role("img", name="pace beside native, by scenario")


def a_term(reader: Reader) -> Any:
    reader.fold("read")
    reader.click(reader.page.get_by_role("link", name="p99", exact=True).first)
    return reader.page.locator("#guide-percentile + dd")


def reports_of_200_ms(reader: Reader) -> Any:
    return reader.case(rtt=0.3, ms=200, rps=300)


QUESTIONS: tuple[tuple[str, Callable[[Reader], Any], str], ...] = (
    ("which for one quick query?", first_screen, r"one quick query"),
    ("which for quick reads with some slow queries?", first_screen, r"5 % queries of 50 ms"),
    ("which for 300/s of 5 ms reads, with WebSockets?", with_websockets, r"^(Use|No answer)"),
    ("and for reports of 200 ms?", reports_of_200_ms, r"200 asked, 0 to 50 measured"),
    ("how many threads, connections, workers?", engineers, r"connections \d+, \d+, .*\(has 8\)"),
    ("how far away was the database?", first_screen, r"database [\d.]+ ms away"),
    ("how sure?", first_screen, r"(known|the same|not known)"),
    ("what does it cost?", first_screen, r"it costs"),
    ("what do others on the loop feel?", first_screen, r"everyone else waits \d+"),
    ("is Celery ever right here?", scenario, r"celery\n[\s\S]*x \("),
    ("how much better than native?", beside_native, r"celery"),
    (
        "would it be so on four cores?",
        lambda r: r.case(rtt=0.3, ms=0, rps=2000, cores=4, processes=4),
        r"multiplied by 4: not measured",
    ),
    (
        "what did not work?",
        lambda r: r.page.locator("#doubts > summary"),
        r"What to doubt .*(turns sound|invalid)",
    ),
    (
        "was it fair?",
        lambda r: r.page.locator("#fairness > summary"),
        r"budgets .*counted: \d+ of \d+",
    ),
    ("what was held back by what?", engineers, r"(GIL|event loop|threads|workers|not identified)"),
    ("on what machine?", lambda r: r.fold("Environment and method"), r"cores;"),
    ("how do I repeat it?", lambda r: r.fold("Environment and method"), r"bench\.py run --profile"),
    ("what is a p99?", a_term, r"99 of 100 requests"),
)


@pytest.mark.parametrize(("question", "ask", "answer"), QUESTIONS, ids=[q for q, _, _ in QUESTIONS])
def test_a_question_is_answered_within_two_clicks(
    page: Any, question: str, ask: Callable[[Reader], Any], answer: str
) -> None:
    reader = Reader(page)
    place = ask(reader)
    place.first.wait_for()
    assert place.first.is_visible()
    text = place.first.text_content() if place.first.evaluate("e => e.tagName") == "svg" else ""
    assert re.search(answer, text or place.first.inner_text()), question
    assert reader.clicks <= 2


COUNT_WORDS = """
(root) => [...root.querySelectorAll('*')]
  .filter((e) => !['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(e.tagName))
  .filter((e) => !e.closest('svg, noscript'))
  .reduce((n, e) => n + [...e.childNodes].filter((c) => c.nodeType === 3)
    .reduce((m, c) => m + c.textContent.split(/\\s+/).filter(Boolean).length, 0), 0)
"""


def test_it_is_short_enough_to_be_read(page: Any, reference: Written) -> None:
    assert page.evaluate(f"({COUNT_WORDS})(document.body)") <= MOST_WORDS
    assert page.locator("table").count() <= MOST_TABLES
    assert page.locator("figure").count() <= MOST_FIGURES
    assert reference.path.stat().st_size < MOST_BYTES


def test_the_first_screen_is_the_decision(page: Any, reference: Written) -> None:
    (decision,) = [each for each in reference.document.walk() if isinstance(each, Decision)]
    # where it is not known which is best, who was ahead and what would tell are said besides
    open_ = sum(not each.use for each in decision.choices)
    words = page.evaluate(f"({COUNT_WORDS})(document.querySelector('#decision .decision > div'))")
    assert words <= FIRST_WORDS + OPEN_WORDS * open_
    box = page.locator("#decision").bounding_box()
    assert box["y"] + box["height"] <= 800
    assert page.locator(".choices tbody tr").count() == len(decision.choices) == 3
    axis = page.locator("#decision-ratios svg text", has_text="(log scale)")
    assert axis.is_visible()


def test_on_a_phone_it_takes_two_screens(browser: Any, reference: Written) -> None:
    page = opened(browser, reference.path, "reference-phone", width=390)
    box = page.locator("#decision").bounding_box()
    assert box["y"] + box["height"] <= 2 * 844
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shapes = page.locator(".choices .sure span[aria-hidden]")
    assert all(each.is_visible() for each in shapes.all()), "how sure, by shape as well"
    page.context.close()


OVERLAPS = """
() => {
  const found = [];
  for (const svg of document.querySelectorAll('figure svg')) {
    const texts = [...svg.querySelectorAll('text')]
      .map((t) => [t.textContent.trim(), t.getBoundingClientRect()])
      .filter(([text, box]) => text && box.width);
    texts.forEach(([one, a], i) => texts.slice(i + 1).forEach(([other, b]) => {
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1 && high > 3) found.push([svg.closest('figure').id, one, other]);
    }));
  }
  return found;
}
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_no_labels_overlap(browser: Any, reference: Written, width: int) -> None:
    page = opened(browser, reference.path, f"labels-{width}", width=width)
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    assert page.evaluate(OVERLAPS) == []
    page.get_by_role("combobox", name="beside").select_option("native")
    page.get_by_role("combobox", name="axes").select_option("linear")
    assert page.evaluate(OVERLAPS) == [], "drawn anew"
    page.context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_with_everything_open(
    browser: Any, reference: Written, scheme: str, width: int
) -> None:
    page = opened(browser, reference.path, f"axe-{scheme}-{width}", scheme=scheme, width=width)
    page.get_by_role("combobox", name="beside").select_option("native")
    page.get_by_role("combobox", name="percentile").select_option("p50")
    assert barriers(page) == []
    page.context.close()


def test_any_variant_is_the_base_of_ratios_colours_and_sentences(page: Any) -> None:
    reader = Reader(page)
    table = page.locator("#scenario-1-table")
    reader.fold("read")
    before = table.inner_text()
    because = page.locator(".choices .because").first.inner_text()
    page.get_by_role("combobox", name="beside").select_option("blocking")
    rows = {
        row.locator("td").first.inner_text().split("\n")[0]: row.locator("td").nth(2)
        for row in table.locator("tbody tr").all()
    }
    assert rows["blocking"].inner_text().startswith("1\n")
    assert re.match(r"\d+\.\d\d x \(\d+\.\d\d to \d+\.\d\d\)", rows["executor"].inner_text())
    assert rows["executor"].get_attribute("class") == "good"
    assert table.locator("thead th").nth(2).inner_text().startswith("beside blocking")
    assert "beside blocking" in page.locator(".choices .because").first.inner_text()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("document.querySelector('#base').value === ''")
    page.wait_for_timeout(50)
    assert table.inner_text() == before
    assert page.locator(".choices .because").first.inner_text() == because


def test_any_percentile_in_tables_and_figures(page: Any) -> None:
    Reader(page).fold("read")
    cell = page.locator("#scenario-1-table tbody tr").first.locator("td").nth(3)
    p99 = cell.inner_text()
    page.get_by_role("combobox", name="percentile").select_option("p50")
    assert cell.inner_text() != p99
    assert page.locator("#scenario-1-table thead th").nth(3).inner_text().startswith("p50")
    assert page.locator("#scenario-1-latency svg.plot text", has_text="p50, ms").is_visible()
    page.get_by_role("combobox", name="percentile").select_option("p99")
    assert cell.inner_text() == p99
    assert page.locator("#scenario-1-latency svg.plot").count() == 0


def test_a_figure_is_zoomed_by_dragging_and_by_keys_and_given_back(page: Any) -> None:
    Reader(page).fold("read")
    page.locator("#scenario-1-latency").get_by_role("button", name="Zoom").click()
    plot = page.locator("#scenario-1-latency svg.plot")
    labels = "e => [...e.querySelectorAll('text')].map(t => t.textContent)"
    whole = plot.evaluate(labels)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*at(0.2, 0.2))
    page.mouse.down()
    page.mouse.move(*at(0.4, 0.6), steps=4)
    page.mouse.up()
    zoomed = plot.evaluate(labels)
    assert zoomed != whole
    plot.dblclick(position={"x": box["width"] / 2, "y": box["height"] / 2})
    assert plot.evaluate(labels) == whole
    plot.focus()
    page.keyboard.press("+")
    assert plot.evaluate(labels) != whole
    page.keyboard.press("0")
    assert plot.evaluate(labels) == whole


def test_a_finger_zooms_along_the_load(browser: Any, reference: Written) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto(reference.path.as_uri())
    Reader(page).fold("read")
    page.locator("#scenario-1-latency").get_by_role("button", name="Zoom").tap()
    plot = page.locator("#scenario-1-latency svg.plot")
    before = plot.evaluate("e => e.textContent")
    plot.evaluate(
        """e => {
          const box = e.getBoundingClientRect();
          const send = (type, x) => e.dispatchEvent(new PointerEvent(type, {
            pointerId: 7, pointerType: 'touch', bubbles: true,
            clientX: box.left + x * box.width, clientY: box.top + 80 }));
          send('pointerdown', 0.2); send('pointermove', 0.4); send('pointerup', 0.5);
        }"""
    )
    assert page.locator("#scenario-1-latency svg.plot").evaluate("e => e.textContent") != before
    context.close()


def test_a_line_is_highlighted_by_its_name(page: Any) -> None:
    Reader(page).fold("read")
    faded = page.locator("#scenario-1-latency svg .faded")
    assert faded.count() == 0
    page.mouse.move(0, 0)
    page.get_by_label("native", exact=True).focus()
    assert faded.count() > 0
    assert page.locator('#scenario-1-latency svg .faded[data-variant="4"]').count() == 0
    page.get_by_role("button", name="Reset").focus()
    assert faded.count() == 0


def test_the_page_answers_as_advise_does(page: Any, reference: Written) -> None:
    (case,) = [each for each in reference.document.walk() if isinstance(each, YourCase)]
    known, rng = case.advising, random.Random(5)
    trips = [cell.rtt_ms for cell in known.cells]
    asks = [
        Ask(
            rtt_ms=round(rng.uniform(0.9 * min(trips), 1.1 * max(trips)), 3),
            queries=rng.choice([1, 1, 2, 3, 5, 10, 12]),
            ms=rng.choice([0, 0.5, 2, 5, 12.5, 50, 57, 60]), rows=rng.choice([1, 1, 1, 50]),
            rps=rng.choice([1, 20, 133.5, 300, 1000, 4000]), cores=rng.choice([1, 2, 4]),
            processes=rng.choice([1, 2, 4]), websockets=rng.random() < 0.5,
            celery=rng.random() < 0.3, patience_ms=rng.choice([0, 1, 50, 133.5, 2000]),
        )
        for _ in range(400)
    ]  # fmt: skip
    given = json.loads(msgspec.json.encode(asks))
    found = page.evaluate("asks => asks.map(ask => advise(DATA.advising, ask))", given)
    told = 0
    for ask, theirs in zip(asks, found, strict=True):
        mine = advise(known, ask)
        told += bool(mine.use)
        assert theirs["use"] == list(mine.use), ask
        assert theirs["because"] == mine.because, ask
        assert theirs["costs"] == mine.costs, ask
        assert theirs["sure"] == str(mine.sure), ask
        assert theirs["notes"] == list(mine.notes), ask
        assert theirs["measure"] == mine.measure, ask
    assert told > 50


def test_a_case_is_sent_to_a_colleague_in_the_address(browser: Any, page: Any) -> None:
    reader = Reader(page)
    reader.case(rtt=0.3, ms=0, rps=250)
    page.get_by_label("WebSockets, or other work on the loop").check()
    shown = page.locator("#advice").inner_text()
    other = browser.new_page()
    other.goto(page.url)
    assert "websockets" in page.url
    assert other.locator("#advice").inner_text() == shown
    assert other.locator("[name=rps]").input_value() == "250"
    other.close()


def test_a_number_out_of_bounds_has_no_answer(page: Any) -> None:
    shown = Reader(page).case(queries=-1)
    assert "out of its bounds" in shown.inner_text()
    assert Reader(page).case(queries=1).inner_text().startswith(("Use", "No answer"))


def test_without_javascript_the_map_stands_there_as_a_table(
    browser: Any, reference: Written
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(reference.path.as_uri())
    assert page.get_by_role("form", name="Your case").count() == 0
    assert page.locator("#case-grid tbody tr").count() >= 4
    assert page.locator("#case-grid").is_visible()
    context.close()


def test_a_link_to_what_lies_in_a_fold_opens_it(browser: Any, reference: Written) -> None:
    page = browser.new_page()
    page.goto(f"{reference.path.as_uri()}#scenario-2-limits")
    assert page.locator("#scenario-2-limits").is_visible()
    page.close()


def test_paper_shows_the_scenarios(browser: Any, reference: Written, tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(reference.path.as_uri())
    page.pdf(path=tmp_path / "page.pdf", format="A4", prefer_css_page_size=True)
    assert page.locator("#scenario-1-latency").is_visible()
    page.emulate_media(media="print")
    # the printable width of A4 at 96 dots an inch, less the margins of 13 mm
    page.set_viewport_size({"width": 695, "height": 1024})
    widest = "[...document.querySelectorAll('figure svg, table, body')].map(e => e.scrollWidth)"
    assert max(page.evaluate(widest)) <= 695
    assert page.evaluate(OVERLAPS) == []
    page.close()
