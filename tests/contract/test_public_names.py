"""The names that authors write with, and those that they wrote with before."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import asyncdb_bench
from asyncdb_bench.contract.engine import connect_arguments, connection_target
from asyncdb_bench.errors import PluginError
from asyncdb_bench.old_names import PLACES, RENAMED
from asyncdb_bench.plan.registry import folder, names, strategy_class

ROOT = Path(__file__).parents[2]
MOST_LINES = {"blocking": 25, "native": 25, "executor": 40, "celery": 60, "celery_aio": 60}


@pytest.mark.parametrize("name", asyncdb_bench.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(asyncdb_bench, name)
    if callable(found) and not isinstance(found, type(asyncdb_bench.Params)):
        assert found.__doc__


def test_the_package_is_typed() -> None:
    assert (Path(asyncdb_bench.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("name", names("strategies"))
def test_a_built_in_strategy_uses_public_names_alone_and_is_short(name: str) -> None:
    text = (folder("strategies") / f"{name}.py").read_text()
    assert "from asyncdb_bench import" in text
    assert len(text.splitlines()) <= MOST_LINES.get(name, 40)


def test_an_async_session_strategy_names_its_driver_and_is_done() -> None:
    assert strategy_class("native").packages == ("tornado", "sqlalchemy[asyncio]", "asyncpg")
    assert strategy_class("psycopg_async").packages[-1] == "psycopg[binary]"


def test_an_unknown_driver_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PluginError, match="'mysql' is not one of asyncpg, psycopg"):
        connect_arguments("mysql", connection_target("postgresql://h/d"))


@pytest.mark.parametrize("old", PLACES)
def test_an_old_module_gives_the_same_objects_and_a_warning(old: str) -> None:
    module = imported_by_old_name(old)
    new = importlib.import_module(f"asyncdb_bench.{PLACES[old][0]}")
    shared = [each for each in vars(new) if each[0].isupper() and each in vars(module)]
    assert shared
    renamed = RENAMED.get(old, {}).values()
    assert all(
        getattr(module, each) is getattr(new, each) for each in shared if each not in renamed
    )


def imported_by_old_name(name: str) -> Any:
    sys.modules.pop(f"asyncdb_bench.{name}", None)
    with pytest.warns(DeprecationWarning, match="moved"):
        return importlib.import_module(f"asyncdb_bench.{name}")


def test_old_names_of_classes_are_there_too() -> None:
    assert imported_by_old_name("scenario").Knobs is asyncdb_bench.ScenarioKnobs
    target = "postgresql://u@127.0.0.1/d?sslmode=require"
    url, mode = imported_by_old_name("session").dialect_url(target, "asyncpg")
    assert (url.drivername, mode) == ("postgresql+asyncpg", "require")


@pytest.mark.parametrize("name", ["knob", "operation"])
def test_a_function_of_an_old_modules_name_goes_on_to_work(name: str) -> None:
    imported_by_old_name(name)
    if name == "knob":
        assert asyncdb_bench.knob(3, low=1, high=5).default == 3
        return

    @asyncdb_bench.operation(check=lambda _params, _answer: True)
    def nothing() -> asyncdb_bench.Steps:
        """Ask for nothing."""
        return {"answer": (yield None)}

    assert nothing.name == "nothing"


def test_an_unknown_module_is_still_unknown() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("asyncdb_bench.nothing_of_this_name")


def test_importing_the_names_loads_no_database_library() -> None:
    code = (
        "import sys, asyncdb_bench; "
        "heavy = {'sqlalchemy', 'celery', 'asyncpg', 'psycopg', 'tornado', 'pandas', 'numpy'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert said.stdout.strip() == "[]"
