"""Parameters from a recorded file: drawn in their shares, as the operation's types, or refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asyncdb_bench import Recorded, Steps, operation
from asyncdb_bench.errors import PluginError


@operation(check=lambda _, __: True)
def show(item: int, word: str = "none") -> Steps:
    """Show."""
    yield


@operation(check=lambda _, __: True)
def find(word: str) -> Steps:
    """Find."""
    yield


BOTH = {"show": show, "find": find}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_rows_are_drawn_as_the_operations_types(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"asked.{kind}"
    if kind == "csv":
        file.write_text("operation,item,word\nshow,1,\nshow,2,b\nshow,2,b\nfind,,7\n")
    elif kind == "jsonl":
        file.write_text(
            '{"operation": "show", "item": 1}\n{"operation": "show", "item": 2, "word": "b"}\n'
            '{"operation": "show", "item": 2, "word": "b"}\n{"operation": "find", "word": "7"}\n'
        )
    else:
        columns = {
            "operation": ["show", "show", "show", "find"],
            "item": [1, 2, 2, None],
            "word": [None, "b", "b", "7"],
        }
        pq.write_table(pa.table(columns), file)
    recorded = Recorded(file.name, beside=str(tmp_path / "scenario.py"))
    rng = np.random.default_rng(1)
    drawn = Counter(tuple(recorded.draw(show, rng).items()) for _ in range(3000))
    assert set(drawn) == {
        (("item", 1), ("word", "none")),
        (("item", 2), ("word", "b")),
    }
    assert drawn[(("item", 2), ("word", "b"))] / 3000 == pytest.approx(2 / 3, abs=0.05)
    assert recorded.draw(find, rng) == {"word": "7"}
    assert recorded.names(BOTH) == {"show", "find"}
    recorded.see_that_all_are_valid(BOTH)


def test_rows_that_name_no_operation_are_for_all(tmp_path: Path) -> None:
    (tmp_path / "asked.csv").write_text("word\na\n")
    recorded = Recorded(str(tmp_path / "asked.csv"))
    assert recorded.names(BOTH) == {"show", "find"}
    assert recorded.draw(find, np.random.default_rng(1)) == {"word": "a"}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("asked.csv", "operation,item\nshow,1\nshow,x\n", "row 2 of 'show': Expected `int`"),
        ("asked.csv", "operation,item\nlist,1\n", "rows of 'list', no operation"),
        ("asked.csv", "operation,item\n", "has no rows"),
        ("asked.jsonl", "{", "asked.jsonl: "),
        ("asked.txt", "", "are .csv, .jsonl, .parquet"),
    ],
)
def test_what_is_not_valid_is_refused(name: str, text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PluginError, match=says):
        Recorded(str(tmp_path / name)).see_that_all_are_valid(BOTH)


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(PluginError, match=r"/nowhere\.csv does not exist"):
        _ = Recorded("/nowhere.csv").rows
