"""A name -> a strategy or scenario class, from three places; and requests for variants, parsed."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from asyncdb_bench.contract.knob import make_knobs
from asyncdb_bench.contract.scenario import Scenario
from asyncdb_bench.contract.strategy import Strategy
from asyncdb_bench.errors import PluginError, UnknownNameError, described
from asyncdb_bench.plan.request import is_file

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parent


def folder(kind: str) -> Path:
    """Return where the built-in plugins of a kind (``"strategies"``) lie."""
    carried = PACKAGE / "_builtin" / kind
    return carried if carried.is_dir() else CHECKOUT / kind


def own_folder(kind: str) -> Path | None:
    """Return where plugins of the working folder lie; None: none, or it is a checkout itself."""
    return Path(kind).resolve() if Path(kind).is_dir() and not in_checkout() else None


def in_checkout() -> bool:
    """Return whether the working folder is a checkout of this project, this one or another."""
    return Path("asyncdb_bench", "app").is_dir()


def groups(kind: str) -> dict[str, list[str]]:
    """Return the built-in plugins that lie in a folder of their own, by the folder's name.

    They are asked for by their own names or by the folder's, and are not among all.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(folder(kind).glob("*/[!_]*.py")):
        found.setdefault(path.parent.name, []).append(path.stem)
    return found


def known(kind: str) -> list[str]:
    """Return every plugin's name, those in groups included."""
    return [*names(kind), *(name for each in groups(kind).values() for name in each)]


def members(kind: str, group: str) -> list[str]:
    """Return what a group's name stands for: its plugins, and those it is compared with."""
    beside: tuple[str, ...] = _builtin(kind, group, "__init__").BESIDE
    return [*groups(kind)[group], *beside]


def names(kind: str) -> list[str]:
    """Return the names of a kind: built-in files, those of the working folder, entry points.

    Those of :func:`groups` are not among them.
    """
    places = [folder(kind), own_folder(kind)]
    found = [sorted(p.stem for p in each.glob("*.py")) for each in places if each is not None]
    files = [name for each in found for name in each if name[0] != "_"]
    extra = [each.name for each in _entry_points(kind)]
    return files + [each for each in extra if each not in files]


@functools.cache
def _installed() -> Any:
    # it reads a file of each installed package
    return entry_points()


def _entry_points(kind: str) -> Iterable[EntryPoint]:
    found: Iterable[EntryPoint] = _installed().select(group=f"asyncdb_bench.{kind}")
    return found


def strategy_class(name: str) -> type[Strategy[Any]]:
    """Return a strategy's class.

    Raises
    ------
    UnknownNameError : no strategy of that name.
    PluginError : its file does not import or lacks a method.
    """
    found: type[Strategy[Any]] = _find("strategies", "strategy", name, Strategy)
    return found


def scenario_class(name: str) -> type[Scenario[Any]]:
    """Return a scenario's class; raises as :func:`strategy_class`."""
    found: type[Scenario[Any]] = _find("scenarios", "scenario", name, Scenario)
    return found


def is_scenario(name: str) -> bool:
    """Return whether a name is a scenario's.

    Raises
    ------
    UnknownNameError : it is neither a strategy's nor a scenario's.
    PluginError : its file does not import, or is neither.
    """
    if is_file(name):
        found = _from_file(name, "strategy or scenario")
        return inspect.isclass(found) and issubclass(found, Scenario)
    both = known("strategies"), known("scenarios")
    if not any(name in each for each in both):
        raise UnknownNameError("strategy or scenario", name, [*both[0], *both[1]])
    return name in both[1]


def make_scenario(name: str, knobs: Mapping[str, Any]) -> Scenario[Any]:
    """Return a scenario with its knobs set; knobs may be text."""
    cls = scenario_class(name)
    return cls(make_knobs(cls.Knobs, knobs, owner=cls.name, budget=0))


def _find(kind: str, word: str, name: str, base: Any) -> Any:
    if is_file(name):
        return _checked(_from_file(name, word), base, name, word)
    inside = next((group for group, each in groups(kind).items() if name in each), "")
    if inside or (folder(kind) / f"{name}.py").is_file():
        if (own := own_folder(kind)) is not None and (own / f"{name}.py").is_file():
            raise PluginError(f"{own}/{name}.py has the name of a built-in {word}: rename it")
        return _checked(_only_class(_builtin(kind, inside, name), base, name), base, name, word)
    own = own_folder(kind)
    if own is not None and (own / f"{name}.py").is_file():
        module = _module_of_file(own / f"{name}.py")
        return _checked(_only_class(module, base, name), base, name, word)
    for entry in _entry_points(kind):
        if entry.name != name:
            continue
        try:
            return _checked(entry.load(), base, name, word)
        except (ImportError, AttributeError) as error:
            raise PluginError(f"{word} {name!r} ({entry.value}) does not load: {error}") from error
    raise UnknownNameError(word, name, known(kind))


def _builtin(kind: str, group: str, name: str) -> Any:
    path = folder(kind) / group / f"{name}.py"
    module = ".".join(filter(None, (kind, group, name)))
    try:
        if folder(kind).parent != CHECKOUT:
            return importlib.import_module(f"asyncdb_bench._builtin.{module}")
        return _of_checkout(module, path)
    except Exception as error:
        raise PluginError(f"{path} does not import: {type(error).__name__}: {error}") from error


def _of_checkout(name: str, path: Path) -> Any:
    """Import a module of the checkout, also where ``PYTHONPATH`` has one of its folder's name."""
    if name in sys.modules:
        return sys.modules[name]
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))
    return _loaded(name, path)


def _loaded(name: str, path: Path) -> Any:
    """Run a file as a module of some name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_file(name: str, word: str) -> Any:
    path_text, _, class_name = name.rpartition(":")
    path = Path(path_text or class_name)
    if not path_text:
        raise PluginError(f"{name!r} names no class; write {name}:ClassName")
    if not path.is_file():
        raise PluginError(f"{word} file {path} does not exist")
    module = _module_of_file(path)
    if not hasattr(module, class_name):
        raise PluginError(f"{path} has no class {class_name!r}")
    return getattr(module, class_name)


def _module_of_file(path: Path) -> Any:
    try:
        return _loaded_once(path.resolve(), path.stat().st_mtime_ns)
    except Exception as error:
        raise PluginError(f"{path} does not import: {described(error)}") from error


@functools.cache
def _loaded_once(path: Path, _changed_ns: int) -> Any:
    return _loaded(f"asyncdb_bench_plugin_{path.stem}", path)


def _only_class(module: Any, base: type, name: str) -> Any:
    own = [
        each
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, base) and each.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise PluginError(
            f"{module.__file__} must define one {base.__name__} {name!r}, not {len(own)}"
        )
    return own[0]


def _checked(cls: Any, base: Any, name: str, word: str) -> Any:
    if not (inspect.isclass(cls) and issubclass(cls, base)):
        raise PluginError(f"{name!r} is not a {base.__name__}; see docs/add-a-{word}.md")
    lacking = sorted(getattr(cls, "__abstractmethods__", ()))
    lacking += [each for each in ("name", "summary") if not hasattr(cls, each)]
    if lacking:
        raise PluginError(f"{word} {name!r} lacks {', '.join(lacking)}; see docs/add-a-{word}.md")
    return cls
