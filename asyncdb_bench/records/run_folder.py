"""The names and formats under ``results/``; no other module knows them.

A run's folder: ``manifest.json``, ``steps.jsonl`` (a line per step, appended as it ends),
``trials.jsonl``, ``deployment.jsonl``, ``requests.parquet``, ``series.parquet``, ``summary.json``,
``logs/``. While a run goes on, the Parquet tables lie in parts (``requests.parts/``): a run that
was cut off keeps every step that had ended. Schema history: 1, the first; 2, phases, probes,
audits, threads, pinning, calibration, backlog, task queue, chat, outages; 3, doubts as typed values
instead of sentences, a trial's purpose, parts and shares of each variant, latency of each request;
4, turns: a step says of which kind it is, and carries its distributions; 5, checksums: a check in
each line, and ``SHA256SUMS``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from asyncdb_bench.errors import StoreError, WriteError
from asyncdb_bench.records.atomic_files import replace, storing, sync
from asyncdb_bench.records.json_lines import Appender, checked, read_lines
from asyncdb_bench.records.run import Calibration, Deployment, Manifest
from asyncdb_bench.records.sealing import SUMS, altered, sums_of, with_files
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.records.upgrade import (
    upgraded_end,
    upgraded_gate,
    upgraded_manifest,
    upgraded_step,
)

T = TypeVar("T")

LEAST_FREE_BYTES = 300 * 1024 * 1024
TABLES = ("requests", "series")
READ = (2, 3, 4, 5, 6)
"""Schemas that this version reads."""
SENTENCES = 2
"""The schema whose doubts were sentences; those after it read as they are."""
CHECKED = tuple(version for version in READ if version >= 5)
"""Schemas whose files carry checksums."""
LINES = ("steps.jsonl", "trials.jsonl", "deployment.jsonl")
APPENDED = {*LINES, *(f"{table}.parquet" for table in TABLES)}
"""Those that have their checksums once a run is over."""
FILES = (
    "manifest.json",
    *LINES,
    *(f"{table}.parquet" for table in TABLES),
    "gate.json",
    "summary.json",
)

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


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

    @property
    def has_manifest(self) -> bool:
        """Whether it got far enough to say what it is."""
        return (self.path / "manifest.json").is_file()

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
        raw = self._raw_manifest()
        version = raw.get("schema_version")
        if version not in READ:
            raise StoreError(
                f"{path} has schema {version}, this version reads {READ[0]} to {READ[-1]};"
                " read it with the version that wrote it (its git revision is in the manifest)"
            )
        self.verify()
        try:
            known = upgraded_manifest(raw) if version == SENTENCES else raw
            return msgspec.convert(known, Manifest)
        except (msgspec.ValidationError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    def _raw_manifest(self) -> dict[str, Any]:
        path = self.path / "manifest.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            raise StoreError(f"{self.path} is not a run: it has no manifest.json") from None
        except (msgspec.DecodeError, ValueError) as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    def append_step(self, step: Step) -> None:
        """Append a line to ``steps.jsonl``."""
        self._append("steps.jsonl", step)

    def append_trial(self, end: TrialEnd) -> None:
        """Append a line to ``trials.jsonl``."""
        self._append("trials.jsonl", end)

    def append_deployment(self, found: Deployment) -> None:
        """Append a line to ``deployment.jsonl``."""
        self._append("deployment.jsonl", found)

    def deployments(self) -> list[Deployment]:
        """Read ``deployment.jsonl``; none where it was not measured."""
        return self._read("deployment.jsonl", Deployment)

    def steps(self) -> list[Step]:
        """Read ``steps.jsonl``; a last line that was cut off is left out."""
        return self._read("steps.jsonl", Step, self._upgrade(upgraded_step))

    def trials(self) -> list[TrialEnd]:
        """Read ``trials.jsonl``."""
        return self._read("trials.jsonl", TrialEnd, self._upgrade(upgraded_end))

    def _upgrade(self, upgraded: Upgrade) -> Upgrade | None:
        """Return what makes lines of an earlier schema readable; None where none need it."""
        if self.has_manifest and self._raw_manifest().get("schema_version") == SENTENCES:
            return upgraded
        return None

    @property
    def _has_checks(self) -> bool:
        """Whether its lines carry checks; a run that got no manifest was begun by this version."""
        return not self.has_manifest or self._raw_manifest().get("schema_version") in CHECKED

    def verify(self) -> None:
        """See, once, that nothing was altered since it was written.

        Raises
        ------
        StoreError : something was, or is missing; it is named.
        """
        if self._verified or not self.has_manifest or not self._is_sealed:
            return
        for name in LINES:
            # before the file as a whole: it names the line
            for _ in read_lines(self.path / name, with_checks=self._has_checks):
                pass
        sums = sums_of(self.path)
        is_over = any(name in sums for name in APPENDED)
        if found := altered(self.path, FILES if is_over else FILES[:1]):
            raise StoreError(f"{'; '.join(found)}; restore it, or measure anew")
        self._verified = True

    @property
    def _is_sealed(self) -> bool:
        return self._has_checks or (self.path / SUMS).is_file()

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
        if self._has_checks:
            self.seal(name)

    def _append(self, name: str, row: Any) -> None:
        with storing(self.path / name):
            self._appender.append(self.path / name, row)

    def _read(self, name: str, kind: type[T], upgraded: Upgrade | None = None) -> list[T]:
        """Return the records of a file of lines; a last line that was cut off is left out."""
        path, rows = self.path / name, []
        for number, line in read_lines(path, with_checks=self._has_checks):
            try:
                if upgraded is None:
                    rows.append(msgspec.json.decode(line, type=kind))
                else:
                    rows.append(msgspec.convert(upgraded(msgspec.json.decode(line)), kind))
            except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
                if not self._has_checks and not path.read_bytes().endswith(b"\n"):
                    break
                raise StoreError(f"{path}:{number} is damaged: {error}") from error
        return rows

    def write_part(self, table: str, name: str, columns: Mapping[str, Any]) -> None:
        """Write a part of a table.

        Parameters
        ----------
        table : ``"requests"`` or ``"series"``.
        name : unique in the table; parts are merged in the order of their names.
        columns : by name, all of one length.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder = self.path / f"{table}.parts"
        target = folder / f"{name}.parquet"
        with storing(target):
            folder.mkdir(exist_ok=True)
            partial = target.with_suffix(".partial")
            pq.write_table(
                pa.table(dict(columns)), partial, compression="zstd", write_page_checksum=True
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
                            writer.write_table(_checked_table(part))
                        except (pa.ArrowException, OSError) as error:
                            raise StoreError(f"{part} is damaged: {error}") from error
                sync(partial)
                partial.rename(target)
                shutil.rmtree(self.path / f"{table}.parts")
        if self._has_checks:
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
        path = self.path / "gate.json"
        self.verify()
        if not path.is_file():
            return {}
        try:
            return upgraded_gate(msgspec.json.decode(path.read_bytes(), type=dict[str, Any]))
        except (msgspec.DecodeError, ValueError) as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    def write_summary(self, summary: Any) -> None:
        """Write ``summary.json``."""
        self._write("summary.json", summary)


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
        ((_, line),) = read_lines(path, with_checks=True)
        found = msgspec.json.decode(line, type=Calibration)
    except (OSError, ValueError, msgspec.DecodeError, StoreError):
        return None
    return found if found.schema_version in READ else None


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
        f"no run {name!r} under {root}; there: {', '.join(known[-5:]) or 'none yet, `make bench`'}"
    )


def _checked_table(part: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(part, page_checksum_verification=True).read()
