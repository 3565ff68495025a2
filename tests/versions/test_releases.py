"""Releases as uv finds them, in an index on disk with tiny packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdb_bench.errors import UsageError
from asyncdb_bench.extensions.versions.releases import Range, releases
from asyncdb_bench.plan.environments import NotMadeError
from tests.tiny_index import TinyIndex


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> TinyIndex:
    made = TinyIndex(tmp_path_factory.mktemp("index"))
    for version in ("0.9", "1.0", "1.1", "1.1.1", "2.0", "2.1b1"):
        made.add("tiny-one", version)
    made.add("tiny-one", "2.0.1", yanked=True)
    return made


@pytest.fixture(autouse=True)
def _use(index: TinyIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in index.environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Range(last=2), ["1.1.1", "2.0"]),
        (Range(), ["0.9", "1.0", "1.1", "1.1.1", "2.0"]),
        (Range(first="1.0", final="1.1"), ["1.0", "1.1", "1.1.1"]),
        (Range(minor=True), ["0.9", "1.0", "1.1.1", "2.0"]),
        (Range(final="1.5", last=1), ["1.1.1"]),
    ],
)
def test_what_is_yanked_or_a_pre_release_is_left_out(wanted: Range, found: list[str]) -> None:
    assert releases("tiny-one", wanted) == found


def test_extras_do_not_matter() -> None:
    assert releases("tiny_one[fast]", Range(last=1)) == ["2.0"]


def test_a_package_that_is_not_there_is_told_with_uvs_line() -> None:
    with pytest.raises(NotMadeError, match="tiny-three"):
        releases("tiny-three", Range(last=3))


def test_a_bound_that_is_no_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no version"):
        releases("tiny-one", Range(first="one"))
    with pytest.raises(UsageError, match="no release"):
        releases("tiny-one", Range(first="3.0"))
