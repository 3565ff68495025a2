"""Modules by the names that they had before schema 3, for strategies and scenarios of others.

``from asyncdb_bench.session import SessionStrategy`` goes on to work and gives a
:class:`DeprecationWarning` that names the replacement.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PLACES: Mapping[str, tuple[str, ...]] = {
    "operation": ("contract.operation",),
    "session": ("contract.engine", "contract.session_strategies"),
    "strategy": ("contract.strategy",),
    "scenario": ("contract.scenario",),
    "knob": ("contract.knob",),
    "model": ("records.plan", "records.step", "records.run"),
    "standard": ("contract.data.standard",),
    "dataset": ("contract.data.accounts",),
    "chatdata": ("contract.data.chat",),
    "phases": ("contract.timing",),
    "timed": ("contract.engine_timing",),
}
"""Old module -> where its names are now."""

RENAMED: Mapping[str, Mapping[str, str]] = {
    "scenario": {"Knobs": "ScenarioKnobs"},
    "dataset": {"Base": "AccountTables"},
    "chatdata": {"Base": "ChatTables"},
    "phases": {"Told": "ServerTiming"},
}


class OldModule(ModuleType):
    """A module of before.

    The import system makes it an attribute of the package, in the place of the public function of
    the same name (``asyncdb_bench.knob``, ``asyncdb_bench.operation``): it can be called like that.
    """

    def __call__(self, *given: Any, **options: Any) -> Any:
        """Call the function that the module is named after."""
        return getattr(self, self.__name__.rpartition(".")[2])(*given, **options)


class OldModules(MetaPathFinder, Loader):
    """Finds what was a module of the package, as one that reads from where its names are now."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a specification for an old name; None for any other."""
        package, _, module = name.partition(".")
        known = package == __package__ and module in PLACES
        return ModuleSpec(name, self) if known else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return a module that can be called like the function of its name, where there is one."""
        return OldModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Fill an old module and say what replaces it."""
        old = module.__name__.partition(".")[2]
        warnings.warn(
            f"{module.__name__} moved: write `from asyncdb_bench import …` for the names that"
            f" authors use, or {' and '.join(f'asyncdb_bench.{each}' for each in PLACES[old])}",
            DeprecationWarning,
            stacklevel=2,
        )
        for place in PLACES[old]:
            found = importlib.import_module(f"asyncdb_bench.{place}")
            public = {k: v for k, v in vars(found).items() if not k.startswith("__")}
            vars(module).update(public)
        for before, after in RENAMED.get(old, {}).items():
            setattr(module, before, getattr(module, after))
        if old == "session":
            setattr(module, dialect_url.__name__, dialect_url)


def dialect_url(url: str, driver: str) -> tuple[Any, str]:
    """Name the driver in a ``postgresql://`` URL and take its `sslmode` out, as it once did."""
    from asyncdb_bench.contract.engine import connection_target

    target = connection_target(url)
    return target.url.set(drivername=f"postgresql+{driver}"), target.ssl_mode


def serve_old_names() -> None:
    """Let imports find the old modules, once."""
    if not any(isinstance(each, OldModules) for each in sys.meta_path):
        sys.meta_path.append(OldModules())
