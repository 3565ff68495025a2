"""Dumps of `pg_dump` as scripts that psql runs on a database that is there."""

from __future__ import annotations

import codecs
import gzip
import re
import subprocess
import zlib
from collections.abc import Collection
from pathlib import Path

from asyncdb_bench.contract.data.sql_scripts import client_program, script_content
from asyncdb_bench.errors import PluginError

GZIP = b"\x1f\x8b"
CUSTOM = b"PGDMP"
TAR = b"ustar"
TAR_AT = 257
_COPY = re.compile(rb"^COPY [^;]+ FROM stdin;\r?$", re.MULTILINE)
_COPY_END = re.compile(rb"^\\\.\r?$", re.MULTILINE)
_CREATES = re.compile(rb"^CREATE DATABASE ", re.MULTILINE)
_CONNECTS = re.compile(rb"^\\connect [^\n]*$", re.MULTILINE)
_PREAMBLE = re.compile(
    rb"(?:(?:--[^\n]*|\\restrict[^\n]*|SET [^;\n]*;|SELECT pg_catalog\.set_config[^;\n]*;|)"
    rb"[ \t\r]*\n)*"
)
_SETS = re.compile(rb"^SET (\w+) = [^;\n]*;", re.MULTILINE)


def plain_script(path: Path, settings: Collection[str]) -> bytes:
    """Return a dump as a script; its lines are the file's, where it is text.

    Parameters
    ----------
    path : of a dump: text or of ``pg_dump -Fc`` or ``-Ft``, each perhaps through gzip.
    settings : that the server knows: those of a dump of a newer one are left out.

    Raises
    ------
    PluginError : it cannot be read, or is cut off.
    """
    content = script_content(path).removeprefix(codecs.BOM_UTF8)
    if content.startswith(GZIP):
        content = unzipped(path, content)
    if content.startswith(CUSTOM) or content[TAR_AT : TAR_AT + len(TAR)] == TAR:
        content = restored(path, content)
    if b"\0" in content[:10_000]:
        raise PluginError(f"{path} is no dump of pg_dump (plain, -Fc, -Ft, or one of them in gzip)")
    copies = [each.end() for each in _COPY.finditer(content)]
    if copies and not _COPY_END.search(content, copies[-1]):
        raise PluginError(f"{path} is cut off: it ends within the rows of a table")
    return without_unknown(without_database(content), {each.encode() for each in settings})


def unzipped(path: Path, content: bytes) -> bytes:
    """Return what was compressed; parameters and errors as :func:`plain_script`."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise PluginError(f"{path} is cut off or no gzip: {error}") from error


def restored(path: Path, content: bytes) -> bytes:
    """Return the text of a dump in a form of ``pg_dump``'s own, by pg_restore."""
    command = [client_program("pg_restore"), "--no-owner", "--no-privileges", "--file=-"]
    answer = subprocess.run(command, input=content, capture_output=True, check=False)
    if answer.returncode:
        lines = answer.stderr.decode(errors="replace").strip().splitlines() or ["it failed"]
        raise PluginError(f"{path}: {lines[0]}")
    return answer.stdout


def without_database(content: bytes) -> bytes:
    """Return a dump that was taken with ``-C`` without what makes its database."""
    connects = list(_CONNECTS.finditer(content))
    if not connects or not _CREATES.search(content, 0, connects[-1].start()):
        return content
    end = connects[-1].end()
    # as many lines as before: errors are told by them
    return b"\n" * content.count(b"\n", 0, end) + content[end:]


def without_unknown(content: bytes, settings: Collection[bytes]) -> bytes:
    """Return a dump whose preamble sets only what a server knows."""
    preamble = _PREAMBLE.match(content)
    end = preamble.end() if preamble is not None else 0
    kept = _SETS.sub(lambda found: found[0] if found[1] in settings else b"", content[:end])
    return kept + content[end:]
