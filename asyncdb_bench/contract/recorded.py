"""Parameters from a recorded file: what was asked for, in the shares in which it was."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.errors import PluginError

if TYPE_CHECKING:
    import numpy as np

OPERATION = "operation"


class Recorded:
    """Parameters of requests, a row each, in CSV, JSON lines or Parquet.

    Parameters
    ----------
    path : of the file. A column ``operation`` says whose parameters a row has; without it the rows
        are for every operation of the mix. An empty field of CSV or Parquet is left out.
    beside : ``__file__`` of the scenario, where the path is relative to it.
    """

    def __init__(self, path: str, beside: str = "") -> None:
        self.path = Path(beside).resolve().parent / path if beside else Path(path)

    @functools.cached_property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The rows by operation; under an empty name those that name none.

        Raises
        ------
        PluginError : there is no such file, it cannot be read, or has no rows.
        """
        try:
            read = _READERS[self.path.suffix](self.path)
        except KeyError:
            known = ", ".join(_READERS)
            raise PluginError(f"{self.path}: recorded parameters are {known}") from None
        except FileNotFoundError:
            raise PluginError(f"{self.path} does not exist") from None
        except Exception as error:
            raise PluginError(f"{self.path}: {error}") from error
        found: dict[str, list[dict[str, Any]]] = {}
        for row in read:
            given = dict(row)
            found.setdefault(str(given.pop(OPERATION, "")), []).append(given)
        if not found:
            raise PluginError(f"{self.path} has no rows")
        return found

    def names(self, mix: Iterable[str]) -> set[str]:
        """Return the operations that it has parameters of."""
        return set(mix) if "" in self.rows else set(self.rows)

    def draw(self, operation: Operation, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a row, as the operation's types.

        Raises
        ------
        PluginError : it has no such parameters, or of another type.
        """
        rows = self.rows.get(operation.name) or self.rows.get("") or []
        if not rows:
            raise PluginError(f"{self.path} has no parameters of {operation.name!r}")
        return self._params(operation, rows, int(rng.integers(0, len(rows))))

    def see_that_all_are_valid(self, operations: Mapping[str, Operation]) -> None:
        """Read every row as its operation's types.

        Parameters
        ----------
        operations : of the scenario, by name.

        Raises
        ------
        PluginError : a row is not valid, or of an operation that there is not.
        """
        for name, rows in self.rows.items():
            if name and name not in operations:
                raise PluginError(f"{self.path} has rows of {name!r}, no operation of the scenario")
            for place in range(len(rows)):
                for operation in [operations[name]] if name else operations.values():
                    self._params(operation, rows, place)

    def _params(
        self, operation: Operation, rows: list[dict[str, Any]], place: int
    ) -> dict[str, Any]:
        try:
            made = msgspec.convert(rows[place], operation.params_type, strict=False)
        except msgspec.ValidationError as error:
            raise PluginError(
                f"{self.path}: row {place + 1} of {operation.name!r}: {error}"
            ) from None
        return msgspec.structs.asdict(made)


def _csv(path: Path) -> list[dict[str, Any]]:
    import csv

    with path.open(newline="") as lines:
        return [there(each) for each in csv.DictReader(lines)]


def _json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _parquet(path: Path) -> list[dict[str, Any]]:
    from pyarrow import parquet

    return [there(each) for each in parquet.read_table(path).to_pylist()]


def there(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without its empty fields: JSON lines alone can say null and an empty text."""
    return {str(name): value for name, value in row.items() if value is not None and value != ""}


_READERS = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
