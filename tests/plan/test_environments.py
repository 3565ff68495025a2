"""Environments for named versions: made, checked, kept within bounds; what cannot be made is told.

With tiny packages built on the spot, never with an index of others.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from asyncdb_bench.errors import StoreError, UsageError
from asyncdb_bench.plan.environment_cache import NOTE, EnvironmentCache, sizes_mb
from asyncdb_bench.plan.environments import NotMadeError, environment_of, own_line
from asyncdb_bench.plan.named_versions import NamedVersions, is_named, parse_versions, roots
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import make_variant
from tests.tiny_index import TinyIndex


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> TinyIndex:
    made = TinyIndex(tmp_path_factory.mktemp("index"))
    for version in ("1.0", "1.1", "2.0"):
        made.add("tiny-one", version)
    made.add("tiny-two", "1.0", {"tiny_two.py": ""}, needs=("tiny-one<2",))
    made.add("tiny-two", "1.5", {"tiny_two.py": ""}, yanked=True)
    return made


@pytest.fixture
def cache(index: TinyIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EnvironmentCache:
    for name, value in index.environment.items():
        monkeypatch.setenv(name, value)
    return EnvironmentCache(tmp_path / "environments")


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have environments hold nothing but what is named: it takes half as long."""
    monkeypatch.setattr("asyncdb_bench.plan.environments.own_requirements", list)


@pytest.mark.parametrize(
    ("at", "named"),
    [
        ("sqlalchemy==2.0.44", True),
        ("psycopg[c]==3.1.*", True),
        ("psycopg[]", True),
        ("python3.13", True),
        ("python3.14t", True),
        ("../base", False),
        ("base", False),
        (".venv", False),
        ("/opt/python3.13", False),
        ("~/asyncpg==1", False),
    ],
)
def test_versions_are_told_from_paths(at: str, named: bool) -> None:
    assert is_named(at) == named


def test_several_are_named_with_plus_and_local_versions_have_their_own() -> None:
    found = parse_versions("asyncpg==0.29.0+uvloop==0.19.0+torch==2.1+cu118+python3.13")
    texts = [each.text for each in found.requirements]
    assert texts == ["asyncpg==0.29.0", "uvloop==0.19.0", "torch==2.1+cu118"]
    assert found.python == "3.13"


def test_in_a_request_commas_between_bounds_and_extras_separate_nothing() -> None:
    first, second, third = parse_specs("a@psycopg[c,pool]>=3.1,<3.2:pool=4,b@x==1,knob=2,c")
    assert (first.name, first.at, first.knobs) == ("a", "psycopg[c,pool]>=3.1,<3.2", {"pool": "4"})
    assert (second.at, second.knobs) == ("x==1", {"knob": "2"})
    assert third.name == "c"


@pytest.mark.parametrize(
    "at", ["asyncpg==x", "a==1+a==2", "python3.12+python3.13", "asyncpg=1", "a==1 ; sys_platform"]
)
def test_what_reads_wrong_is_refused(at: str) -> None:
    with pytest.raises(UsageError, match="@"):
        parse_versions(at)


def test_own_bounds_give_way_and_extras_that_are_named_replace_ours() -> None:
    own = ["sqlalchemy[asyncio]>=2.1", "psycopg[binary]>=3.3", "uvloop>=0.23; os_name != 'nt'"]
    found = roots(own, parse_versions("psycopg[]==3.2.1+sqlalchemy==2.0.44"))
    assert found == [
        "sqlalchemy[asyncio]",
        'uvloop ; os_name != "nt"',
        "psycopg==3.2.1",
        "sqlalchemy==2.0.44",
    ]
    assert roots(own, NamedVersions(()))[1] == "psycopg[binary]"


def test_a_variant_of_a_version_runs_there_and_says_what_differs(cache: EnvironmentCache) -> None:
    (spec,) = parse_specs("native@tiny-one==1.1:pool=3")
    found = make_variant(spec, 8, cache=cache.folder)
    assert not found.not_run
    assert found.label == "native@tiny-one==1.1:pool=3"
    assert found.knobs["pool"] == 3
    assert found.elsewhere is not None
    assert found.elsewhere.differs == {"tiny-one": ("", "1.1")}
    assert found.elsewhere.differing({}) == ["tiny-one 1.1 instead of none"]
    said = subprocess.run(
        [found.elsewhere.python, "-c", "import tiny_one; print(tiny_one.VERSION)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "1.1"


@pytest.mark.parametrize(
    ("at", "why"),
    [
        ("tiny-one==9.9", "uv: .*tiny-one==9.9"),
        ("tiny-two==1.0+tiny-one==2.0", "uv: .*tiny-one<2"),
        ("python3.99", "uv: .*3.99"),
    ],
)
def test_what_cannot_be_had_is_not_run_because_of_the_resolvers_own_line(
    cache: EnvironmentCache, at: str, why: str
) -> None:
    (spec,) = parse_specs(f"native@{at}")
    found = make_variant(spec, 8, cache=cache.folder)
    assert found.label == f"native@{at}"
    assert re.search(why, found.not_run), found.not_run
    assert list(cache.folder.glob("*.partial")) == []
    assert cache.described() == "none"


def test_a_wrong_knob_is_wrong_with_any_version(cache: EnvironmentCache) -> None:
    (spec,) = parse_specs("native@tiny-one==1.0:pool=0")
    with pytest.raises(UsageError, match=r"outside 1\.\.1000"):
        make_variant(spec, 8, cache=cache.folder)


def test_it_is_made_once_and_without_an_index_goes_on_to_work(
    cache: EnvironmentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    first = environment_of("tiny-one==1.0", cache)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    assert environment_of("tiny-one==1.0", cache) == first
    with pytest.raises(NotMadeError, match="uv: "):
        environment_of("tiny-one==1.1", cache)


def test_one_that_was_altered_by_hand_is_made_anew(
    cache: EnvironmentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    kept = environment_of("tiny-one==1.0", cache)
    (module,) = kept.folder.glob("lib/python3*/site-packages/tiny_one.py")
    # in place: what uv keeps shares the file, and is not taken from there either
    module.write_text("VERSION = 'another'\n")
    again = environment_of("tiny-one==1.0", cache)
    assert again.folder == kept.folder
    assert module.read_text() == "VERSION = '1.0'\n"
    module.unlink()
    environment_of("tiny-one==1.0", cache)
    assert module.exists()


def test_what_python_compiles_later_alters_nothing(
    cache: EnvironmentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    kept = environment_of("tiny-one==1.0", cache)
    subprocess.run([kept.python, "-c", "import tiny_one"], check=True)
    made = (kept.folder / NOTE).stat().st_mtime_ns
    environment_of("tiny-one==1.0", cache)
    assert (kept.folder / NOTE).stat().st_mtime_ns == made


def test_two_at_once_make_it_once(cache: EnvironmentCache, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)
    made: list[Path] = []
    makers = [
        threading.Thread(target=lambda: made.append(environment_of("tiny-one==1.0", cache).folder))
        for _ in range(3)
    ]
    for each in makers:
        each.start()
    for each in makers:
        each.join()
    assert len(made) == 3
    assert len(set(made)) == 1
    assert len(list(cache.folder.glob(f"*/{NOTE}"))) == 1


def test_what_a_kill_left_half_made_is_removed(
    cache: EnvironmentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    (cache.folder / "abc.partial" / "bin").mkdir(parents=True)
    environment_of("tiny-one==1.0", cache)
    assert not (cache.folder / "abc.partial").exists()


def test_a_disk_that_is_full_leaves_nothing_half_made(
    cache: EnvironmentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        folder.mkdir()
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        cache.lend("abc", full)  # type: ignore[arg-type]
    assert [each.name for each in cache.folder.iterdir()] == ["lock"]


USES_ONE = """
import sys
from pathlib import Path
from asyncdb_bench.plan import environments
from asyncdb_bench.plan.environment_cache import EnvironmentCache
environments.own_requirements = list
environments.environment_of(sys.argv[2], EnvironmentCache(Path(sys.argv[1])))
print("has it", flush=True)
sys.stdin.read()
"""


def using(cache: EnvironmentCache, at: str) -> subprocess.Popen[str]:
    """Start a process that uses an environment until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", USES_ONE, str(cache.folder), at],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "has it"
    return process


def test_what_is_used_longest_ago_goes_first_and_what_is_in_use_stays(
    cache: EnvironmentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    monkeypatch.setenv("ASYNCDB_BENCH_CACHE_MB", "0.000001")
    used = using(cache, "tiny-one==1.0")
    using(cache, "tiny-one==1.1").communicate("")
    assert len(list(cache.folder.glob(f"*/{NOTE}"))) == 2
    using(cache, "tiny-one==2.0").communicate("")
    notes = [each.read_text() for each in cache.folder.glob(f"*/{NOTE}")]
    assert sorted("1.1" in each for each in notes) == [False, False]
    assert cache.empty() == (1, 1)
    used.communicate("")
    assert cache.empty() == (1, 0)
    assert cache.described() == "none"


def test_environments_share_their_files(
    cache: EnvironmentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    first = environment_of("tiny-one==1.0", cache)
    second = environment_of("tiny-one==1.0+tiny-two==1.0", cache)
    name = "lib/python3*/site-packages/tiny_one.py"
    (one,), (other,) = first.folder.glob(name), second.folder.glob(name)
    assert one.samefile(other)
    sizes = sizes_mb([first.folder, second.folder])
    assert sizes[second.folder] < sizes[first.folder] + 0.1


def test_credentials_of_an_index_are_never_shown(
    cache: EnvironmentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://somebody:verysecret@127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(NotMadeError) as told:
        environment_of("tiny-one==1.0", cache)
    assert "verysecret" not in str(told.value)
    assert (
        own_line("error: no\n  cause: https://a:b@host/x failed\n") == "https://***@host/x failed"
    )
