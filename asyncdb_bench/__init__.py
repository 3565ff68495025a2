"""asyncdb-bench measures how a Tornado application should call its SQL database.

Authors of strategies and scenarios write with the names of :mod:`asyncdb_bench.public`, see
docs/add-a-strategy.md and docs/add-a-scenario.md. docs/from-python.md says how runs are read and
started from Python, docs/own-application.md what an application of one's own calls. The names are
stable: a change of one is announced in CHANGELOG.md.

A name is imported when it is used; :func:`attach` and :func:`trace` are those of
:mod:`asyncdb_bench_attach`, which other people's applications install alone.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from asyncdb_bench_attach import __version__ as __version__

if _TYPE_CHECKING:
    from asyncdb_bench.public import *  # noqa: F403
    from asyncdb_bench.scripting import LoadedRun as LoadedRun
    from asyncdb_bench.scripting import compare as compare
    from asyncdb_bench.scripting import load_run as load_run
    from asyncdb_bench.scripting import make_plan as make_plan
    from asyncdb_bench.scripting import run as run
    from asyncdb_bench_attach import attach as attach
    from asyncdb_bench_attach import trace as trace

_APART = dict.fromkeys(("attach", "trace"), "asyncdb_bench_attach")
_APART |= dict.fromkeys(
    ("LoadedRun", "compare", "load_run", "make_plan", "run"), f"{__name__}.scripting"
)
"""Names that need libraries of their own, or none, by module."""


def __getattr__(name: str) -> _Any:
    """Import a public name where it is first used."""
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module 'asyncdb_bench' has no attribute {name!r}")
    if name == "__all__":
        return __dir__()
    module = _import_module(_APART.get(name, "asyncdb_bench.public"))
    if name not in _APART and name not in module.__all__:
        raise AttributeError(f"module 'asyncdb_bench' has no attribute {name!r}")
    found = globals()[name] = getattr(module, name)
    return found


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted([*_APART, *_import_module("asyncdb_bench.public").__all__])
