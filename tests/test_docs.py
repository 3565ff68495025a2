"""The documents' examples load, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asyncdb_bench.plan.registry import make_scenario, strategy_class

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "results/README.md"]


def first_example(page: str) -> str:
    found = re.search(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_example_strategy_loads(tmp_path: Path) -> None:
    path = tmp_path / "threads_each.py"
    path.write_text(first_example("add-a-strategy.md"))
    assert strategy_class(f"{path}:ThreadsEach").name == "threads_each"


def test_the_example_scenario_loads(tmp_path: Path) -> None:
    path = tmp_path / "half.py"
    path.write_text(first_example("add-a-scenario.md"))
    scenario = make_scenario(f"{path}:Half", {})
    assert sum(scenario.mix().values()) == 1
    assert set(scenario.mix()) <= set(scenario.workload().operations)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_no_placeholder_is_left() -> None:
    for page in PAGES:
        text = page.read_text()
        assert "@@" not in text, page
        assert "-PENDING" not in text, page


def test_the_pictures_and_the_committed_page_stay_small() -> None:
    assert (ROOT / "docs" / "report.png").stat().st_size < 500_000
    assert (ROOT / "reports" / "reference" / "index.html").stat().st_size < 3_000_000
