"""The documents' examples load, and their links lead somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import asyncdb_bench
from asyncdb_bench.plan.registry import make_scenario, strategy_class
from scripts import follow

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "results/README.md"]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


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


def test_the_site_is_built_without_network(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    program = Path(sys.executable).with_name("zensical")
    nowhere = {"PATH": "/usr/bin:/bin", "HTTPS_PROXY": "http://127.0.0.1:1", "HOME": str(tmp_path)}
    said = subprocess.run(
        [str(program), "build", "--strict", "-f", "zensical.toml"],
        cwd=tmp_path,
        env=nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    page = (tmp_path / "site" / "tutorials" / "decide.html").read_text()
    assert "Ten minutes, most of them measuring" in page
    loaded = re.findall(
        r'(?:src|href)="(https?://[^"]+)"[^>]*(?:rel="stylesheet"|></script>)', page
    )
    assert loaded == [], "nothing is fetched from elsewhere"


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_what_a_tutorial_writes_loads(page: Path, tmp_path: Path) -> None:
    written = [each for each in follow.blocks(page.read_text()) if each.title]
    run = [each for each in follow.blocks(page.read_text()) if each.language == "sh"]
    assert any("asyncdb-bench run" in each.text for each in run)
    for each in written:
        path = tmp_path / Path(each.title).name
        path.write_text(each.text)
        if path.suffix == ".toml":
            tomllib.loads(each.text)
        elif path.stem == "items":
            assert make_scenario(f"{path}:Items", {}).mix() == {"show": 1}
        elif path.stem == "ours":
            assert strategy_class(f"{path}:Ours").name == "ours"


def test_the_scenario_of_an_own_application_loads(tmp_path: Path) -> None:
    path = tmp_path / "notes.py"
    path.write_text(first_example("own-application.md"))
    assert make_scenario(f"{path}:Notes", {}).mix() == {"opened": 1}


def test_no_placeholder_is_left() -> None:
    for page in PAGES:
        text = page.read_text()
        assert "@@" not in text, page
        assert "-PENDING" not in text, page


ROOMS = "asyncdb_bench|benchmarks|docs|findings|scenarios|scripts|strategies|tests"


@pytest.mark.parametrize(
    "page", [each for each in PAGES if each not in TUTORIALS], ids=lambda page: page.name
)
def test_files_that_are_named_exist(page: Path) -> None:
    for named in re.findall(rf"\b(?:{ROOMS})/[\w/.-]+\.(?:py|sh|toml)\b", page.read_text()):
        assert (ROOT / named).exists() or (page.parent / named).exists(), named


def test_the_documents_are_short_and_each_begins_with_its_question() -> None:
    docs = [each for each in PAGES[1:-1] if each.name != "licences.md"]
    assert len(PAGES[0].read_text().split()) <= 900
    # tables that are measured and written by a program are not prose
    texts = [re.sub(r"<!-- (\w+): begin -->.*?<!-- \1: end -->", "", t, flags=re.DOTALL) for t in
             (each.read_text() for each in docs)]  # fmt: skip
    assert sum(len(each.split()) for each in texts) <= 16_000
    for each in docs:
        title, first = each.read_text().split("\n\n", 2)[:2]
        assert "?" in title + first or each.name == "architecture.md", each


def test_the_glossary_has_thirty_words_at_most() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    assert 1 < len(set(rows)) - 1 <= 30
    assert len(rows) == len(set(rows))


def test_the_version_is_the_newest_of_the_changelog() -> None:
    newest = re.search(r"^## (\S+) ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == asyncdb_bench.__version__


def test_the_pictures_and_the_committed_page_stay_small() -> None:
    assert (ROOT / "docs" / "report.png").stat().st_size < 500_000
    assert (ROOT / "reports" / "reference" / "index.html").stat().st_size < 3_000_000
