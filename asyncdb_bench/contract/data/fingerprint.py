"""What the data that code makes follows from, as text: equal texts, equal data.

Code is what it does, so all that it works with counts: its instructions, what it closes over, its
defaults, the names of its module that it uses, the files that it names. What is none of that (an
iterator, a connection, an open file) makes a text that equals no other.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import pickle
import pickletools
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any

from asyncdb_bench.errors import LIBRARIES


def anew() -> str:
    """Return a text that equals no other."""
    return uuid.uuid4().hex


def of_callable(call: Any) -> str:
    """Return what a function's work follows from.

    Parameters
    ----------
    call : a function, a partial object, a method, an object that can be called.
    """
    try:
        parts = _Parts.of(call)
        return hashlib.sha256(parts + _files(parts, _folder(call))).hexdigest()
    except Exception:
        return anew()


def of_metadata(metadata: Any) -> str:
    """Return what SQLAlchemy sends to create tables, types, indexes and constraints."""
    from sqlalchemy import create_mock_engine

    sent: list[str] = []

    def note(statement: Any, *_: Any, **__: Any) -> None:
        sent.append(str(statement.compile(dialect=engine.dialect)))

    engine = create_mock_engine("postgresql+psycopg://", note)
    try:
        metadata.create_all(engine, checkfirst=False)
    except Exception:
        # a listener of somebody's that needs a database
        return anew()
    # the indexes of a table are a set
    return "\n".join(sorted(sent))


class _Parts(pickle.Pickler):
    """Writes what objects consist of; never to be read back."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.names: set[str] = set()
        self.seen: dict[int, int] = {}
        self.kept: list[Any] = []
        self.plain: dict[type, Callable[[Any], Any]] = {
            CodeType: lambda c: _told("code", c.co_code, repr(c.co_names), c.co_consts),
            ModuleType: self._module,
            PurePath: lambda path: _told("path", str(path)),
        }

    @classmethod
    def of(cls, value: Any) -> bytes:
        """Return what a value consists of."""
        file = io.BytesIO()
        cls(file).dump(value)
        return file.getvalue()

    def reducer_override(self, value: Any) -> Any:
        """Return a function, class or module as its parts; anything else as pickle has it."""
        parts = self._parts_of(value)
        if parts is None:
            return NotImplemented
        return self._once(value, parts)

    def _parts_of(self, value: Any) -> Callable[[Any], Any] | None:
        if isinstance(value, FunctionType):
            return self._function if _is_own(value) else None
        if isinstance(value, type):
            return None if _is_library(value.__module__) else self._class
        if hasattr(value, "create_all") and hasattr(value, "sorted_tables"):
            return lambda metadata: _told("tables", of_metadata(metadata))
        for kind, parts in self.plain.items():
            if isinstance(value, kind):
                return parts
        return None

    def _once(self, value: Any, parts: Callable[[Any], Any]) -> Any:
        known = self.seen.get(id(value))
        if known is not None:
            return _told("again", known)
        self.seen[id(value)] = len(self.seen)
        # the address of an object that is gone may be another's
        self.kept.append(value)
        return parts(value)

    def _function(self, value: FunctionType) -> Any:
        names = _names(value.__code__)
        self.names |= names
        used = {} if _is_of_library(value) else _picked(value.__globals__, names)
        closed = [cell.cell_contents for cell in value.__closure__ or ()]
        defaults = value.__defaults__, value.__kwdefaults__
        return _told("function", value.__code__, defaults, closed, used)

    def _module(self, value: ModuleType) -> Any:
        if _is_library(value.__name__):
            return _told("module", value.__name__)
        return _told("module", _picked(vars(value), self.names))

    def _class(self, value: type) -> Any:
        own = vars(value)
        if "metadata" in dir(value):
            return _told("model", value.__qualname__, of_metadata(value.metadata))  # type: ignore[attr-defined]
        names = {
            name
            for name, each in own.items()
            if isinstance(each, FunctionType) or (name in self.names and not callable(each))
        }
        return _told("class", value.__qualname__, value.__bases__, _picked(own, names))


def _told(*parts: Any) -> tuple[Any, tuple[Any, ...]]:
    return tuple, (parts,)


def _names(code: CodeType) -> set[str]:
    """Return the names that code uses, in the functions within it, too."""
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _picked(values: Mapping[str, Any], names: set[str]) -> list[tuple[bytes, Any]]:
    """Return some values by name; the names as bytes, so that none is taken for a file's."""
    return [(each.encode(), values[each]) for each in sorted(names & set(values))]


def _is_of_library(value: FunctionType) -> bool:
    return bool(LIBRARIES.search(value.__code__.co_filename))


def _is_own(value: FunctionType) -> bool:
    """Return whether a function is to be told by its parts: not one that a library has by name."""
    return "<locals>" in value.__qualname__ or not _is_of_library(value)


def _is_library(module: str) -> bool:
    found = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    return found is not None and (file is None or bool(LIBRARIES.search(file)))


def _folder(call: Any) -> Path:
    code = getattr(getattr(call, "func", call), "__code__", None)
    return Path(code.co_filename).parent if code is not None else Path()


def _files(parts: bytes, folder: Path) -> bytes:
    """Return the hashes of the files that texts among the parts name.

    Raises
    ------
    OSError : one is a folder, or cannot be read: what is taken from it is not known.
    """
    texts = (each for _, each, _ in pickletools.genops(parts) if isinstance(each, str))
    named = {each for each in texts if any(map(str.isalnum, each))}
    found = (base / each for each, base in itertools.product(sorted(named), (Path(), folder)))
    return b"".join(hashlib.sha256(each.read_bytes()).digest() for each in found if _is_there(each))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # a text that is no path: too long, or with a null character
        return False
