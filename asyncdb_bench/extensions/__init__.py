"""What most runs do without: each folder here is an extension, and can be deleted.

An extension's ``__init__.py`` imports nothing; it names what it adds, as ``"module:name"`` by the
name of the hook. The core asks for a hook and works without an answer:

- ``VERBS``: verbs of the command line by name, functions as typer takes them.
- ``AFTER_TURNS``: functions by the name of the setting that asks for them, called with the run's
  context, its plan and its display after the turns.
- ``RECORDS``: types of a line, by the file of a run's folder whose lines they are.
- ``SECTIONS``: functions that return blocks of the report's "Fairness and cost" from its findings.
- ``KEEP_RUN``: functions that append a run to a record of many, called with the folder of results
  and the run's; they return what came of it in words.
- ``PLACES``: what reaches other machines: ``read`` (the file of ``--hosts`` -> hosts), ``misfits``
  (hosts, settings, variants -> what does not go together), ``reach`` (hosts, folder of logs -> a
  context manager that is a :class:`asyncdb_bench.processes.place.Placement`).
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import Any


@cache
def added(hook: str) -> dict[str, str]:
    """Return what extensions add to a hook, by name.

    Parameters
    ----------
    hook : ``"VERBS"``, or another of those above.

    Returns
    -------
    Name -> ``"module:name"``, in the order of the extensions' names.
    """
    found: dict[str, str] = {}
    for name in sorted(os.listdir(__path__[0])):  # noqa: PTH208 - before pathlib is imported
        if not name.startswith("_"):
            found |= getattr(import_module(f"{__name__}.{name}"), hook, {})
    return found


def loaded(path: str) -> Any:
    """Return what ``"module:name"`` names."""
    module, name = path.split(":")
    return getattr(import_module(module), name)
