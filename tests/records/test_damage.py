"""Files that were altered after a run: every verb that reads them names them, or refuses."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asyncdb_bench.cli.main import make_app
from asyncdb_bench.errors import BenchError, StoreError
from asyncdb_bench.records import run_folder as store
from asyncdb_bench.records.files import SUMS, sums_of
from tests.factories import end, manifest, step

RUNS = ("run-a", "run-b")
VERBS = {
    "report": ("report", "run-b"),
    "compare": ("compare", "run-a", "run-b"),
    "gate": ("gate", "--against", "run-a", "run-b"),
    "history": ("history", "import"),
}
EACH = {"report": 8, "compare": 2, "gate": 2, "history": 3}
"""Damages of each file for each verb: all read by the same functions."""


def digit(content: bytes, chance: random.Random) -> bytes:
    places = [n for n, byte in enumerate(content) if chr(byte).isdigit()]
    if not places:
        return flip(content, chance)
    place = chance.choice(places)
    other = chance.choice([d for d in b"0123456789" if d != content[place]])
    return content[:place] + bytes([other]) + content[place + 1 :]


def flip(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return (
        content[:place]
        + bytes([content[place] ^ (1 << chance.randrange(8))])
        + content[place + 1 :]
    )


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def without_line(content: bytes, chance: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines)


def doubled_line(content: bytes, chance: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    lines.insert(0, lines[chance.randrange(len(lines))])
    return b"".join(lines)


def zeroed(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + bytes(len(content[place : place + 64])) + content[place + 64 :]


HOW: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    digit,
    digit,
    flip,
    cut,
    without_line,
    doubled_line,
    zeroed,
)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("damage") / "results"
    for name in RUNS:
        folder = store.make_run_folder(root, name)
        folder.write_manifest(manifest(run_id=name))
        for place, variant in enumerate(("native", "executor")):
            for block in range(3):
                trial = f"t{place}{block}"
                for number, load in enumerate((100.0, 200.0)):
                    folder.append_step(
                        step(variant, load, block=block, trial=trial, step=number, run_id=name)
                    )
                folder.append_trial(end(variant, block=block, trial=trial))
        rows = {"trial": ["t00"] * 50, "step": np.zeros(50, np.int16), "at": np.arange(50)}
        folder.add_rows("requests", rows)
        folder.add_rows("series", rows)
        folder.flush_rows()
        folder.merge_parts()
        folder.write_gate({"verdict": "pass"})
        folder.write_summary([])
    return root


def outcome(root: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a verb said: an error of ours, or what it printed."""
    folders = ("--results", str(root), "--reports", str(root.parent / "reports"))
    try:
        make_app([words[0]])([*words, *folders], standalone_mode=False)
    except BenchError as error:
        return f"error: {error}"
    return capsys.readouterr().out


def test_every_file_of_a_run_has_its_checksum(healthy: Path) -> None:
    folder = healthy / "run-a"
    files = {each.name for each in folder.iterdir() if each.is_file()} - {SUMS}
    assert files == sums_of(folder).keys()
    assert files >= {"manifest.json", "steps.jsonl", "trials.jsonl", "requests.parquet"}


@pytest.mark.parametrize("verb", VERBS)
def test_an_altered_file_is_named_by_every_verb(
    verb: str, healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(verb)
    root = tmp_path / "results"
    tried: Counter[str] = Counter()
    for name in sorted(each.name for each in (healthy / "run-b").iterdir() if each.is_file()):
        for number in range(EACH[verb]):
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(healthy, root, symlinks=True)
            path = root / "run-b" / name
            before = path.read_bytes()
            after = HOW[number % len(HOW)](before, chance)
            if number == EACH[verb] - 1:
                path.unlink()
            elif after == before:
                continue
            else:
                path.write_bytes(after)
            said = outcome(root, VERBS[verb], capsys).replace("\n", "")
            how = HOW[number % len(HOW)].__name__
            assert name in said or SUMS in said or "no run 'run-b'" in said, (name, how, said)
            assert "imported 1 run " in said or verb != "history", (name, how)
            tried[name] += 1
    assert len(tried) >= 8
    assert min(tried.values()) >= EACH[verb] - 2


def test_a_line_that_was_altered_is_named_with_its_number(healthy: Path, tmp_path: Path) -> None:
    root = tmp_path / "results"
    shutil.copytree(healthy, root, symlinks=True)
    path = root / "run-a" / "steps.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"achieved_rps":', b'"achieved_rps":1', 1)
    path.write_bytes(b"".join(lines))
    with pytest.raises(StoreError, match=r"steps\.jsonl:5 was altered"):
        store.open_run(root, "run-a").manifest()


def test_a_run_that_was_cut_off_is_checked_line_by_line(tmp_path: Path) -> None:
    folder = store.make_run_folder(tmp_path, "cut")
    folder.write_manifest(manifest(run_id="cut"))
    for load in (100.0, 200.0, 300.0):
        folder.append_step(step("native", load))
    path = folder.path / "steps.jsonl"
    path.write_bytes(path.read_bytes() + b'{"run_id":"cut","tri')
    assert [each.offered_rps for each in store.RunFolder(folder.path).steps()] == [100, 200, 300]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(StoreError, match=r"steps\.jsonl:2 was altered .* missing"):
        store.RunFolder(folder.path).manifest()


def test_the_history_names_the_run_that_was_altered(
    healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import sqlite3

    root = tmp_path / "results"
    shutil.copytree(healthy, root, symlinks=True)
    assert "imported 2 runs" in outcome(root, ("history", "import"), capsys)
    with sqlite3.connect(root / "history.sqlite") as connection:
        connection.execute(
            "UPDATE points SET value = value + 1 WHERE rowid = (SELECT max(rowid) FROM points)"
        )
    connection.close()
    said = outcome(root, ("history", "show"), capsys)
    assert "run-b was altered" in said


def test_a_history_of_another_version_is_refused_with_what_to_do(
    healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import sqlite3

    root = tmp_path / "results"
    shutil.copytree(healthy, root, symlinks=True)
    outcome(root, ("history", "import"), capsys)
    with sqlite3.connect(root / "history.sqlite") as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    said = outcome(root, ("history", "show"), capsys)
    assert "has version 1, this one reads 2" in said
    assert "import the runs anew" in said
