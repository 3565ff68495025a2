"""The names that authors write with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import asyncdb_bench
from asyncdb_bench.contract.engine import connect_arguments, connection_target
from asyncdb_bench.errors import PluginError
from asyncdb_bench.plan.registry import folder, names, strategy_class

ROOT = Path(__file__).parents[2]
MOST_LINES = {"blocking": 25, "native": 25, "executor": 40, "celery": 60, "celery_aio": 60}


def test_every_public_name_is_there() -> None:
    assert [each for each in asyncdb_bench.__all__ if not hasattr(asyncdb_bench, each)] == []


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
