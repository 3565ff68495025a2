"""The names and formats under ``results/``; no other module knows them.

A run's folder: ``manifest.json``, ``steps.jsonl`` (a line per step, appended as it ends),
``trials.jsonl``, ``requests.parquet``, ``series.parquet``, ``summary.json``, ``logs/``, and the
files that extensions name in their hook ``RECORDS``. While a run goes on, the Parquet tables lie in
parts (``requests.parts/``): a run that was cut off keeps every step that had ended.

Schema history: 7, turns of all scenarios within one launch, in place of trials by scenario; what
was written before is read by the version that wrote it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from asyncdb_bench.errors import StoreError, WriteError
from asyncdb_bench.extensions import added, loaded
from asyncdb_bench.records.files import (
    SUMS,
    Appender,
    altered,
    checked,
    read_lines,
    replace,
    storing,
    sums_of,
    sync,
    with_files,
)
from asyncdb_bench.records.run import SCHEMA_VERSION, Calibration, Manifest
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.text import PROGRAM

T = TypeVar("T")

FLUSH_S = 5.0
"""How long rows of a table may lie in memory while a run goes on."""
LEAST_FREE_BYTES = 300 * 1024 * 1024
TABLES = ("requests", "series")
LINES = ("steps.jsonl", "trials.jsonl", *added("RECORDS"))
APPENDED = {*LINES, *(f"{table}.parquet" for table in TABLES)}
"""Those that have their checksums once a run is over."""
FILES = (
    "manifest.json",
    *LINES,
    *(f"{table}.parquet" for table in TABLES),
    "gate.json",
    "summary.json",
)


class RunFolder:
    """One run's files.

    Parameters
    ----------
    path : its folder, ``results/<run-id>``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._appender = Appender()
        self._verified = False
        self._rows: dict[str, list[Any]] = {}
        self._flushed_s = time.monotonic()

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def logs(self) -> Path:
        """The folder of the services' and processes' logs."""
        return self.path / "logs"

    def note_event(self, what: str, whose: str = "") -> None:
        """Append a line to ``logs/events.log``: when what began, for whom."""
        path = self.logs / "events.log"
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        with storing(path), path.open("a") as file:
            file.write(f"{when} {what} {whose}".rstrip() + "\n")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend a folder for what one trial passes between its processes."""
        folder = self.path / "scratch"
        with storing(folder):
            folder.mkdir(exist_ok=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write ``manifest.json`` and point ``latest`` at the run: from now on it can be read."""
        self._write("manifest.json", manifest)
        point_latest(self.path.parent, self.run_id)

    def discard(self) -> None:
        """Remove a run in which nothing was measured."""
        shutil.rmtree(self.path, ignore_errors=True)

    def manifest(self) -> Manifest:
        """Read ``manifest.json``.

        Raises
        ------
        StoreError : missing, damaged, or of another schema.
        """
        path = self.path / "manifest.json"
        if not path.is_file():
            raise StoreError(f"{self.path} is not a run: it has no manifest.json")
        raw = self._decoded(path.name, dict[str, Any])
        version = raw.get("schema_version")
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{path} has schema {version}, this version reads {SCHEMA_VERSION}: read it with"
                " the version that wrote it (its git revision is in the manifest)"
            )
        self.verify()
        try:
            return msgspec.convert(raw, Manifest)
        except msgspec.ValidationError as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    def _decoded(self, name: str, kind: type[T]) -> T:
        path = self.path / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    def append_step(self, step: Step) -> None:
        """Append a line to ``steps.jsonl``."""
        self._append("steps.jsonl", step)

    def append_trial(self, end: TrialEnd) -> None:
        """Append a line to ``trials.jsonl``."""
        self._append("trials.jsonl", end)

    def append_record(self, name: str, record: Any) -> None:
        """Append a line to a file of an extension (see its hook ``RECORDS``)."""
        self._append(name, record)

    def recorded(self) -> dict[str, list[Any]]:
        """Read the files of extensions, by name; a list is empty where nothing was recorded.

        Raises
        ------
        StoreError : one is damaged.
        """
        return {name: self._read(name, loaded(path)) for name, path in added("RECORDS").items()}

    def steps(self) -> list[Step]:
        """Read ``steps.jsonl``; a last line that was cut off is left out."""
        return self._read("steps.jsonl", Step)

    def trials(self) -> list[TrialEnd]:
        """Read ``trials.jsonl``."""
        return self._read("trials.jsonl", TrialEnd)

    def verify(self) -> None:
        """See, once, that nothing was altered since it was written.

        Raises
        ------
        StoreError : something was, or is missing; it is named.
        """
        if self._verified or not (self.path / "manifest.json").is_file():
            return
        for name in LINES:
            # before the file as a whole: it names the line
            for _ in read_lines(self.path / name):
                pass
        sums = sums_of(self.path)
        is_over = any(name in sums for name in APPENDED)
        if found := altered(self.path, FILES if is_over else FILES[:1]):
            raise StoreError(f"{'; '.join(found)}; restore it, or measure anew")
        self._verified = True

    def seal(self, *names: str) -> None:
        """Note the checksums of some files, of all where none is named."""
        with storing(self.path / SUMS):
            text = with_files(self.path, names or FILES)
            replace(self.path / SUMS, text.encode())

    def _write(self, name: str, content: Any) -> None:
        """Write a file of JSON whole, and note its checksum."""
        with storing(self.path / name):
            encoded = msgspec.json.format(msgspec.json.encode(content))
            replace(self.path / name, encoded + b"\n")
        self.seal(name)

    def _append(self, name: str, row: Any) -> None:
        with storing(self.path / name):
            self._appender.append(self.path / name, row)

    def _read(self, name: str, kind: type[T]) -> list[T]:
        """Return the records of a file of lines; a last line that was cut off is left out."""
        path, rows = self.path / name, []
        for number, line in read_lines(path):
            try:
                rows.append(msgspec.json.decode(line, type=kind))
            except (msgspec.DecodeError, ValueError) as error:
                raise StoreError(f"{path}:{number} is damaged: {error}") from error
        return rows

    def add_rows(self, table: str, columns: Mapping[str, Any]) -> None:
        """Add rows to a table; they are on disk a few seconds later, see :meth:`flush_rows`.

        Parameters
        ----------
        table : ``"requests"`` or ``"series"``.
        columns : by name, all of one length.
        """
        import pyarrow as pa

        self._rows.setdefault(table, []).append(pa.table(dict(columns)))
        if time.monotonic() - self._flushed_s > FLUSH_S:
            self.flush_rows()

    def flush_rows(self) -> None:
        """Write the rows that were added as a part of each table.

        A file for each turn would be hundreds, and each takes as long as what lies between two
        turns may.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows, self._rows = self._rows, {}
        self._flushed_s = time.monotonic()
        for table, pieces in rows.items():
            folder = self.path / f"{table}.parts"
            number = len(list(folder.glob("*.parquet"))) if folder.is_dir() else 0
            target = folder / f"{number:06d}.parquet"
            with storing(target):
                folder.mkdir(exist_ok=True)
                partial = target.with_suffix(".partial")
                pq.write_table(
                    pa.concat_tables(pieces).combine_chunks(),
                    partial,
                    compression="zstd",
                    write_page_checksum=True,
                )
                partial.rename(target)

    def merge_parts(self) -> None:
        """Make one Parquet file of each table's parts, a part at a time; end what was cut off.

        Afterwards the run is sealed.

        Raises
        ------
        StoreError : something was altered, or cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.verify()
        if sums_of(self.path).keys() & APPENDED:
            return
        shutil.rmtree(self.path / "scratch", ignore_errors=True)
        for table in TABLES:
            parts = self._parts(table)
            if not parts:
                continue
            target = self.path / f"{table}.parquet"
            with storing(target):
                partial = target.with_suffix(".partial")
                schema = pq.read_schema(parts[0])
                with pq.ParquetWriter(
                    partial, schema, compression="zstd", write_page_checksum=True
                ) as writer:
                    for part in parts:
                        try:
                            writer.write_table(
                                pq.ParquetFile(part, page_checksum_verification=True).read()
                            )
                        except (pa.ArrowException, OSError) as error:
                            raise StoreError(f"{part} is damaged: {error}") from error
                sync(partial)
                partial.rename(target)
                shutil.rmtree(self.path / f"{table}.parts")
        self.seal()

    def _parts(self, table: str) -> list[Path]:
        return sorted((self.path / f"{table}.parts").glob("*.parquet"))

    def tables(self, table: str, columns: Sequence[str] | None) -> Iterator[Any]:
        """Yield a table's pieces (pyarrow tables), one at a time; none where it has none.

        Parameters
        ----------
        table : ``requests`` or ``series``.
        columns : to read; None: all.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        whole = self.path / f"{table}.parquet"
        for path in [whole] if whole.is_file() else self._parts(table):
            try:
                file = pq.ParquetFile(path, page_checksum_verification=True)
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group, columns=columns and list(columns))
            except (pa.ArrowException, OSError) as error:
                raise StoreError(f"{path} is damaged: {error}") from error

    def write_gate(self, result: Any) -> None:
        """Write ``gate.json``: the gate's decisions."""
        self._write("gate.json", result)

    def gate(self) -> dict[str, Any]:
        """Read ``gate.json``; empty where there is none.

        Raises
        ------
        StoreError : it is damaged.
        """
        self.verify()
        there = (self.path / "gate.json").is_file()
        return self._decoded("gate.json", dict[str, Any]) if there else {}

    def summary(self) -> list[dict[str, Any]]:
        """Read ``summary.json``.

        Raises
        ------
        StoreError : there is none, or it is damaged.
        """
        return self._decoded("summary.json", list[dict[str, Any]])

    def write_summary(self, summary: Any) -> None:
        """Write ``summary.json``."""
        self._write("summary.json", summary)


def see_writable(root: Path) -> None:
    """See that files can be written into a folder, before a minute is spent on what goes there.

    Raises
    ------
    StoreError : they cannot.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise StoreError(f"cannot write into {root}: {error.strerror}; name --results") from error


def write_calibration(root: Path, calibration: Calibration) -> Path:
    """Write ``results/calibration.json`` and return where it is."""
    path = root / "calibration.json"
    with storing(path):
        root.mkdir(parents=True, exist_ok=True)
    with storing(path):
        line, _ = checked(msgspec.json.encode(calibration), "")
        replace(path, line + b"\n")
    return path


def read_calibration(root: Path) -> Calibration | None:
    """Read ``results/calibration.json``; None where there is none that this version reads."""
    path = root / "calibration.json"
    try:
        ((_, line),) = read_lines(path)
        found = msgspec.json.decode(line, type=Calibration)
    except (OSError, ValueError, msgspec.DecodeError, StoreError):
        return None
    return found if found.schema_version == SCHEMA_VERSION else None


def make_run_folder(root: Path, run_id: str) -> RunFolder:
    """Make the folder of a new run.

    Raises
    ------
    StoreError : not writable, or too little space.
    """
    path = root / run_id
    try:
        with storing(path):
            path.mkdir(parents=True)
            (path / "logs").mkdir()
            free = shutil.disk_usage(path).free
    except WriteError as error:
        # nothing has been measured yet: it is the request that is at fault
        raise StoreError(str(error)) from error
    if free < LEAST_FREE_BYTES:
        shutil.rmtree(path, ignore_errors=True)
        raise StoreError(
            f"{root} has {free // 2**20} MB free, a run wants {LEAST_FREE_BYTES // 2**20} MB;"
            " make room or choose another folder with --results"
        )
    return RunFolder(path)


def point_latest(root: Path, run_id: str) -> None:
    """Make ``latest`` a link to a run's folder, in one step."""
    link = root / f".latest-{os.getpid()}"
    with contextlib.suppress(OSError):
        link.unlink(missing_ok=True)
        link.symlink_to(run_id)
        link.replace(root / "latest")


def open_run(root: Path, name: str) -> RunFolder:
    """Return a run by its id, ``latest`` or path.

    Raises
    ------
    StoreError : no such run.
    """
    for path in (root / name, Path(name)):
        if path.is_dir():
            return RunFolder(path.resolve())
    known = sorted(
        each.name
        for each in root.glob("*/")
        if (each / "manifest.json").is_file() and not each.is_symlink()
    )
    raise StoreError(
        f"no run {name!r} under {root}; "
        + (f"name one of those there: {', '.join(known[-5:])}; or " if known else "")
        + f"measure one: `{PROGRAM} run`"
    )
